"""One HTTP connection: parses requests, passes them to the application one at a time, writes responses in order."""

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING, Final, cast

import httptools

from outdial.http.encoding import CLOSE, CONTINUE, KEEP, KEEP_1_0, encode
from outdial.http.framing import find_fault, parse_target, without_upgrade
from outdial.http.message import HttpResponse, RequestHead

if TYPE_CHECKING:
    from outdial.http.server import HttpServer


class ConnectionPhase(IntEnum):
    """What a connection waits for. It reads requests only in the first three phases."""

    IDLE = 0  # the next request
    HEADERS = 1  # the rest of the headers
    BODY = 2  # the rest of the body
    BUSY = 3  # the application
    SENDING = 4  # the client, to read the response
    LINGER = 5  # the client, to stop sending data that we discard
    CLOSING = 6  # the end of the connection


# Read as globals on every request: attribute access on an enum costs more.
_IDLE, _HEADERS, _BODY, _BUSY, _SENDING, _LINGER, _CLOSING = ConnectionPhase

# Chunk sizes and trailers may be this many times as long as the body itself.
_MAX_OVERHEAD: Final = 8
_MAX_BUFFERED: Final = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class _CompleteRequest:
    """A request that has arrived in whole, or the `response` to one that was rejected (then `head` may be None)."""

    method: str
    head: RequestHead | None
    body: bytes
    connection_line: bytes
    response: HttpResponse | None


