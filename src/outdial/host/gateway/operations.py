"""What the gateway answers beside functions: its health, its numbers, the management API, and Auth behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from outdial.functions.paths import HEALTH, PREFIX
from outdial.host.gateway.tls import plain_http_response
from outdial.host.gateway.upstream import MOST_BYTES, AuthUpstream
from outdial.host.gateway.upstream import PREFIX as AUTH
from outdial.host.wire.headers import header_value
from outdial.host.wire.responses import (
    HTTPS_REQUIRED,
    JSON,
    METRICS_UNAUTHORIZED,
    NO_SUCH_ROUTE,
    PREFLIGHT,
    json_response,
)
from outdial.http import HttpResponse, RequestHead, header_pairs
from outdial.net import is_loopback

METRIC: Final = PREFIX + "_internal/metric"
METRICS: Final = "/metrics"
MANAGEMENT: Final = "/v1/"
_HEALTHY: Final = json_response({"message": "ok"})


class ManagementHandler(Protocol):
    """The management API under /v1, and the access tokens that open it."""

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the most bytes that the body may have, or an answer that needs no body."""
        ...

    async def handle(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Return the answer to a request of /v1."""
        ...

    async def is_valid_token(self, token: str) -> bool:
        """Tell whether `token` is an access token that is good now."""
        ...


@dataclass(slots=True)
class OperatorRoutes:
    """Routes for operators. Numbers are for this machine, and for bearers of an access token.

    Behind a proxy every request seems to come from this machine, so that the token alone counts there. They carry no
    CORS headers: a page in a browser on this machine has no business with them.
    """

    metrics: Callable[[], tuple[bytes, str]]
    numbers: Callable[[], dict[str, object]]
    management: ManagementHandler | None = None
    behind_proxy: bool = False
    auth: AuthUpstream | None = None

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the most bytes that the body may have, or the answer itself."""
        if head.path.startswith(MANAGEMENT) and self.management is not None:
            # Refused and never sent on to https: the token was readable on its way here.
            if self.behind_proxy and plain_http_response(head) is not None:
                return HTTPS_REQUIRED.to_http()
            return self.management.admit(head)
        if self.auth is not None and head.path.startswith(AUTH):
            return MOST_BYTES
        if head.path == HEALTH and head.method in ("GET", "HEAD"):
            return _HEALTHY
        if head.method == "OPTIONS":
            return PREFLIGHT
        if head.path in (METRIC, METRICS) and head.method == "GET":
            return 0
        return NO_SUCH_ROUTE.to_http()

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Return the answer to a request that was admitted."""
        if self.management is not None and head.path.startswith(MANAGEMENT):
            return await self.management.handle(head, body)
        if self.auth is not None and head.path.startswith(AUTH):
            return await self.auth.respond(head, body)
        if not await self._may_look(head):
            return METRICS_UNAUTHORIZED.to_http()
        if head.path == METRICS:
            page, content_type = self.metrics()
            return HttpResponse(200, header_pairs({"content-type": content_type}), page)
        numbers = json_response(self.numbers())
        return HttpResponse(200, [JSON], numbers.body)

    async def _may_look(self, head: RequestHead) -> bool:
        if not self.behind_proxy and is_loopback(head.client):
            return True
        scheme, _, token = header_value(head.headers, b"authorization").partition(" ")
        if scheme.lower() != "bearer" or self.management is None:
            return False
        return await self.management.is_valid_token(token.strip())
