"""An answer of a function, and the headers that every answer carries."""

import re
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from outdial.functions.asgi import Message
from outdial.functions.errors import HttpError

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# As in @supabase/supabase-js/cors. They are on errors too: a browser hides the status of an answer without them.
CORS_HEADERS: Final[Mapping[str, str]] = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": (
        "authorization, x-client-info, apikey, content-type, x-retry-count, traceparent, tracestate, baggage"
    ),
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "access-control-expose-headers": "sb-error-code, sb-request-id",
}
_STANDING = [
    *((name.encode(), value.encode()) for name, value in CORS_HEADERS.items()),
    (b"x-served-by", b"outdial-functions"),
]


class Response:
    """A status, headers and a body. Text is sent as UTF-8; a header given here replaces the standing one."""

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
        self._headers = _encode(headers) if headers else ()
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

    def start(self, request_id: str) -> Message:
        """Return the ASGI message that opens this answer."""
        headers = [*_STANDING, (b"sb-request-id", request_id.encode())]
        if self.status not in (204, 304):
            headers.append((b"content-type", self.content_type.encode()))
            headers.append((b"content-length", b"%d" % len(self.body)))
        if self._headers:
            replaced = {name for name, _ in self._headers}
            headers = [*(pair for pair in headers if pair[0] not in replaced), *self._headers]
        return {"type": "http.response.start", "status": self.status, "headers": headers}


def _encode(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    for name, value in headers.items():
        if _CONTROL.search(name) or _CONTROL.search(value):
            raise ValueError(f"the header {name!r} holds a control character")
    return tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())


PREFLIGHT: Final = Response(status=204)
