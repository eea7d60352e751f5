"""Renders responses to bytes."""

from http import HTTPStatus
from typing import Final

import msgspec

from outdial.errors_http import error_body
from outdial.http.message import HttpResponse

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# The `connection` header line. HTTP/1.1 keeps the connection by default.
KEEP: Final = b""
KEEP_1_0: Final = b"connection: keep-alive\r\n"
CLOSE: Final = b"connection: close\r\n"

_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}
_BODILESS: Final = frozenset({204, 304})
# A larger body is written separately from the headers to avoid a copy; the kernel gets both in one call.
_COPIED: Final = 64 * 1024


def encode(response: HttpResponse, date: bytes, connection: bytes, *, is_head: bool) -> tuple[bytes, bytes]:
    """Return the two parts to write, the second usually empty; `date` and `connection` are header lines.

    The response to HEAD has the content-length of the body it omits (RFC 9110, 9.3.2). 204 and 304 have no body
    (RFC 9110, 6.4.1).
    """
    status, body = response.status, response.body
    status_line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    lines = [b"%b: %b\r\n" % pair for pair in response.headers]
    if status in _BODILESS:
        return b"".join((status_line, *lines, date, connection, b"\r\n")), b""
    length = b"content-length: %d\r\n\r\n" % len(body)
    if is_head or len(body) > _COPIED:
        return b"".join((status_line, *lines, date, connection, length)), b"" if is_head else body
    return b"".join((status_line, *lines, date, connection, length, body)), b""


def plain_error(status: int, message: str) -> HttpResponse:
    """Return a JSON error whose code is the name of the status, such as REQUEST_TIMEOUT."""
    body = msgspec.json.encode(error_body(HTTPStatus(status).name, message))
    return HttpResponse(status, [(b"content-type", b"application/json")], body)
