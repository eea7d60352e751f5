"""Requests and responses as they pass between the HTTP server and an application."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

HeaderPairs = Sequence[tuple[bytes, bytes]]


class RequestHead(msgspec.Struct):
    """Request line and headers; header names are in lower case, values as sent.

    `path` and `query` are percent-encoded, as sent. `client` is the peer's address. `secure` is true on a TLS
    connection.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    client: str = ""
    secure: bool = False


class HttpResponse(msgspec.Struct):
    """Status, headers and body.

    The server adds `date`, `content-length` and `connection`, so `headers` must not contain them. It renders the pairs
    unchecked: names and values must be free of CR and LF.
    """

    status: int
    headers: HeaderPairs = ()
    body: bytes = b""


# Makes the response to a request that no application sees. Arguments: the status (400, 408, 413, 431, 500, 501, 503 or
# 505) and a message.
ErrorResponder = Callable[[int, str], HttpResponse]


class Application(Protocol):
    """What the server calls for each request."""

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the largest body to accept, in bytes, or a response that needs no body. Called before the body."""
        ...

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Return the response. The server never cancels this call; an exception becomes a 500."""
        ...


def header_pairs(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return `headers` encoded in latin-1. Raise ValueError when one contains CR or LF."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    for pair in pairs:
        if any(b"\r" in part or b"\n" in part for part in pair):
            raise ValueError(f"the header {pair[0]!r} contains a line break")
    return pairs
