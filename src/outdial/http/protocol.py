"""One connection: bytes in, requests to the application one after the other, answers out in the same order."""

import asyncio
from collections import deque
from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING, Final, cast

import httptools

from outdial.http.encoding import CLOSE, CONTINUE, KEEP, KEEP_1_0, encode
from outdial.http.framing import Headers, find_fault, parse_target, without_upgrade
from outdial.http.message import HttpResponse, RequestHead

if TYPE_CHECKING:
    from outdial.http.server import HttpServer


class ConnectionPhase(IntEnum):
    """What a connection waits for; only the first three take bytes of a request."""

    IDLE = 0  # a request
    HEAD = 1  # the rest of the headers
    BODY = 2  # the rest of the body
    BUSY = 3  # the application
    SENDING = 4  # the client, which has to take what was written
    LINGER = 5  # the client, which may still be sending what nobody reads
    CLOSING = 6  # the end


# Read as globals on every request: an attribute of an enumeration costs more.
_IDLE, _HEAD, _BODY, _BUSY, _SENDING, _LINGER, _CLOSING = ConnectionPhase

# What is not body (chunk sizes, trailers) may be this many times as much as what is.
_OVERHEAD: Final = 8
_HELD: Final = 1024 * 1024

_Complete = tuple[str, RequestHead | None, bytes, bytes, HttpResponse | None]


