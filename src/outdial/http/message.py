"""What passes between the wire and an application: the head of a request, its body, and an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class RequestHead:
    """The request line and the headers; names are in lower case, values as sent.

    `path` is the target's path as sent (percent-encoded), `query` what follows its question mark; `client` is the
    address of the other end, and `secure` tells that the connection itself is TLS.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    client: str = ""
    secure: bool = False


@dataclass(slots=True)
class HttpResponse:
    """A status, header lines that each end with CRLF, and a body.

    The server adds `date`, `content-length` and `connection`; they must not be among `headers`.
    """

    status: int
    headers: bytes
    body: bytes = b""


# Makes the answer to what no application sees, of a status and a sentence: 400, 408, 413, 431, 500, 501, 503, 505.
ErrorResponder = Callable[[int, str], HttpResponse]


class Application(Protocol):
    """What a server asks for each request."""

    def admit(self, head: RequestHead) -> "int | HttpResponse":
        """Return the most bytes that the body may have, or an answer that needs no body; called before it is read."""
        ...

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Return the answer; it is never cancelled, and an exception becomes a bare 500."""
        ...
