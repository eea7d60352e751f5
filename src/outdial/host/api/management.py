"""The part of Supabase's Management API with which its stock command line deploys here, and what Outdial adds to it."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote

import asyncpg
import msgspec

from outdial.db.queries.host.secrets import FoundToken
from outdial.host.api.tokens import TOKEN, AccessTokens, hash_of
from outdial.host.deployments.errors import DeploymentError, FunctionNotFound, NoEarlierVersion, VersionsRefused
from outdial.host.deployments.multipart import InvalidForm
from outdial.host.deployments.secrets import InvalidSecret
from outdial.host.pool.token_bucket import TokenBucket
from outdial.host.wire.config import MIB
from outdial.host.wire.errors import BadConfig, HostError
from outdial.host.wire.headers import header_value
from outdial.host.wire.responses import header_lines
from outdial.http import HttpResponse, RequestHead
from outdial.log import log
from outdial.settings import SettingError

LARGEST_DEPLOYMENT, LARGEST_BODY = 25 * MIB, 4 * MIB
# Per access token; a deployment of many functions is one request for each, and one more.
RATE, BURST = 10.0, 120.0
# Tokens that are not known yet cost the database a look, whoever sends them.
STRANGERS_RATE, STRANGERS_BURST = 5.0, 30.0
_MOST_KNOWN = 1_000
_DEPLOY = "/functions/deploy"
_JSON: Final = {"content-type": "application/json"}

Body = TypeVar("Body")


class ApiError(HostError):
    """A request that is not carried out, and the status and code that say why."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def answer(self) -> HttpResponse:
        """Return it as Supabase's clients expect it, with `code` and, in one line, `error` as elsewhere here."""
        body = {"message": self.message, "error": self.message.partition("\n")[0], "code": self.code}
        return json_response(body, self.status, {"sb-error-code": self.code, **self.headers})


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request: what its path holds by name, its query, its headers, its body, and whose token it came with."""

    names: Mapping[str, str]
    query: Mapping[str, str]
    head: RequestHead
    body: bytes = field(repr=False)
    token: FoundToken

    def header(self, name: str) -> str:
        """Return the value of a header, empty without it."""
        return header_value(self.head.headers, name.encode())

    def read(self, kind: type[Body]) -> Body:
        """Return the JSON body as `kind`; raise ApiError when it is something else."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ApiError(400, "INVALID_BODY", f"The body cannot be read: {error}") from error


RouteHandler = Callable[[ApiRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """A method and a path, in which {name} stands for one step of it."""

    method: str
    path: str
    handler: RouteHandler

    def matches(self, path: str) -> dict[str, str] | None:
        """Return what stands at the names of the path, None when it is another path."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


class ManagementApi:
    """Answers under /v1 whoever has an access token; `ref` is the only project there is."""

    def __init__(self, ref: str, tokens: AccessTokens, routes: Iterable[ApiRoute]) -> None:
        self._ref, self._tokens, self._routes = ref, tokens, tuple(routes)
        self._now = asyncio.get_running_loop().time
        self._strangers = TokenBucket(STRANGERS_RATE, STRANGERS_BURST)
        self._known: dict[bytes, TokenBucket] = {}

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the most bytes that the body may have, or the answer when no token came that could be one."""
        if not TOKEN.match(_token_of(head)):
            return _UNAUTHORIZED.answer()
        return LARGEST_DEPLOYMENT if head.path.endswith(_DEPLOY) else LARGEST_BODY

    async def knows(self, token: str) -> bool:
        """Tell whether `token` is an access token that is good now."""
        return await self._tokens.find(token) is not None

    async def handle(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Return the answer to a request of /v1."""
        try:
            token = await self._admitted(_token_of(head))
            answer = await self._answer(head, body, token)
        except Exception as error:
            found = _error_of(error)
            if found is None:
                raise
            if found.status != 429:  # who asks too often would fill the log as well
                log("management.refused", level="warning", method=head.method, path=head.path, code=found.code)
            return found.answer()
        if head.method != "GET":
            log("management.done", method=head.method, path=head.path, token=token.name)
        return answer

    async def _admitted(self, token: str) -> FoundToken:
        key = hash_of(token)
        bucket = self._known.get(key)
        if (wait_s := (bucket or self._strangers).take(self._now())) > 0:
            after = {"retry-after": str(int(wait_s) + 1)}
            raise ApiError(429, "RATE_LIMIT_EXCEEDED", "Too many requests: try again in a moment", after)
        found = await self._tokens.find(token)
        if found is None:
            self._known.pop(key, None)
            raise _UNAUTHORIZED
        if bucket is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = TokenBucket(RATE, BURST)
        return found

    async def _answer(self, head: RequestHead, body: bytes, token: FoundToken) -> HttpResponse:
        elsewhere = []
        for route in self._routes:
            names = route.matches(head.path)
            if names is None:
                continue
            if names.get("ref", self._ref) != self._ref:
                raise ApiError(404, "NOT_FOUND", f"Project not found: this host serves {self._ref} only")
            if route.method == head.method:
                return await route.handler(ApiRequest(names, dict(parse_qsl(head.query)), head, body, token))
            elsewhere.append(route.method)
        if elsewhere:
            allow = {"allow": ", ".join(elsewhere)}
            raise ApiError(405, "METHOD_NOT_ALLOWED", f"{head.method} is not answered here", allow)
        raise ApiError(404, "NOT_FOUND", "This part of the Management API does not exist here")


_UNAUTHORIZED: Final = ApiError(
    401, "UNAUTHORIZED", "Unauthorized: send an access token of this host, made with outdial tokens create"
)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return `value` as JSON. No browser has business here, so nothing allows one to read it (no CORS headers)."""
    return HttpResponse(status, header_lines({**_JSON, **(headers or {})}), msgspec.json.encode(value, enc_hook=str))


def empty_response(status: int = 200) -> HttpResponse:
    """Return an answer without a body."""
    return HttpResponse(status, b"")


def _token_of(head: RequestHead) -> str:
    scheme, _, token = header_value(head.headers, b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _error_of(error: Exception) -> ApiError | None:
    """Return what a foreseeable error is answered with, None for a surprise."""
    match error:
        case ApiError():
            return error
        case FunctionNotFound():
            return ApiError(404, "NOT_FOUND", str(error))
        case NoEarlierVersion():
            return ApiError(409, "NO_EARLIER_VERSION", str(error))
        case VersionsRefused():
            return ApiError(400, "VERSION_REFUSED", str(error))
        case DeploymentError() | InvalidForm() | BadConfig() | InvalidSecret():
            return ApiError(400, "INVALID_REQUEST", str(error))
        case HostError() | SettingError():
            return ApiError(500, "HOST_CANNOT", str(error))
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | OSError() | TimeoutError():
            log("management.no_database", level="error", error=error, reason=str(error))
            return ApiError(503, "DATABASE_UNREACHABLE", HTTPStatus.SERVICE_UNAVAILABLE.description)
    return None
