"""The simulator as a process."""

from outdial.cli.errors import PortTaken
from outdial.cli.output import console
from outdial.cli.signals import stop_event
from outdial.process import notify_ready
from outdial.retell.simulator import SimulatorConfig
from outdial.retell.simulator.server import running


async def simulate(config: SimulatorConfig, port: int) -> None:
    """Serve until a signal comes; raises PortTaken."""
    stop = stop_event()
    try:
        async with running(config, port=port) as (url, _):
            console.print(f"Simulated Retell on {url}")
            notify_ready()
            await stop.wait()
    except OSError as error:
        raise PortTaken(port, "simulator", "name another one with --port") from error
