"""The simulator process of the local stack."""

from collections.abc import Callable

from outdial.process import notify_ready, stop_event
from outdial.retell.simulator import SimulatorConfig
from outdial.retell.simulator.clock import epoch_ms, wall_now
from outdial.retell.simulator.server import running
from outdial.stack.errors import PortTaken
from outdial.stack.first_login import FIRST_NUMBER


async def run_simulator(config: SimulatorConfig, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` receives the base URL. Raises PortTaken."""
    stop = stop_event()
    try:
        async with running(config, port=port) as (url, simulator):
            # The number of the first organization: the launch check finds it before the first call.
            simulator.workspace.phone_numbers.add(FIRST_NUMBER, "custom", {}, epoch_ms(wall_now()))
            on_ready(url)
            notify_ready()
            await stop.wait()
    except OSError as error:
        raise PortTaken(port, "simulator", "choose another one with --port") from error
