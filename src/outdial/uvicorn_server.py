"""uvicorn inside a running event loop, on a socket that its caller opened."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from outdial.net import client_address
from outdial.uvicorn_guard import ConnectionLimits, GuardedProtocol, GuardedState


class EmbeddedServer(uvicorn.Server):
    """uvicorn that leaves signals to the program around it, and sets `is_up` once it accepts connections.

    With `limits`, its connections must be `GuardedProtocol`.
    """

    def __init__(self, config: uvicorn.Config, limits: ConnectionLimits | None = None) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()
        if limits is not None:
            self.server_state = GuardedState(limits)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and set `is_up`; it stays unset when the application refuses to start."""
        await super().startup(sockets)
        if self.started:
            self.is_up.set()

    async def on_tick(self, counter: int) -> bool:
        """Check the limits of the connections."""
        if isinstance(self.server_state, GuardedState):
            self.server_state.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


class ForwardedMiddleware:
    """Gives a request the client and the scheme that the proxies in front report.

    uvicorn's own middleware can trust addresses of proxies, but not a number of them: with all addresses trusted, it
    takes the leftmost entry of X-Forwarded-For, which the client writes.
    """

    def __init__(self, app: ASGIApp, proxies: int) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
            peer = scope["client"][0] if scope.get("client") else ""
            scope["client"] = (client_address(peer, lines, proxies=self._proxies), 0)
            protocols = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
            if self._proxies and protocols:
                protocol = protocols[0].partition(b",")[0].strip().lower()
                scope["scheme"] = "https" if protocol == b"https" else "http"
        await self._app(scope, receive, send)


@contextlib.asynccontextmanager
async def serving(
    app: Any, listener: socket.socket, *, limits: ConnectionLimits | None = None, **options: Any
) -> AsyncIterator[None]:
    """Serve `app`, an ASGI application, inside the block; `options` go to uvicorn.Config.

    `limits` protect a server that strangers can reach; without them, connections are unlimited.

    At the end, requests in progress have `timeout_graceful_shutdown` seconds to finish. Raises RuntimeError, or what
    stopped uvicorn, when it does not start.
    """
    # Otherwise every response waits 40 ms for an acknowledgement: uvicorn writes headers and body separately.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if limits is not None:
        options["http"] = GuardedProtocol
    config = uvicorn.Config(app, ws="none", log_config=None, access_log=False, proxy_headers=False, **options)
    server = EmbeddedServer(config, limits)
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