class HttpConnection(asyncio.Protocol):
    """One connection, driven by the event loop. The server calls `expire` when the loop's time passes `expires`."""

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._app = server.app
        self._limits = server.limits
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._client = ""
        self._secure = False
        self.phase: ConnectionPhase = _IDLE
        self.expires = self._loop.time() + server.limits.idle_s
        # The request being read.
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: RequestHead | None = None
        self._connection_line = KEEP
        self._body: bytes | bytearray = b""
        self._received = 0
        self._body_size = 0
        self._max_body = 0
        self._rejection: HttpResponse | None = None
        self._continue_due = False
        # When the headers, and then the body, began to arrive in several pieces.
        self.since = 0.0
        self._held_head = 0
        self._replay: bytes | None = None
        # Pipelined requests, and bytes that arrived while the application was busy.
        self._pipelined: deque[_CompleteRequest] = deque()
        self._buffered = b""
        self._is_reading = True
        # The connection takes no more requests; the client may not know that yet.
        self._closing = False
        self._is_linger_due = False
        self._write_paused = False
        self._unsent = 0
        self._task: asyncio.Task[None] | None = None

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the connection, or respond 503 when the server has too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is not a subclass
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) and peer else ""
        self._secure = transport.get_extra_info("ssl_object") is not None
        if not self._server.add_connection(self):
            self.reject(503, "There are too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection; a request in flight still runs to its end."""
        self.phase = _CLOSING
        self.expires = inf
        self._closing = True
        self._drop_body()
        self._hold_head(0)
        self._drop_ahead()
        self._server.remove_connection(self)

    def eof_received(self) -> bool:
        """Keep the connection open while responses are due to a client that has finished sending."""
        self._closing = True
        return self.phase in (_BUSY, _SENDING) and not self._secure

    def pause_writing(self) -> None:
        """Note that the client reads more slowly than we write."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Continue with the next request."""
        self._write_paused = False
        if self.phase is _SENDING:
            self._next_request()

    def data_received(self, data: bytes) -> None:
        """Parse `data`, or buffer it while the application is busy."""
        if self.phase > _BODY:
            self._buffer(data)
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            head, self._replay = self._replay, None
            if head is None:  # CONNECT: the bytes that follow are not HTTP
                self._closing = True
            else:
                self._parser = httptools.HttpRequestParser(self)
                self.data_received(head + data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserCallbackError) and not self._closing:
                self._respond_and_close("GET", self._server.application_failed(error))
            elif not self._closing:
                self.reject(400, f"Invalid HTTP request: {error}")
        if self.phase < _BUSY:
            self._extend_deadline()

    # Callbacks of the parser.

    def on_url(self, target: bytes) -> None:
        """Collect the request target, which may arrive in pieces."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header or a trailer; trailers are dropped later."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the request head and ask the application whether to read the body."""
        headers, self._headers = self._headers, []
        raw_target, self._target = self._target, b""
        if self._closing:
            return
        parser, fields = self._parser, dict(headers)
        version, method = parser.get_http_version(), parser.get_method()
        if self._held_head:
            self._hold_head(0)
        fault = find_fault(version, headers, fields, self._limits.header_lines)
        if fault is None and b"upgrade" in fields and method != b"CONNECT" and parser.should_upgrade():
            self._replay = without_upgrade(method, raw_target, version, headers)
            return
        if fault is None and self._received > self._limits.header_bytes:
            # What was received may include a body or the next request, so count the headers alone.
            size = len(raw_target) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > self._limits.header_bytes:
                fault = self._headers_too_long()
        target = parse_target(raw_target)
        if fault is not None or target is None:
            self.reject(*(fault or (400, "The request target is not a path")))
            return
        path, query = target
        self._head = RequestHead(method.decode(), path, query, headers, client=self._client, secure=self._secure)
        if not parser.should_keep_alive():
            self._connection_line = CLOSE
        else:
            self._connection_line = KEEP if version == "1.1" else KEEP_1_0
        self._admit(self._head, fields)

    def on_body(self, piece: bytes) -> None:
        """Collect a piece of the body."""
        if self._head is None:  # the request has been refused; this is the rest of the same read
            return
        self._body_size += len(piece)
        if self._body_size > self._max_body:
            if self._rejection is None:
                self._rejection = self._body_too_large()
                self._drop_body()
                self._max_body = -1
            if self._body_size > self._limits.discard:
                self._respond_and_close(self._head.method, self._rejection)
            return
        if not self._body:
            self._body = piece
        else:
            # One buffer, because a body may arrive in chunks of one byte.
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece
        server = self._server
        server.held_bytes = held = server.held_bytes + len(piece)
        if held > self._limits.held_bytes:
            server.shed(self)

    def on_message_complete(self) -> None:
        """Start the request, or queue it behind earlier ones."""
        head = self._head
        if head is None:
            return
        request = _CompleteRequest(
            method=head.method,
            head=head,
            body=bytes(self._body),
            connection_line=self._connection_line,
            response=self._rejection,
        )
        self._body = b""
        self._rejection = None
        self._head = None
        self._received = 0
        self._body_size = 0
        self._continue_due = False
        if self._headers:  # trailers must not become headers of the next request
            self._headers = []
        if self._connection_line is CLOSE:
            self._closing = True
        if self.phase < _BUSY:
            self._start_request(request)
            return
        self._pipelined.append(request)
        if len(self._pipelined) >= self._limits.pipelined:
            self._closing = True  # after the queued requests

    # Before a request is complete.

    def _admit(self, head: RequestHead, fields: dict[bytes, bytes]) -> None:
        length = int(fields.get(b"content-length", b"0"))
        has_body = length > 0 or b"transfer-encoding" in fields
        expects_continue = has_body and fields.get(b"expect", b"").strip().lower() == b"100-continue"
        try:
            admitted = self._app.admit(head)
        except Exception as error:
            admitted = self._server.application_failed(error)
        if isinstance(admitted, int):
            self._max_body = admitted
            if length <= admitted:
                self._continue_due = expects_continue
                if expects_continue:
                    self._send_continue()
                return
            admitted = self._body_too_large()
        self._max_body = -1
        self._rejection = admitted
        # A client that expects 100 will not send the body. A body too long to discard ends the connection.
        if expects_continue or length > self._limits.discard:
            self._respond_and_close(head.method, admitted)

    def _body_too_large(self) -> HttpResponse:
        return self._server.error_response(413, f"The body may have at most {self._max_body} bytes")

    def _headers_too_long(self) -> tuple[int, str]:
        return 431, f"The headers may have at most {self._limits.header_bytes} bytes"

    def _send_continue(self) -> None:
        if self.phase < _BUSY:
            self._continue_due = False
            self._transport.write(CONTINUE)

    def _extend_deadline(self) -> None:
        if self.phase is _IDLE and not (self._head or self._received or self._target or self._headers):
            return  # a request has been rejected in whole, and nothing of the next one has arrived
        now, limits = self._loop.time(), self._limits
        if self._head is not None:
            if self.phase is not _BODY:
                self.phase = _BODY
                self.since = now
            slowest = self.since + limits.body_s + self._body_size / limits.body_rate
            self.expires = min(now + limits.body_s, slowest)
            if self._received > limits.header_bytes + (1 + _MAX_OVERHEAD) * self._body_size + limits.discard:
                self.reject(400, "The body has more chunk framing than content")
        else:
            if self.phase is _IDLE:
                self.phase = _HEADERS
                self.since = now
                self.expires = now + limits.header_s
            self._hold_head(self._received)
        if self.phase is _HEADERS and self._received > limits.header_bytes:
            self.reject(*self._headers_too_long())

    def reject(self, status: int, message: str) -> None:
        """Send an error after the responses that are due, then close."""
        method = "GET" if self._head is None else self._head.method
        self._respond_and_close(method, self._server.error_response(status, message))

    def _respond_and_close(self, method: str, response: HttpResponse) -> None:
        self._closing = True
        self._is_linger_due = True
        self._head = None
        self._rejection = None
        self._drop_body()
        request = _CompleteRequest(method=method, head=None, body=b"", connection_line=CLOSE, response=response)
        if self.phase < _BUSY:
            self._start_request(request)
        else:
            self._pipelined.append(request)

    # From a complete request to its response.

    def _start_request(self, request: _CompleteRequest) -> None:
        self.phase = _BUSY
        self.expires = inf
        head, response = request.head, request.response
        if head is None or response is not None:
            assert response is not None
            self._send(request.method, response, request.connection_line)
            return
        self._task = task = self._loop.create_task(self._respond(head, request.body, request.connection_line))
        self._server.tasks.add(task)

    async def _respond(self, head: RequestHead, body: bytes, connection_line: bytes) -> None:
        try:
            response = await self._app.respond(head, body)
        except Exception as error:
            response = self._server.application_failed(error)
        finally:
            self._server.tasks.discard(self._task)
            self._server.held_bytes -= len(body)
        self._send(head.method, response, connection_line)

    def _send(self, method: str, response: HttpResponse, connection_line: bytes) -> None:
        if self.phase is _CLOSING:
            return
        if (self._closing or self._server.draining) and not self._pipelined:
            connection_line = CLOSE
        transport = self._transport
        first, second = encode(response, self._server.date, connection_line, is_head=method == "HEAD")
        transport.write(first)
        if second:
            transport.write(second)
        if connection_line is CLOSE and self._is_linger_due:
            # If we closed while the client still sends, its kernel would discard our response.
            self.phase = _LINGER
            self.expires = self._loop.time() + self._limits.linger_s
            self._received = 0
            self._resume_reading()
            if transport.can_write_eof():
                transport.write_eof()
        elif connection_line is CLOSE:
            self.close()
        elif self._write_paused:
            self.phase = _SENDING
            self._unsent = transport.get_write_buffer_size()
            self.expires = self._loop.time() + self._limits.unread_s
        else:
            self._next_request()

    def _next_request(self) -> None:
        if self._pipelined:
            self._start_request(self._pipelined.popleft())
            return
        now = self._loop.time()
        self.phase = _IDLE
        self.expires = now + self._limits.idle_s
        if self._head is not None:
            self._extend_deadline()
            if self._continue_due:
                self._send_continue()
        elif self._target or self._headers:
            self.phase = _HEADERS
            self.since = now
            self.expires = now + self._limits.header_s
        if self._buffered:
            buffered, self._buffered = self._buffered, b""
            self._server.held_bytes -= len(buffered)
            self._resume_reading()
            self.data_received(buffered)

    # The end of the connection.

    def close(self) -> None:
        """Close after the written data has gone out; `expire` aborts when the client does not read it."""
        self.phase = _CLOSING
        self.expires = self._loop.time() + self._limits.unread_s
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close at once and drop unsent data."""
        self._transport.abort()

    def evict(self, message: str) -> None:
        """Respond 503 to a request that is still arriving, and close without waiting for its end."""
        if self.phase >= _BUSY:  # the response to the current request comes first
            self._drop_ahead()
            self.reject(503, message)
            return
        self._closing = True
        self._head = None
        self._rejection = None
        self._drop_body()
        self._hold_head(0)
        if self._secure:  # closing would wait for the client to end TLS
            self.phase = _CLOSING  # now, because `connection_lost` comes only in a later turn of the loop
            self.abort()
            return
        refusal = self._server.error_response(503, message)
        first, second = encode(refusal, self._server.date, CLOSE, is_head=False)
        self._transport.write(first + second)
        self.close()

    @property
    def bytes_received(self) -> int:
        """Bytes of the request that is still arriving."""
        return self._received

    @property
    def bytes_ahead(self) -> int:
        """Bytes of requests that arrived before the response to the current one."""
        if self.phase not in (_BUSY, _SENDING):
            return 0
        return len(self._body) + len(self._buffered) + sum(len(request.body) for request in self._pipelined)

    def _drop_ahead(self) -> None:
        self._server.held_bytes -= len(self._buffered) + sum(len(request.body) for request in self._pipelined)
        self._buffered = b""
        self._pipelined.clear()

    def _drop_body(self) -> None:
        if self._body:
            self._server.held_bytes -= len(self._body)
            self._body = b""

    def _hold_head(self, size: int) -> None:
        """Count `size` bytes for headers that are still arriving, in place of those counted so far."""
        self._server.held_bytes += size - self._held_head
        self._held_head = size
        if size and self._server.held_bytes > self._limits.held_bytes:
            self._server.shed(self)

    def expire(self, now: float) -> None:
        """Act on the timeout of the current phase."""
        match self.phase:
            case ConnectionPhase.IDLE:
                self.close()
            case ConnectionPhase.HEADERS:
                self.reject(408, f"The headers took more than {self._limits.header_s:g} s")
            case ConnectionPhase.BODY:
                self.reject(408, f"The body stalled for {self._limits.body_s:g} s or was too slow overall")
            case ConnectionPhase.SENDING if (left := self._transport.get_write_buffer_size()) < self._unsent:
                self._unsent = left
                self.expires = now + self._limits.unread_s
            case _:
                self.abort()

    def _buffer(self, data: bytes) -> None:
        self._received += len(data)
        if self.phase >= _LINGER:
            if self._received > self._limits.linger_bytes:
                self.abort()
            return
        if self._closing:
            return
        self._buffered += data
        self._server.held_bytes += len(data)
        if self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()
        elif len(self._buffered) > _MAX_BUFFERED:
            self.abort()

    def _resume_reading(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            self._transport.resume_reading()
