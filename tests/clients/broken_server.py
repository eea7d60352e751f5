"""A server whose responses are broken in the way that the first part of the path names."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_PAGE = b"<html>It works!</html>"
_HTML = {"content-type": "text/html"}
_JSON = {"content-type": "application/json"}
UNREACHABLE = "http://127.0.0.1:1"


def _response(status: int, body: bytes, headers: dict[str, str], *, announced: int | None = None) -> bytes:
    length = len(body) if announced is None else announced
    lines = {**headers, "content-length": str(length), "connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} So\r\n{head}\r\n".encode() + body


def _json(status: int, body: object, **headers: str) -> bytes:
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    return _response(status, json.dumps(body).encode(), _JSON | own)


_RESPONSES: dict[str, bytes] = {
    "cut": b"",
    "half": _response(200, b'{"success": tr', _JSON, announced=200),
    "page-502": _response(502, _PAGE, _HTML),
    "empty-500": _response(500, b"", {}),
    "list-400": _json(400, ["no"]),
    "older-401": _json(401, {"msg": "Invalid JWT"}),
    "coded-503": _response(503, b"", {"sb-error-code": "BOOT_ERROR"}),
    "limited-429": _json(429, {"code": "RATE_LIMITED", "message": "Slow down"}, retry_after="7"),
    "relay-502": _json(502, {"code": "REGION_UNREACHABLE", "message": "It does not respond"}, x_relay_error="true"),
    "page-200": _response(200, _PAGE, _HTML),
    "broken-200": _response(200, b'{"success": tr', _JSON),
    "foreign-200": _json(200, {"success": True, "status": "active", "changed": "yes"}),
    "list-200": _json(200, []),
    "missing-404": _json(404, {"code": "NOT_FOUND", "message": "Requested function was not found"}),
}
# These keep the connection open until the client gives up.
_OPEN: dict[str, bytes] = {"silent": b"", "stalls": _response(200, b'{"success": tr', _JSON, announced=200)}


class BrokenServer:
    """URLs by fault, and the heads of the requests received."""

    def __init__(self) -> None:
        self.base = ""
        self.heads: list[str] = []

    @property
    def urls(self) -> dict[str, str]:
        """URL of each fault."""
        return {name: f"{self.base}/{name}" for name in (*_RESPONSES, *_OPEN, "moved")} | {"unreachable": UNREACHABLE}

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request and send the broken response that its path names."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length:"))
            await reader.readexactly(int(length.partition(":")[2]))
            name = head.split("/")[1]
            moved = _response(307, b"", {"location": f"{self.base}/page-200/elsewhere"})
            writer.write(moved if name == "moved" else {**_RESPONSES, **_OPEN}[name])
            await writer.drain()
            if name in _OPEN:
                await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def broken_server() -> AsyncIterator[BrokenServer]:
    """Serve on a free port while the block runs."""
    faults = BrokenServer()
    server = await asyncio.start_server(faults.respond, "127.0.0.1", 0)
    faults.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield faults
