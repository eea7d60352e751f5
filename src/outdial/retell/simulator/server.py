"""Runs the simulator under uvicorn in the current event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from outdial import uvicorn_server
from outdial.retell.simulator.app import ABORT, build_app
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.runtime import Simulator

DEFAULT_PORT: Final = 54330
KEEP_ALIVE_S: Final = 75  # longer than any client's, so that the client closes first


class AbortableProtocol(HttpToolsProtocol):
    """HTTP/1.1 that lets the application drop the connection without a response."""

    def on_message_begin(self) -> None:
        """Add the extension ABORT to the scope of the request."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}


@contextlib.asynccontextmanager
async def running(
    config: SimulatorConfig, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[str, Simulator]]:
    """Serve inside the block; yields the base address and the Simulator. Port 0 takes a free one.

    Raises OSError when the port is taken.
    """
    app = build_app(config)
    simulator: Simulator = app.state.simulator
    with socket.create_server((host, port), backlog=2048) as listener:
        serving = uvicorn_server.serving(
            app,
            listener,
            http=AbortableProtocol,
            lifespan="on",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=5,
        )
        base_url = f"http://{host}:{listener.getsockname()[1]}"
        simulator.workspace.files_url = f"{base_url}/_sim"
        async with serving:
            try:
                yield base_url, simulator
            finally:
                simulator.stopping.set()


async def serve(
    config: SimulatorConfig,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    on_started: Callable[[str], None] | None = None,
) -> None:
    """Serve until cancelled; `on_started` receives the base URL."""
    async with running(config, host, port) as (base_url, _):
        if on_started is not None:
            on_started(base_url)
        await asyncio.get_running_loop().create_future()
