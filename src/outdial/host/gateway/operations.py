"""Routes of the gateway besides functions: health, metrics, the management API, and Auth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from outdial.functions.paths import HEALTH, PREFIX
from outdial.host.gateway.tls import plain_http_response
from outdial.host.gateway.upstream import MAX_BODY_BYTES, AuthUpstream
from outdial.host.gateway.upstream import PREFIX as AUTH
from outdial.host.wire.headers import header_value
from outdial.host.wire.responses import (
    HTTPS_REQUIRED,
    JSON,
    METRICS_UNAUTHORIZED,
    NO_SUCH_ROUTE,
    json_response,
    preflight,
)
from outdial.http import HttpResponse, RequestHead, header_pairs
from outdial.net import is_loopback

METRIC: Final = PREFIX + "_internal/metric"
METRICS: Final = "/metrics"
MANAGEMENT: Final = "/v1/"
_HEALTHY: Final = json_response({"message": "ok"})


class ManagementHandler(Protocol):
    """The management API under /v1 and its access tokens (ManagementApi)."""

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the maximum body size in bytes, or a response that needs no body."""
        ...

    async def handle(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Respond to a request of /v1."""
        ...

    async def may_read_metrics(self, token: str) -> bool:
        """Return whether `token` is a valid access token with the scope logs."""
        ...


@dataclass(slots=True, kw_only=True)
class OperatorRoutes:
    """Routes for operators. Metrics require a request from this machine, or an access token for logs.

    Behind a proxy all requests come from this machine, so there only the token counts. Responses with metrics have no
    CORS headers, so that web pages in a browser on this machine cannot read them. Health names the functions that are
    `down`, and the `jwks_problem` for which users' tokens cannot be verified. Its status stays 200, because the host
    serves the other requests.
    """

    metrics: Callable[[], tuple[bytes, str]]
    worker_counts: Callable[[], dict[str, object]]
    down: Callable[[], Sequence[str]] = tuple
    jwks_problem: Callable[[], str | None] = lambda: None
    management: ManagementHandler | None = None
    behind_proxy: bool = False
    auth: AuthUpstream | None = None

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the maximum body size in bytes, or a response that needs no body."""
        if head.path.startswith(MANAGEMENT) and self.management is not None:
            # An error instead of a redirect: the token has already been readable on its way here.
            if self.behind_proxy and plain_http_response(head) is not None:
                return HTTPS_REQUIRED.to_http()
            return self.management.admit(head)
        if self.auth is not None and head.path.startswith(AUTH):
            return MAX_BODY_BYTES
        if head.path == HEALTH and head.method in ("GET", "HEAD"):
            problems: dict[str, object] = {}
            if down := self.down():
                problems["functions_down"] = down
            if (jwks_problem := self.jwks_problem()) is not None:
                problems["jwks"] = jwks_problem
            return json_response({"message": "degraded", **problems}) if problems else _HEALTHY
        if head.method == "OPTIONS":
            return preflight(head.headers)
        if head.path in (METRIC, METRICS) and head.method == "GET":
            return 0
        return NO_SUCH_ROUTE.to_http()

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Respond to a request that `admit` let pass."""
        if self.management is not None and head.path.startswith(MANAGEMENT):
            return await self.management.handle(head, body)
        if self.auth is not None and head.path.startswith(AUTH):
            return await self.auth.respond(head, body)
        if self.behind_proxy or not is_loopback(head.client):
            scheme, _, token = header_value(head.headers, b"authorization").partition(" ")
            if scheme.lower() != "bearer" or self.management is None:
                return METRICS_UNAUTHORIZED.to_http()
            if not await self.management.may_read_metrics(token.strip()):
                return METRICS_UNAUTHORIZED.to_http()
        if head.path == METRICS:
            page, content_type = self.metrics()
            return HttpResponse(200, header_pairs({"content-type": content_type}), page)
        return HttpResponse(200, [JSON], json_response(self.worker_counts()).body)
