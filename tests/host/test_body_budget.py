"""Bodies in flight take memory: a slow function may not take what the others need."""

import asyncio
import json

from outdial.host.gateway.body_budget import IN_FLIGHT_BYTES, UNCOUNTED_BYTES, BodyBudget
from outdial.host.wire.config import LARGEST_BODY
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import InvocationOutcome
from outdial.http import ServerLimits
from tests.support.gateway import headers_of, hello, make_harness, request_head


def test_slow_functions_leave_room_for_another() -> None:
    for slow in range(1, 9):
        budget = BodyBudget(1000)
        for _ in range(1000):
            for number in range(slow):
                budget.take(f"slow-{number}", 1)
        assert budget.take("quick", 1000 // (slow + 1) // 2)
        assert not budget.take("slow-0", 2)


def test_what_is_released_is_free_again() -> None:
    budget = BodyBudget(100)
    assert budget.take("a", 50)
    assert not budget.take("a", 1)
    budget.release("a", 50)
    assert budget.take("b", 100)


def test_the_largest_body_fits_and_half_of_the_server_stays_free() -> None:
    assert LARGEST_BODY <= IN_FLIGHT_BYTES // 2 <= ServerLimits().held_bytes // 4


async def test_requests_to_a_slow_function_are_refused_and_others_are_not() -> None:
    harness = make_harness()
    may_respond = asyncio.Event()

    class SlowPool:
        async def invoke(self, invocation: Invocation) -> InvocationOutcome:
            await may_respond.wait()
            return hello(invocation)

    harness.catalogue.put("slow")
    harness.catalogue.functions["slow"].pool = SlowPool()  # type: ignore[assignment]
    head, body = request_head("/functions/v1/slow"), b"x" * (IN_FLIGHT_BYTES // 16)
    held = [asyncio.create_task(harness.ask(head, body)) for _ in range(8)]
    await asyncio.sleep(0)

    refused = await harness.ask(head, body)

    assert (refused.status, json.loads(refused.body)["code"]) == (503, "WORKER_OVERLOADED")
    assert headers_of(refused)["retry-after"] == "1"
    assert [(record.slug, record.status) for record in harness.sink.invocations] == [("slow", 503)]
    assert (await harness.ask(request_head(), b"an event")).status == 200
    assert (await harness.ask(request_head(), body)).status == 200
    waiting = asyncio.create_task(harness.ask(head, b"x" * UNCOUNTED_BYTES))
    may_respond.set()
    assert [response.status for response in await asyncio.gather(*held, waiting)] == [200] * 9
    assert (await harness.ask(head, body)).status == 200
