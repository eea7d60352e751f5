"""A request as a function sees it: nothing is read or parsed before it is asked for."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload
from urllib.parse import parse_qsl

import msgspec

from outdial.functions.asgi import Receive, Scope
from outdial.functions.errors import ClientDisconnected, HttpError

T = TypeVar("T")

MIB = 1 << 20


class Headers(Mapping[str, str]):
    """The headers of a request, found by name in any case; one sent several times is joined by commas."""

    __slots__ = ("_values",)

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        values: dict[str, str] = {}
        for raw_name, raw_value in raw:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            values[name] = f"{values[name]}, {value}" if name in values else value
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Request:
    """One HTTP request. `path` begins with the slug, as on Supabase: `/hello/world` for /functions/v1/hello/world."""

    __slots__ = ("_body", "_headers", "_receive", "_scope", "max_body", "method", "path")

    def __init__(self, scope: Scope, receive: Receive, path: str, *, max_body: int = MIB) -> None:
        self._scope = scope
        self._receive = receive
        self._headers: Headers | None = None
        self._body: bytes | None = None
        self.method: str = scope["method"]
        self.path = path
        self.max_body = max_body

    @property
    def headers(self) -> Headers:
        """The headers, by name in any case."""
        if self._headers is None:
            self._headers = Headers(self._scope["headers"])
        return self._headers

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of one given several times, the last."""
        return dict(parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True))

    async def body(self) -> bytes:
        """Return the raw body, as often as it is asked for; HttpError 413 when it exceeds the function's bound."""
        if self._body is None:
            self._body = await self._read()
        return self._body

    @overload
    async def json(self) -> Any: ...

    @overload
    async def json(self, type: type[T]) -> T: ...

    async def json(self, type: Any = Any) -> Any:
        """Return the body parsed, and with `type` (a msgspec struct, a dataclass, ...) checked and converted.

        HttpError 400 INVALID_JSON when it is no JSON, 400 INVALID_BODY when it does not fit `type`.
        """
        body = await self.body()
        try:
            return msgspec.json.decode(body, type=type)
        except msgspec.ValidationError as error:
            raise HttpError(400, "INVALID_BODY", f"The body does not fit: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = f"it does not parse ({error})" if body else "it is empty"
            raise HttpError(400, "INVALID_JSON", f"Send a JSON document as the body: {reason}") from error

    async def _read(self) -> bytes:
        body: bytes = b""
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientDisconnected
            body, more = message.get("body", b""), message.get("more_body", False)
            size += len(body)
            if size > self.max_body:
                raise HttpError(413, "BODY_TOO_LARGE", f"The body may have {self.max_body} bytes at most")
            chunks.append(body)
        return body if len(chunks) == 1 else b"".join(chunks)
