"""A simulator that responds at once, has no limits and sends no webhooks. It prints its URL first."""

import asyncio
import contextlib
import signal

import uvloop

from benchmarks.dial.campaign import KEY
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.server import running


async def serve() -> None:
    """Serve until SIGTERM."""
    config = SimulatorConfig(
        api_keys=(KEY,), concurrency_limit=1_000_000, calls_per_second=None, silent=True, magic_numbers=False
    )
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with running(config) as (base_url, _):
        print(base_url, flush=True)
        await stopping.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve())
