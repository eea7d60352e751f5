"""A gateway with fake pools, whose functions are part of the test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from outdial.auth import KeyRing, TokenVerifier
from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY
from outdial.clock import Clock, SystemClock
from outdial.functions.response import Response
from outdial.host.deployments.catalogue import ServedFunction
from outdial.host.gateway.app import Gateway, HostIdentity
from outdial.host.gateway.operations import ManagementHandler, OperatorRoutes
from outdial.host.gateway.regions import RegionRouter
from outdial.host.gateway.verify import JwtCheck
from outdial.host.pool.token_bucket import TokenBucket
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import InvocationCompleted, InvocationOutcome
from outdial.http import HttpResponse, RequestHead
from tests.support.hosting import RecordingSink

EXECUTION_ID = "5f8c0e4e-97a0-4b1b-a2a6-3a2c1f5d7e90"
Handler = Callable[[Invocation], InvocationOutcome]


def answered(response: Response, request_id: str = "", **changes: Any) -> InvocationCompleted:
    """Return the outcome of a worker whose function returns `response`."""
    answer = response.to_http(request_id)
    given = {"cpu_us": 250, "execution_id": EXECUTION_ID, "cold": False, **changes}
    return InvocationCompleted(status=answer.status, headers=answer.headers, body=answer.body, **given)


def hello(invocation: Invocation) -> InvocationOutcome:
    """Respond with the invocation itself."""
    received = {
        "method": invocation.method,
        "path": invocation.path,
        "query": invocation.query,
        "headers": {name.decode(): value.decode() for name, value in invocation.headers},
        "body": invocation.body.decode(),
    }
    return answered(Response.json(received), invocation.request_id)


@dataclass
class FakePool:
    """Calls a handler of the test instead of a worker."""

    handler: Handler
    invocations: list[Invocation] = field(default_factory=list)

    async def invoke(self, invocation: Invocation) -> InvocationOutcome:
        self.invocations.append(invocation)
        return self.handler(invocation)


@dataclass
class FakeFunction:
    """A function in service."""

    slug: str
    version: int
    config: FunctionConfig
    pool: FakePool
    bucket: TokenBucket

    @property
    def verify_jwt(self) -> bool:
        return self.config.verify_jwt


class FakeCatalogue:
    """The functions in service."""

    def __init__(self) -> None:
        self.functions: dict[str, FakeFunction] = {}

    def get(self, slug: str) -> ServedFunction | None:
        return cast("ServedFunction | None", self.functions.get(slug))

    def put(self, slug: str, handler: Handler = hello, *, version: int = 3, **config: Any) -> FakePool:
        """Serve `handler` under `slug`."""
        settings = FunctionConfig(**{"verify_jwt": False, **config})
        pool = FakePool(handler)
        bucket = TokenBucket(settings.rate_limit, settings.burst_size)
        self.functions[slug] = FakeFunction(slug, version, settings, pool, bucket)
        return pool


@dataclass
class GatewayHarness:
    """A gateway and its collaborators."""

    gateway: Gateway
    catalogue: FakeCatalogue
    sink: RecordingSink
    operations: OperatorRoutes

    async def ask(self, head: RequestHead, body: bytes = b"") -> HttpResponse:
        """Pass a request to the gateway like the HTTP server does."""
        admitted = self.gateway.admit(head)
        return admitted if isinstance(admitted, HttpResponse) else await self.gateway.respond(head, body)


def make_harness(
    *,
    clock: Clock | None = None,
    identity: HostIdentity = HostIdentity(),
    regions: RegionRouter | None = None,
    behind_proxy: bool = False,
    management: ManagementHandler | None = None,
    down: Sequence[str] = (),
) -> GatewayHarness:
    """Create a gateway that serves the function `hello`. Call it in a running loop."""
    clock = clock or SystemClock()
    keys = {"SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET, "SUPABASE_ANON_KEY": LOCAL_PUBLISHABLE_KEY}
    keyring = KeyRing.from_env(keys)
    catalogue, sink = FakeCatalogue(), RecordingSink()
    catalogue.put("hello")
    operations = OperatorRoutes(
        metrics=lambda: (b"outdial_up 1\n", "text/plain"),
        worker_counts=lambda: {"workers": 0},
        down=lambda: down,
        management=management,
        behind_proxy=behind_proxy,
    )
    gateway = Gateway(
        catalogue=catalogue,
        jwt_check=JwtCheck(keyring, TokenVerifier.from_keys(keyring, clock)),
        sink=sink,
        clock=clock,
        operator_routes=operations,
        identity=identity,
        regions=regions,
        behind_proxy=behind_proxy,
        is_down=lambda slug: slug in down,
    )
    return GatewayHarness(gateway, catalogue, sink, operations)


def request_head(
    path: str = "/functions/v1/hello",
    method: str = "POST",
    *,
    query: str = "",
    client: str = "192.0.2.7",
    **headers: str,
) -> RequestHead:
    """Create a request head. Header names have _ instead of -."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return RequestHead(method, path, query, [(b"host", b"127.0.0.1:54321"), *raw], client)


def headers_of(answer: HttpResponse) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers}
