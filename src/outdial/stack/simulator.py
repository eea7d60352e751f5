"""The simulator process of the local stack."""

from collections.abc import Callable

from outdial.process import notify_ready, stop_event
from outdial.retell.simulator import SimulatorConfig
from outdial.retell.simulator.server import running
from outdial.stack.errors import PortTaken


async def run_simulator(config: SimulatorConfig, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` receives the base URL. Raises PortTaken."""
    stop = stop_event()
    try:
        async with running(config, port=port) as (url, _):
            on_ready(url)
            notify_ready()
            await stop.wait()
    except OSError as error:
        raise PortTaken(port, "simulator", "choose another one with --port") from error
