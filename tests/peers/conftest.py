"""A gateway on a real socket whose functions cover every kind of response, for third-party clients."""

from collections.abc import AsyncIterator, Callable

import pytest

from outdial.clock import SystemClock
from outdial.functions import HttpError, Response
from outdial.host.gateway.app import HostIdentity
from outdial.host.gateway.regions import PeerHost, RegionRouter
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import (
    BootFailure,
    InvocationOutcome,
    InvocationTimedOut,
    LimitExceeded,
    PoolOverloaded,
    WorkerCrashed,
)
from outdial.host.wire.responses import server_error
from outdial.http import listen, serving
from tests.support.gateway import EXECUTION_ID, answered, make_harness

FAILURES: dict[str, tuple[InvocationOutcome, int, str]] = {
    "crashes": (WorkerCrashed("exit status 1", EXECUTION_ID), 500, "WORKER_ERROR"),
    "does-not-start": (BootFailure("SyntaxError"), 503, "BOOT_ERROR"),
    "is-busy": (PoolOverloaded(2, 128), 503, "WORKER_OVERLOADED"),
    "spins": (
        LimitExceeded(resource="cpu", limit=2000, used=2100, execution_id=EXECUTION_ID),
        546,
        "WORKER_RESOURCE_LIMIT",
    ),
    "sleeps": (InvocationTimedOut(300.0, EXECUTION_ID), 504, "IDLE_TIMEOUT"),
}


def says(outcome: InvocationOutcome) -> Callable[[Invocation], InvocationOutcome]:
    return lambda _: outcome


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """URL of a host in Ireland whose only other region is unreachable."""
    regions = RegionRouter("eu-west-1", SystemClock())
    regions.set_peers([PeerHost("gone", "us-east-1", "http://127.0.0.1:1")])
    harness = make_harness(identity=HostIdentity("eu-west-1"), regions=regions)
    for slug, (outcome, _, _) in FAILURES.items():
        harness.catalogue.put(slug, says(outcome))
    paused = HttpError(409, "CAMPAIGN_STATE", "The campaign is paused", status="paused")
    harness.catalogue.put("conflict", says(answered(Response.from_error(paused))))
    harness.catalogue.put("text", says(answered(Response("as text"))))
    harness.catalogue.put("guarded", verify_jwt=True)
    harness.catalogue.put("limited", rate_limit=0.001)
    listener = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(harness.gateway, listener, error_response=server_error):
        yield address
    await regions.close()
