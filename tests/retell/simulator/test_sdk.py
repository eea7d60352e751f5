"""The official SDK as the peer: it drives the simulator over HTTP and accepts its webhooks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, get_args

import pytest
import retell
from aiohttp import web
from retell import AsyncRetell
from retell.lib import verify
from retell.types import PhoneCallResponse

from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.runtime import Simulator
from outdial.retell.simulator.script import ERRORS_BEFORE_CONNECTING, ERRORS_WHILE_TALKING, NOT_CONNECTED
from outdial.retell.simulator.server import running
from tests.retell.simulator.requests import until

KEY = "key_simulator"
FAST = SimulatorConfig(calls_per_second=None, speed=1000.0)
NUMBERS: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155559901"}


@asynccontextmanager
async def sdk_of(config: SimulatorConfig, key: str = KEY) -> AsyncIterator[tuple[AsyncRetell, Simulator]]:
    async with running(config) as (base_url, simulator), AsyncRetell(api_key=key, base_url=base_url, timeout=30) as sdk:
        yield sdk, simulator


async def test_the_sdk_places_finds_lists_and_stops_calls() -> None:
    async with sdk_of(replace(FAST, speed=1.0)) as (sdk, simulator):
        marks: dict[str, Any] = {"metadata": {"call_id": "c-1"}, "retell_llm_dynamic_variables": {"first_name": "Ann"}}
        call = await sdk.call.create_phone_call(**NUMBERS, **marks, idempotency_key="k")
        again = await sdk.call.create_phone_call(**NUMBERS, **marks, idempotency_key="k")
        assert (call.call_status, again.call_id) == ("registered", call.call_id)

        found = await sdk.call.retrieve(call.call_id)
        assert isinstance(found, PhoneCallResponse)
        assert (found.metadata, found.retell_llm_dynamic_variables) == ({"call_id": "c-1"}, {"first_name": "Ann"})

        await sdk.call.create_phone_call(**NUMBERS)
        listed = await sdk.call.list(
            filter_criteria={"metadata": [{"type": "string", "op": "eq", "key": "call_id", "value": "c-1"}]}
        )
        assert ([item.call_id for item in listed.items], listed.has_more) == ([call.call_id], False)

        assert (await sdk.concurrency.retrieve()).current_concurrency == 2
        await sdk.call.stop(call.call_id)
        assert (await sdk.concurrency.retrieve()).current_concurrency == 1
        stopped = await sdk.call.retrieve(call.call_id)
        assert stopped.disconnection_reason == "manual_stopped"
        assert simulator.workspace.ledger.totals()["create-phone-call"] == {"accepted": 2, "replayed": 1}


@pytest.mark.parametrize(
    ("digits", "error"),
    [
        ("9941", retell.BadRequestError),
        ("9942", retell.AuthenticationError),
        ("9943", retell.APIStatusError),
        ("9944", retell.PermissionDeniedError),
        ("9945", retell.UnprocessableEntityError),
        ("9946", retell.RateLimitError),
        ("9951", retell.APIConnectionError),
        ("9953", retell.InternalServerError),
        ("9955", retell.APIConnectionError),
    ],
)
async def test_errors_arrive_as_the_sdks_own(digits: str, error: type[Exception]) -> None:
    async with sdk_of(FAST) as (sdk, _):
        with pytest.raises(error):
            await sdk.call.create_phone_call(from_number="+14155550100", to_number=f"+1415555{digits}")


async def test_a_bad_key_and_an_unknown_call_are_the_sdks_own_errors() -> None:
    async with sdk_of(FAST, key="wrong") as (sdk, _):
        with pytest.raises(retell.AuthenticationError):
            await sdk.call.create_phone_call(**NUMBERS)
    async with sdk_of(FAST) as (sdk, _):
        with pytest.raises(retell.UnprocessableEntityError, match="Cannot find requested asset"):
            await sdk.call.retrieve("call_none")


async def test_the_sdk_accepts_the_webhooks() -> None:
    received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def hook(request: web.Request) -> web.Response:
        received.put_nowait((await request.text(), request.headers["X-Retell-Signature"]))
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/", hook)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with sdk_of(replace(FAST, webhook_url=f"http://127.0.0.1:{port}/")) as (sdk, _):
        call = await sdk.call.create_phone_call(**NUMBERS)
        events = [await received.get() for _ in range(3)]
    await runner.cleanup()
    for body, header in events:
        judge: Any = verify
        assert judge(body, KEY, header)
        assert not judge(body + " ", KEY, header)
        assert call.call_id in body


async def test_an_ended_call_fits_the_sdks_model_of_it() -> None:
    async with sdk_of(FAST) as (sdk, simulator):
        created = await sdk.call.create_phone_call(**NUMBERS)
        await until(lambda: simulator.workspace.calls[created.call_id].analyzed)
        call = await sdk.call.retrieve(created.call_id)
        assert isinstance(call, PhoneCallResponse)
        strict = PhoneCallResponse.model_validate(call.model_dump(exclude_unset=True), strict=True)
        assert strict.call_analysis is not None
        assert strict.call_cost is not None
        assert strict.transcript
        assert not strict.model_extra


def test_every_reason_of_the_sdk_has_its_status() -> None:
    known = set(get_args(get_args(PhoneCallResponse.model_fields["disconnection_reason"].annotation)[0]))
    assert len(known) == 39
    assert known >= NOT_CONNECTED | ERRORS_BEFORE_CONNECTING | ERRORS_WHILE_TALKING
    assert {reason for reason in known if reason.startswith("error_")} <= (
        ERRORS_BEFORE_CONNECTING | ERRORS_WHILE_TALKING
    )
