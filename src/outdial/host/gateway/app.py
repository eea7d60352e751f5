"""Takes each request from the wire to a worker of its function and back, and sees that it ends in one record."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Final, Protocol

from outdial.clock import Clock
from outdial.domain.ids import new_id
from outdial.functions.paths import HEALTH, PREFIX
from outdial.host.deployments.catalogue import ServedFunction
from outdial.host.gateway.operations import OperatorRoutes
from outdial.host.gateway.regions import RegionRouter
from outdial.host.gateway.tls import plain_http_response
from outdial.host.gateway.verify import JwtCheck
from outdial.host.log.sink import InvocationRecord, LogSink
from outdial.host.wire import responses as answers
from outdial.host.wire.headers import WorkerHeaderFilter, header_value, headers_for_function
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import BootFailure, InvocationCompleted, PoolOverloaded
from outdial.host.wire.responses import PREFLIGHT, ErrorResponse
from outdial.http import HttpResponse, RequestHead, header_pairs
from outdial.log import log

SERVED_BY: Final = "outdial-functions"
# The function sees its own path, with the slash before the slug.
_CUT: Final = len(PREFIX) - 1
# Routes of the gateway's own begin so, and slugs with a letter.
_OWN: Final = PREFIX + "_"
# What a request to another host may take beyond the function's wall clock, so that its own answer comes first.
_HOP_S: Final = 15.0
_LONGEST_PATH: Final = 1024


class FunctionDirectory(Protocol):
    """Which functions are served now."""

    def get(self, slug: str) -> ServedFunction | None:
        """Return the function of that name, None when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """Where this host is: what its answers tell of it."""

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


@dataclass(slots=True)
class _Arrival:
    id: str
    at: datetime
    began: float
    method: str
    path: str
    size: int


