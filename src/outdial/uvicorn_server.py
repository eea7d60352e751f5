"""uvicorn inside a running event loop, on a socket that its caller opened."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn


class EmbeddedServer(uvicorn.Server):
    """uvicorn that leaves signals to the program around it, and sets `is_up` once it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and set `is_up`; it stays unset when the application refuses to start."""
        await super().startup(sockets)
        if self.started:
            self.is_up.set()


@contextlib.asynccontextmanager
async def serving(app: Any, listener: socket.socket, **options: Any) -> AsyncIterator[None]:
    """Serve `app`, an ASGI application, inside the block; `options` go to uvicorn.Config.

    At the end, requests in progress have `timeout_graceful_shutdown` seconds to finish. Raises RuntimeError, or what
    stopped uvicorn, when it does not start.
    """
    # Otherwise every response waits 40 ms for an acknowledgement: uvicorn writes headers and body separately.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = EmbeddedServer(uvicorn.Config(app, ws="none", log_config=None, access_log=False, **options))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    up = asyncio.create_task(server.is_up.wait())
    try:
        await asyncio.wait([running, up], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            raise RuntimeError("uvicorn stopped while it started")
        yield
    finally:
        up.cancel()
        server.should_exit = True
        await running
