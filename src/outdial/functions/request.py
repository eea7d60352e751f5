"""The request of a function. It parses query and body on demand."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload
from urllib.parse import parse_qsl

import msgspec

from outdial.functions.errors import HttpError

T = TypeVar("T")

MIB = 1 << 20

RawHeaders = Sequence[tuple[bytes, bytes]]


class Headers(Mapping[str, str]):
    """Request headers by case-insensitive name. Repeated headers are joined by commas."""

    __slots__ = ("_raw",)

    def __init__(self, raw: RawHeaders) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        # A function reads one or two headers: scanning the list costs less than building a dictionary.
        wanted = name.lower().encode("latin-1", "replace")
        values = [value for key, value in self._raw if key == wanted]
        if not values:
            raise KeyError(name)
        return ", ".join(value.decode("latin-1").strip(" \t") for value in values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self._raw))

    def __len__(self) -> int:
        return len({name for name, _ in self._raw})


class Request:
    """One HTTP request with its complete body.

    `path` begins with the slug, as on Supabase: `/hello/world` for /functions/v1/hello/world. It is percent-decoded.
    The constructor takes `query` percent-encoded and header names in lower case.
    """

    __slots__ = ("_body", "_query", "_raw_headers", "max_body", "method", "path")

    def __init__(self, method: str, path: str, query: str, headers: RawHeaders, body: bytes) -> None:
        self.method = method
        self.path = path
        self.max_body = MIB
        self._query = query
        self._raw_headers = headers
        self._body = body

    @property
    def headers(self) -> Headers:
        """The headers by case-insensitive name."""
        return Headers(self._raw_headers)

    @property
    def query(self) -> dict[str, str]:
        """The query parameters. The last value of a repeated parameter wins."""
        return dict(parse_qsl(self._query, keep_blank_values=True))

    async def body(self) -> bytes:
        """Return the raw body. Raise HttpError 413 when it exceeds the function's `max_body`."""
        if len(self._body) > self.max_body:
            raise HttpError(413, "BODY_TOO_LARGE", f"The body may have at most {self.max_body} bytes")
        return self._body

    @overload
    async def json(self) -> Any: ...

    @overload
    async def json(self, type: type[T]) -> T: ...

    async def json(self, type: Any = Any) -> Any:
        """Return the parsed body, validated against `type` (a msgspec struct, a dataclass, ...) when given.

        Raises HttpError 400 INVALID_JSON when it is not JSON, and 400 INVALID_BODY when it does not match `type`.
        """
        body = await self.body()
        try:
            return msgspec.json.decode(body, type=type)
        except msgspec.ValidationError as error:
            raise HttpError(400, "INVALID_BODY", f"The body does not match: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = f"it does not parse ({error})" if body else "it is empty"
            raise HttpError(400, "INVALID_JSON", f"Send a JSON document as the body: {reason}") from error