class Gateway:
    """The application behind the listener (`outdial.http.Application`).

    Each request of a function is told to `sink` once, whatever becomes of it; one that no worker had has no execution
    id. What another host answers is told there.
    """

    def __init__(
        self,
        catalogue: FunctionDirectory,
        check: JwtCheck,
        sink: LogSink,
        clock: Clock,
        operations: OperatorRoutes,
        *,
        place: HostIdentity = HostIdentity(),
        regions: RegionRouter | None = None,
        behind_proxy: bool = False,
    ) -> None:
        self._catalogue, self._check, self._sink, self._clock = catalogue, check, sink, clock
        self._operations, self._place, self._regions = operations, place, regions
        self._behind_proxy = behind_proxy
        self._monotonic: Callable[[], float] = asyncio.get_running_loop().time
        self._host_headers = place.headers
        self._header_filter = WorkerHeaderFilter()

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the most bytes that the request's body may have, or what it is answered without it."""
        path = head.path
        is_ours = not path.startswith(PREFIX) or path.startswith(_OWN)
        if self._behind_proxy and path != HEALTH and (answer := plain_http_response(head)) is not None:
            return self._answer_plain_http(answer, head, is_ours)
        if is_ours:
            return self._operations.admit(head)
        served, method = self._catalogue.get(_slug(path)), head.method
        if method == "OPTIONS":
            # A browser hides the answer to a request whose preflight was refused, so that none is.
            passes = served is not None and not served.bucket.take(self._monotonic())
            return served.config.max_body if served is not None and passes else PREFLIGHT
        refusal = self._objection(head, served)
        if refusal is not None or served is None:
            return self._refuse(refusal or answers.NOT_FOUND, self._note(head, 0), served)
        return served.config.max_body

    def _answer_plain_http(
        self, answer: HttpResponse | ErrorResponse, head: RequestHead, is_ours: bool
    ) -> HttpResponse:
        if is_ours:
            return answer.to_http() if isinstance(answer, ErrorResponse) else answer
        arrival = self._note(head, 0)
        if isinstance(answer, ErrorResponse):
            return self._refuse(answer, arrival, None)
        self._tell(arrival, None, answer, "", "", 0, False)
        return answer

    def _objection(self, head: RequestHead, served: ServedFunction | None) -> ErrorResponse | None:
        if served is None:
            return answers.NOT_FOUND
        if head.method not in answers.METHODS:
            return answers.method_not_allowed(head.method)
        wait_s = served.bucket.take(self._monotonic())
        if wait_s > 0:
            return answers.rate_limited(served.bucket.rate, wait_s)
        limit, length = served.config.max_body, header_value(head.headers, b"content-length")
        return answers.body_too_large(limit, int(length)) if length.isdecimal() and int(length) > limit else None

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Return the answer to a request that was admitted."""
        path = head.path
        if not path.startswith(PREFIX) or path.startswith(_OWN):
            return await self._operations.respond(head, body)
        arrival, client = self._note(head, len(body)), head.client
        if self._regions is not None:
            if (region := self._regions.target_region(head)) is not None:
                return await self._relay(self._regions, region, head, body, arrival)
            if (origin := self._regions.origin(head)) is not None:
                arrival.id, client = origin.request_id, origin.client
        served = self._catalogue.get(_slug(path))
        if served is None:
            return self._refuse(answers.NOT_FOUND, arrival, None)
        if served.verify_jwt and head.method != "OPTIONS":
            refusal = await self._check.check(head.headers)
            if refusal is not None:
                return self._refuse(refusal, arrival, served)
            # Another version may have taken over meanwhile, and the pool of the former one takes nothing more.
            served = self._catalogue.get(_slug(path)) or served
        headers = headers_for_function(head.headers, client, secure=head.secure, behind_proxy=self._behind_proxy)
        invocation = Invocation(arrival.id, head.method, path[_CUT:], head.query, headers, body)
        try:
            outcome = await served.pool.invoke(invocation)
        except Exception as error:
            log("gateway.invocation_failed", level="error", error=error, function=served.slug, request_id=arrival.id)
            return self._refuse(answers.INTERNAL_ERROR, arrival, served)
        if isinstance(outcome, InvocationCompleted):
            return self._pass_on(outcome, arrival, served)
        execution_id = "" if isinstance(outcome, PoolOverloaded | BootFailure) else outcome.execution_id
        return self._refuse(answers.error_for(outcome), arrival, served, execution_id)

    async def _relay(
        self, regions: RegionRouter, region: str, head: RequestHead, body: bytes, arrival: _Arrival
    ) -> HttpResponse:
        served = self._catalogue.get(_slug(head.path))
        patience_s = _HOP_S + (served.config.wall_clock_s if served is not None else 0.0)
        answer = await regions.forward(region, head, body, arrival.id, patience_s)
        # The host that answered has told its own sink of it.
        return answer or self._refuse(answers.region_unreachable(region), arrival, served)

    def _pass_on(self, answered: InvocationCompleted, arrival: _Arrival, served: ServedFunction) -> HttpResponse:
        execution_id = answered.execution_id
        headers = self._header_filter.filter(answered.headers)
        if headers is None:
            return self._refuse(answers.INVALID_HEADERS, arrival, served, execution_id)
        if not 200 <= answered.status <= 599:
            return self._refuse(answers.INVALID_STATUS, arrival, served, execution_id)
        answer = HttpResponse(answered.status, [*headers, *self._headers_of(arrival.id, execution_id)], answered.body)
        self._tell(arrival, served, answer, "", execution_id, answered.cpu_us, answered.cold)
        return answer

    def _refuse(
        self, refusal: ErrorResponse, arrival: _Arrival, served: ServedFunction | None, execution_id: str = ""
    ) -> HttpResponse:
        answer = refusal.to_http(self._headers_of(arrival.id, execution_id))
        self._tell(arrival, served, answer, refusal.code, execution_id, 0, False)
        return answer

    def _headers_of(self, request_id: str, execution_id: str) -> list[tuple[bytes, bytes]]:
        headers = [*self._host_headers, (b"sb-request-id", request_id.encode("latin-1"))]
        if execution_id:
            value = execution_id.encode("latin-1")
            headers += ((b"x-deno-execution-id", value), (b"sb-execution-id", value))
        return headers

    def _note(self, head: RequestHead, size: int) -> _Arrival:
        at = self._clock.now()
        return _Arrival(str(new_id(at)), at, perf_counter(), head.method, head.path[_CUT:], size)

    def _tell(
        self,
        arrival: _Arrival,
        served: ServedFunction | None,
        answer: HttpResponse,
        code: str,
        execution_id: str,
        cpu_us: int,
        cold: bool,
    ) -> None:
        self._sink.invocation(
            InvocationRecord(
                arrival.at,
                arrival.id,
                # What callers make up is not to become a name in our numbers.
                "" if served is None else served.slug,
                0 if served is None else served.version,
                execution_id,
                arrival.method,
                arrival.path[:_LONGEST_PATH],
                answer.status,
                code,
                (perf_counter() - arrival.began) * 1000,
                cpu_us,
                cold,
                arrival.size,
                len(answer.body),
                self._place.region,
            )
        )


def _slug(path: str) -> str:
    end = path.find("/", _CUT + 1)
    return path[_CUT + 1 :] if end < 0 else path[_CUT + 1 : end]
