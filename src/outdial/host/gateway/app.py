"""The gateway: pass each request to a worker of its function, and record it in the log."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Final, Protocol

import msgspec

from outdial.clock import Clock
from outdial.domain.ids import new_id
from outdial.functions.paths import HEALTH, PREFIX
from outdial.host.deployments.catalogue import ServedFunction
from outdial.host.gateway.body_budget import UNCOUNTED_BYTES, BodyBudget
from outdial.host.gateway.operations import MANAGEMENT, OperatorRoutes
from outdial.host.gateway.regions import RegionRouter
from outdial.host.gateway.tls import plain_http_response
from outdial.host.gateway.upstream import PREFIX as AUTH
from outdial.host.gateway.verify import JwtCheck
from outdial.host.log.sink import InvocationRecord, LogSink
from outdial.host.wire import responses
from outdial.host.wire.headers import WorkerHeaderFilter, header_value, headers_for_function
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import BootFailure, InvocationCompleted, InvocationFailure, PoolOverloaded
from outdial.host.wire.responses import ErrorResponse
from outdial.http import HttpResponse, RequestHead, header_pairs
from outdial.log import log

SERVED_BY: Final = "outdial-functions"
# A function sees its own path, starting with the slash before the slug.
_FUNCTION_PATH_START: Final = len(PREFIX) - 1
# The gateway's own routes start with an underscore, slugs with a letter.
_INTERNAL_PREFIX: Final = PREFIX + "_"
# Added to the function's wall clock for a request to another host, so that the other host times out first.
_FORWARD_MARGIN_S: Final = 15.0
_LONGEST_PATH: Final = 1024


class FunctionDirectory(Protocol):
    """The functions in service (FunctionCatalogue)."""

    def get(self, slug: str) -> ServedFunction | None:
        """Return the function in service under `slug`, None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """The region and project of this host, which its responses name."""

    region: str = "local"
    project_ref: str = "local"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The response headers that name this host."""
        return header_pairs(
            {
                "x-served-by": SERVED_BY,
                "x-sb-edge-region": self.region,
                "sb-project-ref": self.project_ref,
                "sb-gateway-version": "1",
            }
        )


class _ReceivedRequest(msgspec.Struct, kw_only=True, gc=False):
    """The fields of a request that end up in its InvocationRecord."""

    id: str
    at: datetime
    started_at: float
    method: str
    path: str
    size: int


class Gateway:
    """The application that the HTTP server calls (`outdial.http.Application`).

    Records every request of a function once in `sink`, with an empty execution id if it did not reach a worker. A
    request that is forwarded to another host is recorded there. `is_down` returns whether a function that is not in
    service should be.
    """

    def __init__(
        self,
        *,
        catalogue: FunctionDirectory,
        jwt_check: JwtCheck,
        sink: LogSink,
        clock: Clock,
        operator_routes: OperatorRoutes,
        identity: HostIdentity = HostIdentity(),
        regions: RegionRouter | None = None,
        behind_proxy: bool = False,
        is_down: Callable[[str], bool] = lambda slug: False,
        bodies: BodyBudget | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._jwt_check = jwt_check
        self._sink = sink
        self._clock = clock
        self._operator_routes = operator_routes
        self._identity = identity
        self._regions = regions
        self._behind_proxy = behind_proxy
        self._is_down = is_down
        self._bodies = bodies or BodyBudget()
        self._monotonic: Callable[[], float] = asyncio.get_running_loop().time
        self._host_headers = identity.headers
        self._header_filter = WorkerHeaderFilter()

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the maximum body size in bytes, or a response that needs no body."""
        path = head.path
        is_internal = _is_internal(path)
        if self._behind_proxy and path != HEALTH and (response := plain_http_response(head)) is not None:
            return self._respond_to_plain_http(response, head, is_internal)
        if is_internal:
            return self._operator_routes.admit(head)
        served = self._catalogue.get(_slug(path))
        if head.method == "OPTIONS":
            # Never reject a preflight: a browser would hide the response to the actual request.
            passes = served is not None and not served.bucket.take(self._monotonic())
            return served.config.max_body if served is not None and passes else responses.preflight(head.headers)
        if served is None:
            error = self._absent(path)
        elif head.method not in responses.METHODS:
            error = responses.method_not_allowed(head.method)
        elif (wait_s := served.bucket.take(self._monotonic())) > 0:
            error = responses.rate_limited(served.bucket.rate, wait_s)
        else:
            limit = served.config.max_body
            length = header_value(head.headers, b"content-length")
            if not length.isdecimal() or int(length) <= limit:
                return limit
            error = responses.body_too_large(limit, int(length))
        return self._reject(error, self._receive(head, 0), served)

    def _respond_to_plain_http(
        self, response: HttpResponse | ErrorResponse, head: RequestHead, is_internal: bool
    ) -> HttpResponse:
        if is_internal:
            return response.to_http() if isinstance(response, ErrorResponse) else response
        request = self._receive(head, 0)
        if isinstance(response, ErrorResponse):
            return self._reject(response, request, None)
        self._record(request, None, response)
        return response

    def respond(self, head: RequestHead, body: bytes) -> Coroutine[Any, Any, HttpResponse]:
        """Respond to a request that `admit` let pass, unless its function holds too many bodies already."""
        return self._respond_within_budget(head, body) if len(body) > UNCOUNTED_BYTES else self._respond(head, body)

    async def _respond_within_budget(self, head: RequestHead, body: bytes) -> HttpResponse:
        path, size = head.path, len(body)
        slug = "" if _is_internal(path) else _slug(path)
        # Of the host's own routes, only these two accept bodies. No slug contains a slash.
        owner = slug or (MANAGEMENT if path.startswith(MANAGEMENT) else AUTH)
        if not self._bodies.take(owner, size):
            if not slug:
                return responses.BODIES_IN_FLIGHT.to_http()
            return self._reject(responses.BODIES_IN_FLIGHT, self._receive(head, size), self._catalogue.get(slug))
        try:
            return await self._respond(head, body)
        finally:
            self._bodies.release(owner, size)

    async def _respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        path = head.path
        if _is_internal(path):
            return await self._operator_routes.respond(head, body)
        request = self._receive(head, len(body))
        client = head.client
        if self._regions is not None:
            if (region := self._regions.target_region(head)) is not None:
                return await self._forward(request, head, body, regions=self._regions, region=region)
            if (origin := self._regions.origin(head)) is not None:
                request.id = origin.request_id
                client = origin.client
        served = self._catalogue.get(_slug(path))
        if served is None:
            return self._reject(self._absent(path), request, None)
        if served.verify_jwt and head.method != "OPTIONS":
            error = await self._jwt_check.check(head.headers)
            if error is not None:
                return self._reject(error, request, served)
            # During the check a new version may have replaced this one, whose pool then accepts nothing.
            served = self._catalogue.get(_slug(path)) or served
        headers = headers_for_function(head.headers, client, secure=head.secure, behind_proxy=self._behind_proxy)
        invocation = Invocation(request.id, head.method, path[_FUNCTION_PATH_START:], head.query, headers, body)
        try:
            outcome = await served.pool.invoke(invocation)
        except Exception as error:
            log("gateway.invocation_failed", level="error", error=error, function=served.slug, request_id=request.id)
            return self._reject(responses.INTERNAL_ERROR, request, served)
        if isinstance(outcome, InvocationCompleted):
            return self._complete(outcome, request, served)
        return self._fail(outcome, head, request, served)

    async def _forward(
        self, request: _ReceivedRequest, head: RequestHead, body: bytes, *, regions: RegionRouter, region: str
    ) -> HttpResponse:
        served = self._catalogue.get(_slug(head.path))
        timeout_s = _FORWARD_MARGIN_S + (served.config.wall_clock_s if served is not None else 0.0)
        response = await regions.forward(region, head, body, request_id=request.id, timeout_s=timeout_s)
        return response or self._reject(responses.region_unreachable(region), request, served)

    def _complete(
        self, completed: InvocationCompleted, request: _ReceivedRequest, served: ServedFunction
    ) -> HttpResponse:
        execution_id = completed.execution_id
        headers = self._header_filter.filter(completed.headers)
        if headers is None:
            return self._reject(responses.INVALID_HEADERS, request, served, execution_id)
        if not 200 <= completed.status <= 599:
            return self._reject(responses.INVALID_STATUS, request, served, execution_id)
        own_headers = self._own_headers(request.id, execution_id)
        response = HttpResponse(completed.status, [*headers, *own_headers], completed.body)
        self._record(request, served, response, execution_id=execution_id, cpu_us=completed.cpu_us, cold=completed.cold)
        return response

    def _fail(
        self, failure: InvocationFailure, head: RequestHead, request: _ReceivedRequest, served: ServedFunction
    ) -> HttpResponse:
        error = responses.error_for(failure)
        if isinstance(failure, BootFailure) and head.method == "OPTIONS":
            # With a failed preflight, a browser would hide the error response to the actual request.
            response = responses.preflight(head.headers, self._own_headers(request.id, ""))
            self._record(request, served, response, code=error.code)
            return response
        execution_id = "" if isinstance(failure, PoolOverloaded | BootFailure) else failure.execution_id
        return self._reject(error, request, served, execution_id)

    def _absent(self, path: str) -> ErrorResponse:
        return responses.BOOT_ERROR if self._is_down(_slug(path)) else responses.NOT_FOUND

    def _reject(
        self, error: ErrorResponse, request: _ReceivedRequest, served: ServedFunction | None, execution_id: str = ""
    ) -> HttpResponse:
        response = error.to_http(self._own_headers(request.id, execution_id))
        self._record(request, served, response, code=error.code, execution_id=execution_id)
        return response

    def _own_headers(self, request_id: str, execution_id: str) -> list[tuple[bytes, bytes]]:
        headers = [*self._host_headers, (b"sb-request-id", request_id.encode("latin-1"))]
        if execution_id:
            value = execution_id.encode("latin-1")
            headers += ((b"x-deno-execution-id", value), (b"sb-execution-id", value))
        return headers

    def _receive(self, head: RequestHead, size: int) -> _ReceivedRequest:
        at = self._clock.now()
        return _ReceivedRequest(
            id=str(new_id(at)),
            at=at,
            started_at=perf_counter(),
            method=head.method,
            path=head.path[_FUNCTION_PATH_START:],
            size=size,
        )

    def _record(
        self,
        request: _ReceivedRequest,
        served: ServedFunction | None,
        response: HttpResponse,
        *,
        code: str = "",
        execution_id: str = "",
        cpu_us: int = 0,
        cold: bool = False,
    ) -> None:
        self._sink.invocation(
            InvocationRecord(
                at=request.at,
                request_id=request.id,
                # Names that clients make up must not become metric labels.
                slug="" if served is None else served.slug,
                version=0 if served is None else served.version,
                execution_id=execution_id,
                method=request.method,
                path=request.path[:_LONGEST_PATH],
                status=response.status,
                code=code,
                ms=(perf_counter() - request.started_at) * 1000,
                cpu_us=cpu_us,
                cold=cold,
                request_bytes=request.size,
                response_bytes=len(response.body),
                region=self._identity.region,
            )
        )


def _is_internal(path: str) -> bool:
    """Return whether a path is one of the host's own, not one of a function."""
    return not path.startswith(PREFIX) or path.startswith(_INTERNAL_PREFIX)


def _slug(path: str) -> str:
    start = _FUNCTION_PATH_START + 1
    end = path.find("/", start)
    return path[start:] if end < 0 else path[start:end]
