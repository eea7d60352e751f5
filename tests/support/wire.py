"""Speaks HTTP byte by byte to a server of ours, and reads what comes back."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from outdial.http import HttpResponse, HttpServer, RequestHead, listen, serving

Respond = Callable[[RequestHead, bytes], Awaitable[HttpResponse]]


@dataclass(slots=True)
class Reply:
    """One answer as it came; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def echo(head: RequestHead, body: bytes) -> HttpResponse:
    """Answer with what was asked."""
    said = f"{head.method} {head.path} {head.query} ".encode() + body
    return HttpResponse(200, [(b"content-type", b"text/plain")], said)


@dataclass(slots=True)
class App:
    """An application for tests: `admitted` is what it answers of a head, `asked` what it was asked to respond to."""

    respond_with: Respond = echo
    admitted: "int | HttpResponse" = 1000
    asked: list[tuple[RequestHead, bytes]] = field(default_factory=list)

    def admit(self, head: RequestHead) -> "int | HttpResponse":
        """Return `admitted`."""
        return self.admitted

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Take a note of the request, and respond."""
        self.asked.append((head, body))
        return await self.respond_with(head, body)


class Wire:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, **options: Any) -> Self:
        """Connect to `port` of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, **options))

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)

    def send_eof(self) -> None:
        """Tell that nothing more will come."""
        self._writer.write_eof()

    async def read_line(self) -> bytes:
        """Return the next line with its end."""
        return await asyncio.wait_for(self._reader.readline(), 30)

    async def reply(self, *, to_head: bool = False) -> Reply:
        """Return the next answer; that to a HEAD request has no body."""
        status_line = await self.read_line()
        assert status_line.startswith(b"HTTP/1.1 "), status_line
        headers: dict[str, str] = {}
        while (line := (await self.read_line()).strip()) != b"":
            name, _, value = line.decode().partition(": ")
            assert name not in headers, f"{name} came twice"
            headers[name] = value
        length = 0 if to_head else int(headers.get("content-length", 0))
        return Reply(int(status_line.split()[1]), headers, await self._reader.readexactly(length))

    async def ask(self, data: bytes) -> Reply:
        """Send a request and return its answer."""
        self.send(data)
        return await self.reply()

    async def rest(self) -> bytes:
        """Return all that comes until the server closes the connection; a reset counts as its end."""
        try:
            return await asyncio.wait_for(self._reader.read(), 30)
        except ConnectionResetError:
            return b""

    def tear_off(self) -> None:
        """End the connection with a reset, as a machine does that has lost it."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


@dataclass(slots=True)
class Served:
    """A server under test and its application."""

    server: HttpServer
    app: App
    port: int
    _stack: AsyncExitStack

    async def connect(self, **options: Any) -> Wire:
        """Open a connection, which is closed at the end of the test."""
        wire = await Wire.open(self.port, **options)
        self._stack.push_async_callback(wire.close)
        return wire


@asynccontextmanager
async def served(app: App | None = None, **options: Any) -> AsyncIterator[Served]:
    """Serve `app` on a free port; `options` are those of `serving`."""
    app = app or App()
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(app, listener, **options))
        yield Served(server, app, port, await stack.enter_async_context(AsyncExitStack()))


def post(body: bytes = b"", *headers: str, path: str = "/", length: int | None = None) -> bytes:
    """Return a POST request of HTTP/1.1."""
    lines = [f"POST {path} HTTP/1.1", "host: test", f"content-length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def get(*headers: str, path: str = "/", version: str = "1.1", method: str = "GET") -> bytes:
    """Return a request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/{version}", "host: test", *headers, "", ""]).encode()
