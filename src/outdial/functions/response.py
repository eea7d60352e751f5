"""An answer of a function, and the headers that every answer carries."""

import re
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from outdial.functions.errors import HttpError
from outdial.http import HttpResponse

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# A token of RFC 9110, 5.6.2.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WITHOUT_TYPE = frozenset({204, 304})

# As in @supabase/supabase-js/cors. They are on errors too: a browser hides the status of an answer without them.
CORS_HEADERS: Final[Mapping[str, str]] = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": (
        "authorization, x-client-info, apikey, content-type, x-retry-count, traceparent, tracestate, baggage"
    ),
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "access-control-expose-headers": "sb-error-code, sb-request-id, retry-after, x-relay-error",
}
_STANDING: Final[Mapping[str, str]] = {**CORS_HEADERS, "x-served-by": "outdial-functions"}
_STANDING_LINES: Final = "".join(f"{name}: {value}\r\n" for name, value in _STANDING.items()).encode()
# These belong to the connection, of which a function knows nothing.
_OF_THE_SERVER = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"})


class Response:
    """A status, headers and a body. Text is sent as UTF-8; a header given here replaces the standing one.

    Raises ValueError for a header that could not be sent. What belongs to the connection (`content-length`, `date`,
    ...) is left to the server: such headers are passed over.
    """

    __slots__ = ("_headers", "body", "content_type", "status")

    def __init__(
        self,
        body: bytes | str = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> None:
        self.status = status
        self._headers = _checked(headers) if headers else None
        if content_type is not None:
            _check("content-type", content_type)
        self.content_type = content_type or (_TEXT if isinstance(body, str) else _BYTES)
        self.body = body.encode() if isinstance(body, str) else body

    @classmethod
    def json(cls, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        """Return `value` as JSON; UUIDs, datetimes, dataclasses and msgspec structs are written as one expects."""
        return cls(msgspec.json.encode(value), status=status, headers=headers, content_type=_JSON)

    @classmethod
    def of(cls, error: HttpError, *, headers: Mapping[str, str] | None = None) -> Self:
        """Return an error as Supabase's clients read it: `error` for the Python one, `code` and `message` for all."""
        body = {"error": error.message, "code": error.code, "message": error.message, **error.fields}
        text = msgspec.json.encode(body, enc_hook=str)
        own = {"sb-error-code": error.code, **(headers or {})}
        return cls(text, status=error.status, headers=own, content_type=_JSON)

    def answer(self, request_id: str) -> HttpResponse:
        """Return what goes over the wire, with the headers that every answer carries."""
        if self._headers is not None:
            return HttpResponse(self.status, self._lines(self._headers, request_id), self.body)
        # A header block that says no more than this is most of them; it costs one formatting.
        if self.status in _WITHOUT_TYPE:
            return HttpResponse(self.status, b"%bsb-request-id: %b\r\n" % (_STANDING_LINES, request_id.encode()))
        lines = f"sb-request-id: {request_id}\r\ncontent-type: {self.content_type}\r\n"
        return HttpResponse(self.status, _STANDING_LINES + lines.encode("latin-1"), self.body)

    def _lines(self, own: Mapping[str, str], request_id: str) -> bytes:
        headers = {**_STANDING, "sb-request-id": request_id}
        if self.status not in _WITHOUT_TYPE:
            headers["content-type"] = self.content_type
        return "".join(f"{name}: {value}\r\n" for name, value in {**headers, **own}.items()).encode("latin-1")


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        _check(name, value)
    named = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in named.items() if name not in _OF_THE_SERVER}


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or _CONTROL.search(value):
        raise ValueError(f"the header {name!r} holds a character that no header may hold")
    value.encode("latin-1")  # UnicodeEncodeError is a ValueError


PREFLIGHT: Final = Response(status=204)
