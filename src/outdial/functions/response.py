"""The response of a function, and the default headers of every response."""

import re
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from outdial.errors_http import CORS_HEADERS, error_body, preflight_headers
from outdial.functions.errors import HttpError
from outdial.http import HttpResponse, header_pairs

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# A token of RFC 9110, 5.6.2.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BODILESS = frozenset({204, 304})

_DEFAULTS: Final[Mapping[str, str]] = {**CORS_HEADERS, "x-served-by": "outdial-functions"}
_DEFAULT_PAIRS: Final = header_pairs(_DEFAULTS)
_CORS_PAIRS: Final = header_pairs(CORS_HEADERS)
# The HTTP server writes these.
_SERVER_HEADERS = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"})


class Response:
    """Status, headers and body. Text is sent as UTF-8; `headers` replace default headers of the same name.

    Raises ValueError for an invalid header. Headers that the server writes (`content-length`, `date`, ...) are ignored.
    """

    __slots__ = ("_headers", "body", "content_type", "status")

    def __init__(
        self,
        body: str | bytes = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> None:
        self.status = status
        self._headers: dict[str, str] | None = None
        if headers:
            for name, value in headers.items():
                _check(name, value)
            own = {name.lower(): value for name, value in headers.items()}
            self._headers = {name: value for name, value in own.items() if name not in _SERVER_HEADERS}
        if content_type is not None:
            _check("content-type", content_type)
        self.content_type = content_type or (_TEXT if isinstance(body, str) else _BYTES)
        self.body = body.encode() if isinstance(body, str) else body

    @classmethod
    def json(cls, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        """Return `value` as JSON. Supports UUIDs, datetimes, dataclasses and msgspec structs."""
        return cls(msgspec.json.encode(value), status=status, headers=headers, content_type=_JSON)

    @classmethod
    def from_error(cls, error: HttpError, *, headers: Mapping[str, str] | None = None) -> Self:
        """Return `error` as JSON, with its code in the header `sb-error-code`."""
        body = msgspec.json.encode(error_body(error.code, error.message, error.fields), enc_hook=str)
        headers = {"sb-error-code": error.code, **(headers or {})}
        return cls(body, status=error.status, headers=headers, content_type=_JSON)

    def to_http(self, request_id: str | None) -> HttpResponse:
        """Return the response for the HTTP server, with default headers and `sb-request-id`.

        Without a `request_id`, as a worker calls it, the headers that the function host adds are left out.
        """
        if self._headers is None:
            pairs = [*_CORS_PAIRS] if request_id is None else [*_DEFAULT_PAIRS, (b"sb-request-id", request_id.encode())]
            if self.status in _BODILESS:
                return HttpResponse(self.status, pairs)
            pairs.append((b"content-type", self.content_type.encode("latin-1")))
            return HttpResponse(self.status, pairs, self.body)
        headers = {**CORS_HEADERS} if request_id is None else {**_DEFAULTS, "sb-request-id": request_id}
        if self.status not in _BODILESS:
            headers["content-type"] = self.content_type
        return HttpResponse(self.status, header_pairs({**headers, **self._headers}), self.body)


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or _CONTROL.search(value):
        raise ValueError(f"the header {name!r} contains an invalid character")
    value.encode("latin-1")  # UnicodeEncodeError is a ValueError


def preflight(requested: str, allowed: str | None = None) -> Response:
    """Return the response to a preflight that asks for the request headers in the list `requested`.

    It allows all of them, or those in the list `allowed`.
    """
    headers = preflight_headers(requested) if allowed is None else {"access-control-allow-headers": allowed}
    return Response(status=204, headers=headers)