class HttpConnection(asyncio.Protocol):
    """One connection, driven by the event loop. `expires` is the loop's time at which `expire` has to be called."""

    def __init__(self, server: "HttpServer") -> None:
        self._server, self._app, self._bounds = server, server.app, server.bounds
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._client, self._secure = "", False
        self.phase: ConnectionPhase = _IDLE
        self.expires = self._loop.time() + server.bounds.idle_s
        # The request that is being read.
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: RequestHead | None = None
        self._ending = KEEP
        self._body: bytes | bytearray = b""
        self._fed = self._size = self._limit = 0
        self._refusal: HttpResponse | None = None
        self._continue_due = False
        self._began = 0.0
        self._again: bytes | None = None
        # Requests that were sent ahead of their answers, and bytes that came while the application was busy.
        self._waiting: deque[_Complete] = deque()
        self._held = b""
        self._is_reading = True
        # Nothing more is taken; and whether the client may not know that yet.
        self._closing = self._is_linger_due = False
        self._unwritable, self._unsent = False, 0
        self._task: asyncio.Task[None] | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a server that has too many connections answers 503 at once."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) and peer else ""
        self._secure = transport.get_extra_info("ssl_object") is not None
        if not self._server.take(self):
            self.refuse(503, "There are too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """End; a request under way is carried out nevertheless."""
        self.phase, self.expires, self._closing = _CLOSING, inf, True
        self._waiting.clear()
        self._server.lose(self)

    def eof_received(self) -> bool:
        """Keep the connection for the answers that are due to a client that has nothing more to say."""
        self._closing = True
        return self.phase in (_BUSY, _SENDING) and not self._secure

    def pause_writing(self) -> None:
        """Take note that the client is slower than its answers."""
        self._unwritable = True

    def resume_writing(self) -> None:
        """Go on with the next request."""
        self._unwritable = False
        if self.phase is _SENDING:
            self._proceed()

    def data_received(self, data: bytes) -> None:
        """Read on; what comes while the application is busy waits."""
        if self.phase > _BODY:
            self._hold(data)
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_again(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._misread(error)
        if self.phase < _BUSY:
            self._note_progress()

    # What the parser calls.

    def on_url(self, target: bytes) -> None:
        """Take the request's target, or a part of it."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which nobody reads."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide whether the body may come."""
        headers, self._headers = self._headers, []
        raw_target, self._target = self._target, b""
        if self._closing:
            return
        parser, fields = self._parser, dict(headers)
        version, method = parser.get_http_version(), parser.get_method()
        if b"upgrade" in fields and method != b"CONNECT" and parser.should_upgrade():
            self._again = without_upgrade(method, raw_target, headers)
            return
        fault = find_fault(version, headers, fields, self._bounds.header_lines)
        if fault is None and self._fed > self._bounds.header_bytes:
            fault = self._fault_of_size(raw_target, headers)
        target = parse_target(raw_target)
        if fault is not None or target is None:
            self.refuse(*(fault or (400, "The target of the request is no path")))
            return
        self._head = RequestHead(method.decode(), *target, headers, self._client, self._secure)
        if not parser.should_keep_alive():
            self._ending = CLOSE
        else:
            self._ending = KEEP if version == "1.1" else KEEP_1_0
        self._admit(self._head, fields)

    def on_body(self, piece: bytes) -> None:
        """Take a part of the body."""
        self._size += len(piece)
        if self._size > self._limit:
            self._overrun()
        elif not self._body:
            self._body = piece
        else:
            # One buffer, since a body may come in chunks of a byte.
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece

    def on_message_complete(self) -> None:
        """Hand the request over, or let it wait for those before it."""
        head = self._head
        if head is None:
            return
        body, self._body = bytes(self._body), b""
        refusal, self._refusal, self._head = self._refusal, None, None
        self._fed = self._size = 0
        self._continue_due = False
        if self._headers:  # trailers, which must not pass for headers of the next request
            self._headers = []
        if self._ending is CLOSE:
            self._closing = True
        if self.phase < _BUSY:
            self._begin(head.method, head, body, self._ending, refusal)
            return
        self._waiting.append((head.method, head, body, self._ending, refusal))
        if len(self._waiting) >= self._bounds.pipelined:
            self._closing = True  # after those that wait

    # Before a request is complete.

    def _admit(self, head: RequestHead, fields: dict[bytes, bytes]) -> None:
        length = int(fields.get(b"content-length", b"0"))
        has_body = length > 0 or b"transfer-encoding" in fields
        expects = has_body and fields.get(b"expect", b"").strip().lower() == b"100-continue"
        try:
            admitted = self._app.admit(head)
        except Exception as error:
            admitted = self._server.failed(error)
        if isinstance(admitted, int):
            self._limit = admitted
            if length <= admitted:
                self._continue_due = expects
                if expects:
                    self._send_continue()
                return
            admitted = self._too_large()
        self._limit, self._refusal = -1, admitted
        # Who asked first will not send the body; and one that is too long to be read for nothing ends the connection.
        if expects or length > self._bounds.discard:
            self._refuse(head.method, admitted)

    def _overrun(self) -> None:
        if self._head is None:
            return
        if self._refusal is None:
            self._refusal = self._too_large()
            self._body = b""
            self._limit = -1
        if self._size > self._bounds.discard:
            self._refuse(self._head.method, self._refusal)

    def _too_large(self) -> HttpResponse:
        return self._server.errors(413, f"The body may have {self._limit} bytes at most")

    def _send_continue(self) -> None:
        if self.phase < _BUSY:
            self._continue_due = False
            self._transport.write(CONTINUE)

    def _note_progress(self) -> None:
        now, bounds = self._loop.time(), self._bounds
        if self._head is not None:
            if self.phase is not _BODY:
                self.phase, self._began = _BODY, now
            slowest = self._began + bounds.body_s + self._size / bounds.body_rate
            self.expires = min(now + bounds.body_s, slowest)
            if self._fed > bounds.header_bytes + (1 + _OVERHEAD) * self._size + bounds.discard:
                self.refuse(400, "The body has more frame than content")
        elif self.phase is _IDLE:
            self.phase, self.expires = _HEAD, now + bounds.header_s
        if self.phase is _HEAD and self._fed > bounds.header_bytes:
            self.refuse(*self._too_long())

    def _fault_of_size(self, target: bytes, headers: Headers) -> tuple[int, str] | None:
        size = len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
        return self._too_long() if size > self._bounds.header_bytes else None

    def _too_long(self) -> tuple[int, str]:
        return 431, f"The headers may have {self._bounds.header_bytes} bytes at most"

    def _read_again(self, rest: bytes) -> None:
        head, self._again = self._again, None
        if head is None:  # CONNECT: what follows is not for us
            self._closing = True
            return
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _misread(self, error: httptools.HttpParserError) -> None:
        if self._closing:
            return
        if isinstance(error, httptools.HttpParserCallbackError):
            self._refuse("GET", self._server.failed(error))
        else:
            self.refuse(400, f"This is no HTTP request: {error}")

    def refuse(self, status: int, message: str) -> None:
        """Answer with an error, after the answers that are due, and take nothing more."""
        method = "GET" if self._head is None else self._head.method
        self._refuse(method, self._server.errors(status, message))

    def _refuse(self, method: str, answer: HttpResponse) -> None:
        self._closing = self._is_linger_due = True
        self._head, self._refusal, self._body = None, None, b""
        if self.phase < _BUSY:
            self._begin(method, None, b"", CLOSE, answer)
        else:
            self._waiting.append((method, None, b"", CLOSE, answer))

    # From a complete request to its answer.

    def _begin(
        self, method: str, head: RequestHead | None, body: bytes, ending: bytes, answer: HttpResponse | None
    ) -> None:
        self.phase, self.expires = _BUSY, inf
        if head is None or answer is not None:
            assert answer is not None
            self._send(method, answer, ending)
            return
        self._task = task = self._loop.create_task(self._respond(head, body, ending))
        self._server.tasks.add(task)

    async def _respond(self, head: RequestHead, body: bytes, ending: bytes) -> None:
        try:
            answer = await self._app.respond(head, body)
        except Exception as error:
            answer = self._server.failed(error)
        finally:
            self._server.tasks.discard(self._task)
        self._send(head.method, answer, ending)

    def _send(self, method: str, answer: HttpResponse, ending: bytes) -> None:
        if self.phase is _CLOSING:
            return
        if (self._closing or self._server.draining) and not self._waiting:
            ending = CLOSE
        transport = self._transport
        first, second = encode(answer, self._server.date, ending, is_head=method == "HEAD")
        transport.write(first)
        if second:
            transport.write(second)
        if ending is CLOSE:
            self._end()
        elif self._unwritable:
            self.phase, self._unsent = _SENDING, transport.get_write_buffer_size()
            self.expires = self._loop.time() + self._bounds.unread_s
        else:
            self._proceed()

    def _proceed(self) -> None:
        if self._waiting:
            self._begin(*self._waiting.popleft())
            return
        now = self._loop.time()
        self.phase, self.expires = _IDLE, now + self._bounds.idle_s
        if self._head is not None:
            self._note_progress()
            if self._continue_due:
                self._send_continue()
        elif self._target or self._headers:
            self.phase, self.expires = _HEAD, now + self._bounds.header_s
        if self._held:
            held, self._held = self._held, b""
            self._resume_reading()
            self.data_received(held)

    # The end.

    def _end(self) -> None:
        now = self._loop.time()
        if self._is_linger_due:
            # Closing while the client still sends would make its kernel throw our answer away.
            self.phase, self.expires, self._fed = _LINGER, now + self._bounds.linger_s, 0
            self._resume_reading()
            if self._transport.can_write_eof():
                self._transport.write_eof()
            return
        self.close()

    def close(self) -> None:
        """Close once what was written has gone out; `expire` sees to it that this ends."""
        self.phase, self.expires = _CLOSING, self._loop.time() + self._bounds.unread_s
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def expire(self, now: float) -> None:
        """Do what is due when `expires` has passed."""
        match self.phase:
            case ConnectionPhase.IDLE:
                self.close()
            case ConnectionPhase.HEAD:
                self.refuse(408, f"The headers took more than {self._bounds.header_s:g} s")
            case ConnectionPhase.BODY:
                self.refuse(408, f"The body made no progress for {self._bounds.body_s:g} s, or came too slowly")
            case ConnectionPhase.SENDING if (left := self._transport.get_write_buffer_size()) < self._unsent:
                self._unsent, self.expires = left, now + self._bounds.unread_s
            case _:
                self.abort()

    def _hold(self, data: bytes) -> None:
        self._fed += len(data)
        if self.phase >= _LINGER:
            if self._fed > self._bounds.linger_bytes:
                self.abort()
            return
        if self._closing:
            return
        self._held += data
        if self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()
        elif len(self._held) > _HELD:
            self.abort()

    def _resume_reading(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            self._transport.resume_reading()
