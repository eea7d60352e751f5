"""How an answer goes over the wire."""

from http import HTTPStatus
from typing import Final

import msgspec

from outdial.http.message import HttpResponse

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# The header line that says what becomes of the connection; HTTP/1.1 keeps it without a word.
KEEP: Final = b""
KEEP_1_0: Final = b"connection: keep-alive\r\n"
CLOSE: Final = b"connection: close\r\n"

_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}
_BODILESS: Final = frozenset({204, 304})
# A body above this is handed over apart from its head rather than copied; the kernel gets both in one call.
_COPIED: Final = 64 * 1024


def encode(answer: HttpResponse, date: bytes, ending: bytes, *, is_head: bool) -> tuple[bytes, bytes]:
    """Return what to write, the second part mostly empty; `date` and `ending` are header lines.

    An answer to HEAD tells the length of a body that is not sent (RFC 9110, 9.3.2); 204 and 304 have none (6.4.1).
    """
    status, body = answer.status, answer.body
    status_line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    if status in _BODILESS:
        return b"".join((status_line, answer.headers, date, ending, b"\r\n")), b""
    length = b"content-length: %d\r\n\r\n" % len(body)
    if is_head or len(body) > _COPIED:
        return b"".join((status_line, answer.headers, date, ending, length)), b"" if is_head else body
    return b"".join((status_line, answer.headers, date, ending, length, body)), b""


def plain_error(status: int, message: str) -> HttpResponse:
    """Return `{"error", "code", "message"}`, the code being the status' own name in capitals."""
    code = HTTPStatus(status).name
    body = msgspec.json.encode({"error": message, "code": code, "message": message})
    return HttpResponse(status, b"content-type: application/json\r\n", body)
