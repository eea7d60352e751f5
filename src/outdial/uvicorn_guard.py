"""Limits on uvicorn's connections: slow requests, open connections, and bytes received before anyone is authenticated.

uvicorn itself limits only how long a connection is idle after a response.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from outdial.request_limits import RequestLimits, connection_limit, find_costliest, find_slowest

_REFUSALS: Final = {
    408: (b"Request Timeout", b"The request took too long to arrive"),
    431: (b"Request Header Fields Too Large", b"The request headers are too long"),
    503: (b"Service Unavailable", b"The server has too many connections: try again"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits(RequestLimits):
    """Limits of one server. Times are in seconds and checked every `sweep_s`; sizes are in bytes."""

    # A new connection without a request. After a response, uvicorn's own limit applies.
    idle_s: float = 30.0
    connections: int = 5000
    # Bodies that are being received, and how much of one counts: applications read more than that in pieces.
    body_bytes: int = 128 * 1024 * 1024
    counted_bytes: int = 1024 * 1024


class RequestPhase(Enum):
    """What a connection waits for."""

    IDLE = auto()  # the next request
    HEADERS = auto()  # the rest of the headers
    BODY = auto()  # the rest of the body
    RESPONSE = auto()  # the application


class GuardedState(ServerState):
    """State that the connections of one server share, and the check of their limits."""

    def __init__(self, limits: ConnectionLimits) -> None:
        super().__init__()
        self.limits = limits
        self.body_bytes = 0
        self._swept_at = 0.0
        self.max_connections = connection_limit(limits.connections)

    def guarded(self) -> list["GuardedProtocol"]:
        """Return the open connections."""
        return [one for one in self.connections if isinstance(one, GuardedProtocol) and not one.is_closing]

    def make_room(self, newcomer: "GuardedProtocol") -> None:
        """Over the limit of connections, close the longest idle one, the slowest request, or the newcomer."""
        if len(self.connections) <= self.max_connections:
            return
        others = [one for one in self.guarded() if one is not newcomer]
        if len(others) < self.max_connections:
            return
        idle = [one for one in others if one.phase is RequestPhase.IDLE]
        if idle:
            min(idle, key=lambda one: one.since).transport.close()
            return
        arriving = [one for one in others if one.is_receiving]
        (find_slowest(arriving, newcomer.loop.time()) or newcomer).refuse(503)

    def shed(self, current: "GuardedProtocol") -> None:
        """Over the limit of bytes in bodies, end the requests that have held the most for the longest."""
        now = current.loop.time()
        while self.body_bytes > self.limits.body_bytes:
            holding = [one for one in self.guarded() if one.phase is RequestPhase.BODY and one.held]
            costliest = find_costliest(holding, now, lambda one: one.held)
            if costliest is None:
                current.refuse(503)
                return
            costliest.refuse(503)

    def sweep(self, now: float) -> None:
        """End the requests that are too slow, if the last check is `sweep_s` ago."""
        if now - self._swept_at < self.limits.sweep_s:
            return
        elapsed, self._swept_at = now - self._swept_at, now
        for connection in self.guarded():
            connection.check(now, elapsed)


class GuardedProtocol(HttpToolsProtocol):
    """A connection that `GuardedState` limits."""

    def __init__(self, config: Any, server_state: GuardedState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._state = server_state
        self.phase = RequestPhase.IDLE
        # When the phase began. For headers and body: when the request began.
        self.since = self.loop.time()
        self._last_byte_at = self.since
        self.bytes_received = 0
        self.held = 0
        self._has_requests = False
        # uvloop's TLS transport does not report itself as closing once `close` was called.
        self.is_refused = False

    @property
    def is_receiving(self) -> bool:
        """Whether a part of a request has arrived and the rest has not."""
        return self.phase in (RequestPhase.HEADERS, RequestPhase.BODY)

    @property
    def is_closing(self) -> bool:
        """Whether the connection takes no more requests."""
        return self.is_refused or self.transport.is_closing()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, unless there are too many."""
        super().connection_made(transport)
        self._state.make_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._release()

    def data_received(self, data: bytes) -> None:
        """Pass on data, and note when it arrived."""
        if self.is_closing:
            return
        self._last_byte_at = self.loop.time()
        if self.phase is RequestPhase.IDLE:
            self._begin()
        self.bytes_received += len(data)
        super().data_received(data)
        if self.phase is RequestPhase.HEADERS and self.bytes_received > self._state.limits.header_bytes:
            self.refuse(431)

    def on_message_begin(self) -> None:
        """Start to count the headers of a request."""
        if not self.is_receiving:  # a pipelined request
            self._unset_keepalive_if_required()
            self._begin()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start to count the body."""
        super().on_headers_complete()
        self._has_requests = True
        self.phase = RequestPhase.BODY

    def on_body(self, body: bytes) -> None:
        """Count a part of the body, unless uvicorn drops it because the response is complete."""
        super().on_body(body)
        # When refused, this is the rest of the same read.
        if self.is_refused or self.cycle.response_complete:
            return
        more = min(len(body), self._state.limits.counted_bytes - self.held)
        self.held += more
        self._state.body_bytes += more
        if self._state.body_bytes > self._state.limits.body_bytes:
            self._state.shed(self)

    def on_message_complete(self) -> None:
        """Wait for the application, or for the next request if the response was complete before the body."""
        super().on_message_complete()
        self.bytes_received = 0
        if not self.cycle.response_complete:
            self.phase = RequestPhase.RESPONSE
            return
        self.phase = RequestPhase.IDLE
        self.since = self.loop.time()
        # uvicorn cancels its timer when a part of the body arrives, and sets it only at the end of a response.
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        """Wait for the next request, unless a part of it has already arrived."""
        super().on_response_complete()
        self._release()
        if self.phase is RequestPhase.RESPONSE:
            self.phase = RequestPhase.IDLE
            self.since = self.loop.time()

    def check(self, now: float, elapsed_s: float) -> None:
        """Refuse the request when it is too slow. Time in which the application did not read does not count."""
        limits, age_s = self._state.limits, now - self.since
        if self.flow.read_paused:
            self.since += elapsed_s
            self._last_byte_at += elapsed_s
            return
        longest_s = limits.body_s + self.bytes_received / limits.body_rate
        match self.phase:
            case RequestPhase.IDLE if not self._has_requests and age_s > limits.idle_s:
                self.transport.close()
            case RequestPhase.HEADERS if age_s > limits.header_s:
                self.refuse(408)
            case RequestPhase.BODY if now - self._last_byte_at > limits.body_s or age_s > longest_s:
                self.refuse(408)

    def refuse(self, status: int) -> None:
        """Respond with `status`, unless a response has begun, and close."""
        if self.is_closing:
            return
        self.is_refused = True
        if not self._has_requests or self.cycle.response_complete or not self.cycle.response_started:
            phrase, text = _REFUSALS[status]
            head = b"HTTP/1.1 %d %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(head % (status, phrase, len(text)) + text)
        self._release()
        self.transport.close()

    def _begin(self) -> None:
        self.phase = RequestPhase.HEADERS
        self.since = self.loop.time()
        self.bytes_received = 0

    def _release(self) -> None:
        self._state.body_bytes -= self.held
        self.held = 0
