"""HTTP server on one listening socket: connections, timeouts and graceful shutdown."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate

from outdial.http.encoding import plain_error
from outdial.http.limits import ServerLimits
from outdial.http.listening import BACKLOG
from outdial.http.message import Application, ErrorResponder, HttpResponse
from outdial.http.protocol import ConnectionPhase, HttpConnection
from outdial.request_limits import connection_limit, find_costliest, find_slowest

DRAIN_S = 10.0
# Excess connections that get a 503. Further ones are aborted without a response.
_EXCESS_RESPONSES = 64
_RECEIVING = (ConnectionPhase.HEADERS, ConnectionPhase.BODY)


class HttpServer:
    """Serves `app` on one socket. Create it with `serving`."""

    def __init__(self, app: Application, limits: ServerLimits, error_response: ErrorResponder) -> None:
        self.app = app
        self.limits = limits
        self.error_response = error_response
        self.draining = False
        self._idle_until = 0.0
        # Tasks of requests in flight. The event loop keeps only weak references to them.
        self.tasks: set[asyncio.Task[None] | None] = set()
        # Bytes of the requests that are being received or served.
        self.held_bytes = 0
        self.connections: set[HttpConnection] = set()
        self._max_connections = connection_limit(limits.connections)
        self._all_closed = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self.date = _date_line()

    @property
    def in_flight(self) -> int:
        """Requests whose response the application has not returned yet."""
        return len(self.tasks)

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept connections on `listener`; the server closes it when it drains."""
        loop = asyncio.get_running_loop()
        handshake_s = None if tls is None else self.limits.handshake_s
        self._listening = await loop.create_server(
            lambda: HttpConnection(self), sock=listener, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=handshake_s
        )
        self._sweep()

    async def drain(self, timeout_s: float = DRAIN_S, *, grace_s: float = 0.0) -> int:
        """Stop accepting, finish requests in flight, close, and return the number of unfinished requests.

        Idle connections stay open for `grace_s`: a request that arrives until then gets its response with
        `connection: close`. After `timeout_s` all connections are aborted; their requests still run to the end.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + timeout_s
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        self._idle_until = now() + grace_s
        for connection in [one for one in self.connections if one.phase is ConnectionPhase.IDLE]:
            connection.expires = min(connection.expires, self._idle_until)
            if not grace_s:
                connection.close()
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), deadline - now())
        while (tasks := {task for task in self.tasks if task is not None}) and deadline > now():
            await asyncio.wait(tasks, timeout=deadline - now())
        for connection in list(self.connections):
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()
        return len(self.tasks)

    def add_connection(self, connection: HttpConnection) -> bool:
        """Add a connection. Over the limit, make room, or return False when all others are being served.

        The longest idle connection goes first, then one that only discards, then the slowest request, and last the
        client that reads its response most slowly.
        """
        self.connections.add(connection)
        if self.draining:  # accepted just before the drain: its first request may be on its way
            connection.expires = self._idle_until
        excess = len(self.connections) - self._max_connections
        if excess <= 0:
            return True
        others = [one for one in self.connections if one is not connection]
        idle = [one for one in others if one.phase is ConnectionPhase.IDLE]
        if idle:
            min(idle, key=lambda one: one.expires).close()
            return True
        lingering = [one for one in others if one.phase is ConnectionPhase.LINGER]
        if lingering:
            min(lingering, key=lambda one: one.expires).abort()
            return True
        arriving = [one for one in others if one.phase in _RECEIVING]
        slowest = find_slowest(arriving, asyncio.get_running_loop().time())
        if slowest is not None:
            slowest.evict("There are too many connections, and this request was the slowest")
            return True
        unread = [one for one in others if one.phase is ConnectionPhase.SENDING]
        if unread:
            min(unread, key=lambda one: one.expires).abort()
            return True
        if excess > _EXCESS_RESPONSES:
            connection.abort()
        return False

    def shed(self, current: HttpConnection) -> None:
        """End the requests that have held the most bytes for the longest, until the rest fits `held_bytes`.

        First those that clients have sent ahead of their responses. When no other request is still arriving, `current`
        ends.
        """
        message = "The server is receiving too many large requests: try again"
        ahead = [one for one in self.connections if one.bytes_ahead]
        for connection in sorted(ahead, key=lambda one: one.bytes_ahead, reverse=True):
            if self.held_bytes <= self.limits.held_bytes:
                return
            connection.evict(message)
        now = asyncio.get_running_loop().time()
        while self.held_bytes > self.limits.held_bytes:
            arriving = [one for one in self.connections if one.phase in _RECEIVING]
            costliest = find_costliest(arriving, now, lambda one: one.bytes_received) or current
            costliest.evict(message)
            if costliest is current:
                return

    def remove_connection(self, connection: HttpConnection) -> None:
        """Remove a closed connection."""
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self._all_closed.set()

    def application_failed(self, error: Exception) -> HttpResponse:
        """Report an exception of the application to the event loop's exception handler; return a 500."""
        context = {"message": "the application failed to respond to a request", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        return self.error_response(500, "The request failed due to an internal error")

    def _sweep(self) -> None:
        # One timer for all: setting one per request costs more than checking every connection once a second.
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.date = _date_line()
        for connection in [one for one in self.connections if one.expires <= now]:
            connection.expire(now)
        self._sweeping = loop.call_later(self.limits.sweep_s, self._sweep)


@asynccontextmanager
async def serving(
    app: Application,
    listener: socket.socket,
    *,
    tls: ssl.SSLContext | None = None,
    limits: ServerLimits = ServerLimits(),
    error_response: ErrorResponder = plain_error,
    drain_s: float = DRAIN_S,
) -> AsyncIterator[HttpServer]:
    """Serve `app` on `listener` while the block runs; `error_response` handles requests the application never sees.

    Leaving the block drains the server for up to `drain_s`, unless the caller has drained it already.
    """
    server = HttpServer(app, limits, error_response)
    await server.start(listener, tls)
    try:
        yield server
    finally:
        if not server.draining:
            await server.drain(drain_s)


def _date_line() -> bytes:
    return f"date: {formatdate(usegmt=True)}\r\n".encode()
