"""A server: the connections of one listening socket, their time-outs, and an end that leaves no request unanswered."""

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

from outdial.http.bounds import ServerLimits
from outdial.http.encoding import plain_error
from outdial.http.listening import BACKLOG
from outdial.http.message import Application, ErrorResponder, HttpResponse
from outdial.http.protocol import ConnectionPhase, HttpConnection

DRAIN_S = 10.0
# File descriptors that a process needs for other things than connections.
_SPARE_FILES = 128
# Connections beyond the bound that are told so; further ones are cut without a word.
_TOLD = 64


class HttpServer:
    """Serves `app` on one socket. Made by `serving`."""

    def __init__(self, app: Application, bounds: ServerLimits, errors: ErrorResponder) -> None:
        self.app, self.bounds, self.errors = app, bounds, errors
        self.draining, self._idle_until = False, 0.0
        # Tasks of requests under way: the event loop alone would not keep them.
        self.tasks: set[asyncio.Task[None] | None] = set()
        self.connections: set[HttpConnection] = set()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = bounds.connections
        if files != resource.RLIM_INFINITY:
            self._most = max(1, min(bounds.connections, files - _SPARE_FILES))
        self._all_gone = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self.date = _date_line()

    @property
    def under_way(self) -> int:
        """How many requests the application has not answered yet."""
        return len(self.tasks)

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept connections on `listener`, which is the server's from now on."""
        loop = asyncio.get_running_loop()
        handshake_s = None if tls is None else self.bounds.handshake_s
        self._listening = await loop.create_server(
            lambda: HttpConnection(self), sock=listener, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=handshake_s
        )
        self._sweep()

    async def drain(self, timeout_s: float = DRAIN_S, *, grace_s: float = 0.0) -> int:
        """Accept nothing more, answer what is under way, close, and return how many requests are left unanswered.

        An idle connection is closed after `grace_s`: a request that comes on it before that is answered, with
        `connection: close`. After `timeout_s` the connections are cut; their requests are still carried out.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        self._idle_until = asyncio.get_running_loop().time() + grace_s
        for connection in [one for one in self.connections if one.phase is ConnectionPhase.IDLE]:
            connection.expires = min(connection.expires, self._idle_until)
            if not grace_s:
                connection.close()
        await self._wait(deadline)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()
        return len(self.tasks)

    async def _wait(self, deadline: float) -> None:
        now = asyncio.get_running_loop().time
        if self.connections:
            try:
                await asyncio.wait_for(self._all_gone.wait(), deadline - now())
            except TimeoutError:
                return
        while (tasks := {task for task in self.tasks if task is not None}) and deadline > now():
            await asyncio.wait(tasks, timeout=deadline - now())

    def take(self, connection: HttpConnection) -> bool:
        """Add a new connection; where there are too many the one that is idle for longest goes, or else this one."""
        self.connections.add(connection)
        if self.draining:  # it was accepted just before, and its first request may be on its way
            connection.expires = self._idle_until
        excess = len(self.connections) - self._most
        if excess <= 0:
            return True
        idle = [one for one in self.connections if one.phase is ConnectionPhase.IDLE and one is not connection]
        if idle:
            min(idle, key=lambda one: one.expires).close()
        elif excess > _TOLD:
            connection.abort()
        return bool(idle)

    def lose(self, connection: HttpConnection) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self._all_gone.set()

    def failed(self, error: Exception) -> HttpResponse:
        """Tell the event loop's exception handler what the application did not handle; return the answer to give."""
        context = {"message": "the application failed to answer a request", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        return self.errors(500, "The request failed due to an internal error")

    def _sweep(self) -> None:
        # One timer for all: setting one per request costs more than looking at every connection once a second.
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.date = _date_line()
        for connection in [one for one in self.connections if one.expires <= now]:
            connection.expire(now)
        self._sweeping = loop.call_later(self.bounds.sweep_s, self._sweep)


@asynccontextmanager
async def serving(
    app: Application,
    listener: socket.socket,
    *,
    tls: ssl.SSLContext | None = None,
    bounds: ServerLimits = ServerLimits(),
    errors: ErrorResponder = plain_error,
    drain_s: float = DRAIN_S,
) -> AsyncIterator[HttpServer]:
    """Serve `app` on `listener` while the block runs; `errors` makes the answers that the application does not.

    On leaving, unless it was done before, requests under way are answered first, for `drain_s` at most.
    """
    server = HttpServer(app, bounds, errors)
    await server.start(listener, tls)
    try:
        yield server
    finally:
        if not server.draining:
            await server.drain(drain_s)


def _date_line() -> bytes:
    return f"date: {formatdate(usegmt=True)}\r\n".encode()
