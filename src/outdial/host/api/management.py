"""The subset of Supabase's Management API that its CLI deploys with, plus routes of Outdial."""

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
from outdial.errors_http import error_body
from outdial.host.api.tokens import TOKEN, AccessTokens, TokenScope
from outdial.host.deployments.errors import DeploymentError, FunctionNotFound, NoEarlierVersion, VersionsRefused
from outdial.host.deployments.multipart import InvalidForm
from outdial.host.deployments.secrets import InvalidSecret
from outdial.host.pool.token_bucket import TokenBucket
from outdial.host.wire.config import MIB
from outdial.host.wire.errors import BadConfig, HostError
from outdial.host.wire.headers import forwarded_client, header_value
from outdial.http import HttpResponse, RequestHead, header_pairs
from outdial.log import log
from outdial.net import network_of
from outdial.settings import SettingError

LARGEST_DEPLOYMENT = 25 * MIB
LARGEST_BODY = 4 * MIB
# Limit per access token. A deployment takes one request per function, and one more.
RATE = 10.0
BURST = 120.0
# Limit of unknown tokens per address (IPv6: per network of 64 bits).
UNKNOWN_RATE = 5.0
UNKNOWN_BURST = 30.0
_MAX_BUCKETS = 10_000
_DEPLOY_PATH = "/functions/deploy"
_JSON: Final = {"content-type": "application/json"}

Body = TypeVar("Body")


class ApiError(HostError):
    """An error response with a status and a code."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def to_http(self) -> HttpResponse:
        """Return the response in the format of Supabase's clients, with `code` and a one-line `error` in addition."""
        body = error_body(self.code, self.message, {"error": self.message.partition("\n")[0]})
        return json_response(body, self.status, {"sb-error-code": self.code, **self.headers})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One request: names from its path, query, head, body, and the access token that it came with."""

    names: Mapping[str, str]
    query: Mapping[str, str]
    head: RequestHead
    body: bytes = field(repr=False)
    token: FoundToken

    def header(self, name: str) -> str:
        """Return the value of a header, empty if it is missing."""
        return header_value(self.head.headers, name.encode())

    def read(self, kind: type[Body]) -> Body:
        """Decode the JSON body as `kind`. Raises ApiError."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ApiError(400, "INVALID_BODY", f"The body is not valid: {error}") from error


RouteHandler = Callable[[ApiRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """A method and a path; {name} in the path matches one segment. Without a `scope`, any access token will do."""

    method: str
    path: str
    handler: RouteHandler
    scope: TokenScope | None = None

    def matches(self, path: str) -> dict[str, str] | None:
        """Return the segments of `path` by name, None if the route does not match."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        match = re.fullmatch(pattern, path)
        return None if match is None else {name: unquote(value) for name, value in match.groupdict().items()}


class ManagementApi:
    """Serves /v1 to clients with an access token. `ref` is the only project.

    Clients without a valid token are counted by the address that the `proxies` in front report.
    """

    def __init__(self, ref: str, tokens: AccessTokens, routes: Iterable[ApiRoute], *, proxies: int = 0) -> None:
        self._ref = ref
        self._tokens = tokens
        self._routes = tuple(routes)
        self._proxies = proxies
        self._now = asyncio.get_running_loop().time
        self._unknown: dict[str, TokenBucket] = {}
        self._known: dict[str, TokenBucket] = {}

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the maximum body size in bytes, or an error response for a malformed token."""
        if not TOKEN.match(_token_of(head)):
            return _UNAUTHORIZED.to_http()
        return LARGEST_DEPLOYMENT if head.path.endswith(_DEPLOY_PATH) else LARGEST_BODY

    async def may_read_metrics(self, token: str) -> bool:
        """Return whether `token` is a valid access token with the scope logs."""
        found = await self._tokens.find(token)
        return found is not None and not self._tokens.is_expired(found) and TokenScope.LOGS in found.scopes

    async def handle(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Respond to a request of /v1."""
        try:
            token = await self._authorize(head)
            response = await self._dispatch(head, body, token)
        except Exception as error:
            api_error = _api_error(error)
            if api_error is None:
                raise
            if api_error.status != 429:  # too many requests must not become too many log lines
                log("management.refused", level="warning", method=head.method, path=head.path, code=api_error.code)
            return api_error.to_http()
        if head.method != "GET":
            log("management.done", method=head.method, path=head.path, token=token.name)
        return response

    async def _authorize(self, head: RequestHead) -> FoundToken:
        """Return the record of a request's token.

        Unknown tokens are limited per address, and never use up the limit of a known one.
        """
        found = await self._tokens.find(_token_of(head))
        if found is None:
            address = forwarded_client(head.headers, head.client, self._proxies)
            buckets, key, rate, burst = self._unknown, network_of(address), UNKNOWN_RATE, UNKNOWN_BURST
        else:
            buckets, key, rate, burst = self._known, str(found.id), RATE, BURST
        bucket = buckets.get(key)
        if bucket is None:
            if len(buckets) >= _MAX_BUCKETS:
                buckets.clear()
            bucket = buckets[key] = TokenBucket(rate, burst)
        if (wait_s := bucket.take(self._now())) > 0:
            retry_after = {"retry-after": str(int(wait_s) + 1)}
            raise ApiError(429, "RATE_LIMIT_EXCEEDED", "Too many requests: try again in a moment", retry_after)
        if found is None:
            raise _UNAUTHORIZED
        if self._tokens.is_expired(found):
            raise ApiError(
                401,
                "TOKEN_EXPIRED",
                f"The access token {found.name} expired at {found.expires_at}: create one with outdial tokens create",
            )
        return found

    async def _dispatch(self, head: RequestHead, body: bytes, token: FoundToken) -> HttpResponse:
        other_methods = []
        for route in self._routes:
            names = route.matches(head.path)
            if names is None:
                continue
            if names.get("ref", self._ref) != self._ref:
                raise ApiError(404, "NOT_FOUND", f"Project not found: this host serves {self._ref} only")
            if route.method == head.method:
                if route.scope is not None and route.scope not in token.scopes:
                    raise ApiError(
                        403,
                        "SCOPE_MISSING",
                        f"The access token {token.name} does not have the scope {route.scope}, only "
                        f"{', '.join(token.scopes)}: create one with outdial tokens create NAME --scope {route.scope}",
                    )
                query = dict(parse_qsl(head.query))
                return await route.handler(ApiRequest(names=names, query=query, head=head, body=body, token=token))
            other_methods.append(route.method)
        if other_methods:
            allow = {"allow": ", ".join(other_methods)}
            raise ApiError(405, "METHOD_NOT_ALLOWED", f"{head.method} is not supported at this path", allow)
        raise ApiError(404, "NOT_FOUND", "This host does not implement this part of the Management API")


_UNAUTHORIZED: Final = ApiError(
    401, "UNAUTHORIZED", "Unauthorized: send an access token of this host, created with outdial tokens create"
)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return `value` as JSON. Without CORS headers: browsers have no access to this API."""
    return HttpResponse(status, header_pairs({**_JSON, **(headers or {})}), msgspec.json.encode(value, enc_hook=str))


def empty_response(status: int = 200) -> HttpResponse:
    """Return a response without a body."""
    return HttpResponse(status)


def _token_of(head: RequestHead) -> str:
    scheme, _, token = header_value(head.headers, b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _api_error(error: Exception) -> ApiError | None:
    """Return the response to an expected error, None for any other."""
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
