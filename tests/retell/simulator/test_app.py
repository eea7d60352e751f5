"""The simulator over HTTP: controls, lost responses, webhooks, and a clean stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from outdial import uvicorn_server
from outdial.provider import CallPlaced, CallUncertain
from outdial.retell import signature
from outdial.retell.client import RetellClient, create_call_body
from outdial.retell.simulator.clock import epoch_ms, wall_now
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.runtime import Simulator
from outdial.retell.simulator.script import MAGIC
from outdial.retell.simulator.server import running, serve
from tests.retell.simulator.requests import until

FAST = SimulatorConfig(calls_per_second=None, speed=10_000.0, webhook_backoff_s=0.01)


class Receiver:
    """Receives webhooks; responds 500 to the first `failures`."""

    def __init__(self, failures: int = 0) -> None:
        self.received: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
        self.connections: set[Any] = set()
        self._failures = failures

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        header = request.headers.get(signature.HEADER)
        good = signature.verify(body, header, ["key_simulator"], epoch_ms(wall_now())) == 0
        self.connections.add(request.transport)
        if self._failures > 0:
            self._failures -= 1
            return web.Response(status=500)
        self.received.put_nowait((body, good))
        return web.Response()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_post("/hook", self.handle)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}/hook"
        finally:
            await runner.cleanup()


def body_for(to_number: str) -> bytes:
    return create_call_body(
        call_id=uuid4(),
        campaign_id=uuid4(),
        to_number=to_number,
        from_number="+14155550100",
        agent_id="agent_1",
        dynamic_variables={},
    )


@asynccontextmanager
async def client_of(config: SimulatorConfig, timeout: float = 30.0) -> AsyncIterator[tuple[RetellClient, Simulator]]:
    async with running(config) as (base_url, simulator):
        client = RetellClient.connect("key_simulator", base_url, timeout=timedelta(seconds=timeout))
        try:
            yield client, simulator
        finally:
            await client.close()


async def test_signed_webhooks_arrive_over_kept_connections() -> None:
    receiver = Receiver()
    async with (
        receiver.listening() as hook,
        client_of(replace(FAST, webhook_url=hook, webhook_concurrency=1)) as (client, simulator),
    ):
        for _ in range(5):
            await client.create_phone_call(body_for("+14155559901"))
        received = [await receiver.received.get() for _ in range(15)]
        assert all(good for _, good in received)
        assert sum(b'"event":"call_analyzed"' in body for body, _ in received) == 5
        assert len(receiver.connections) == 1
        assert simulator.workspace.state()["webhooks"]["due"] == 15


async def test_a_webhook_is_retried_and_then_given_up() -> None:
    receiver = Receiver(failures=3)
    async with receiver.listening() as hook, client_of(replace(FAST, webhook_url=hook)) as (client, simulator):
        await client.create_phone_call(body_for("+14155559901"))
        for _ in range(3):
            await receiver.received.get()
        counts = simulator.deliverer.counts
        assert counts["retried"] == 3

    receiver = Receiver(failures=1000)
    async with receiver.listening() as hook, client_of(replace(FAST, webhook_url=hook)) as (client, simulator):
        await client.create_phone_call(body_for("+14155559901"))
        await until(lambda: simulator.deliverer.counts["given_up"] == 3)
        assert simulator.deliverer.counts["retried"] == 9


async def test_an_unreachable_receiver_is_tolerated() -> None:
    config = replace(FAST, webhook_url="http://127.0.0.1:1/hook", webhook_retries=0)
    async with client_of(config) as (client, simulator):
        await client.create_phone_call(body_for("+14155559901"))
        await until(lambda: simulator.deliverer.counts["given_up"] == 3)


@pytest.mark.parametrize("digits", ["9951", "9953", "9954"])
async def test_a_lost_response_still_creates_a_call(digits: str) -> None:
    async with client_of(FAST) as (client, simulator):
        body = body_for(f"+1415555{digits}")
        assert isinstance(await client.create_phone_call(body), CallUncertain)
        placed = await client.create_phone_call(body)
        assert isinstance(placed, CallPlaced)
        assert list(simulator.workspace.calls) == [placed.provider_call_id]


async def test_a_missing_response_times_out() -> None:
    async with client_of(FAST, timeout=0.5) as (client, simulator):
        assert await client.create_phone_call(body_for("+14155559952")) == CallUncertain("no response within 0.5 s")
        assert len(simulator.workspace.calls) == 1


async def test_stopping_does_not_wait_for_hanging_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = uvicorn_server.serving
    monkeypatch.setattr(
        uvicorn_server, "serving", lambda *of, **options: patient(*of, **options | {"timeout_graceful_shutdown": 60})
    )
    server = running(FAST)
    base_url, simulator = await server.__aenter__()
    client = RetellClient.connect("key_simulator", base_url, timeout=timedelta(seconds=60))
    waiting = asyncio.create_task(client.create_phone_call(body_for("+14155559952")))
    await until(lambda: bool(simulator.workspace.calls))
    async with asyncio.timeout(30):
        await server.__aexit__(None, None, None)
    assert isinstance(await waiting, CallUncertain)
    await client.close()


async def test_a_dropped_request_creates_no_call() -> None:
    async with client_of(FAST) as (client, simulator):
        assert await client.create_phone_call(body_for("+14155559955")) == CallUncertain(
            "connection lost: ServerDisconnectedError"
        )
        assert not simulator.workspace.calls


async def test_the_controls_show_and_set() -> None:
    async with running(FAST) as (base_url, _), aiohttp.ClientSession(base_url) as session:

        async def get(path: str) -> Any:
            async with session.get(path) as response:
                assert response.status == 200
                return await response.json()

        async def post(path: str, value: Any) -> tuple[int, Any]:
            async with session.post(path, json=value) as response:
                return response.status, await response.json()

        async def create(to_number: str) -> int:
            headers = {"Authorization": "Bearer key_simulator"}
            async with session.post("/v2/create-phone-call", data=body_for(to_number), headers=headers) as response:
                return response.status

        assert {row["digits"] for row in (await get("/_sim/magic"))["magic"]} == set(MAGIC)

        faults = [{"kind": "refuse", "status": 429, "times": 1}]
        assert (await post("/_sim/faults", {"faults": faults}))[0] == 200
        assert [await create("+14155550142") for _ in range(2)] == [429, 201]
        assert (await get("/_sim/faults"))["faults"][0]["struck"] == 1

        script = {"to_number": "+14155550142", "steps": ["dial_busy", {"reason": "user_hangup", "talk_s": 5}]}
        assert (await post("/_sim/script", script))[0] == 200

        ledger = await get("/_sim/ledger")
        assert [entry["result"] for entry in ledger["entries"]] == ["refused", "accepted"]
        assert ledger["totals"] == {"create-phone-call": {"accepted": 1, "refused": 1}}
        assert (ledger["written"], ledger["forgotten"], ledger["next_after"]) == (2, 0, 2)
        accepted = await get("/_sim/ledger?result=accepted&after=1&limit=5")
        assert [entry["number"] for entry in accepted["entries"]] == [2]
        assert (await get("/_sim/ledger?after=2"))["entries"] == []

        state = await get("/_sim/state")
        assert (state["scripts"], state["seed"], state["speed"]) == (1, 0, 10_000.0)
        assert await post("/_sim/reset", {"seed": 5}) == (200, {"seed": 5})
        assert (await get("/_sim/state"))["requests"] == {}

        for path, bad in (
            ("/_sim/faults", {"faults": [{"kind": "sabotage"}]}),
            ("/_sim/faults", {"faults": [{"kind": "refuse", "probability": 2}]}),
            ("/_sim/faults", [1]),
            ("/_sim/script", {"to_number": "+14155550142"}),
            ("/_sim/reset", {"sed": 5}),
        ):
            status, error = await post(path, bad)
            assert (status, error["status"]) == (400, "error")
        async with session.get("/_sim/ledger?after=-1") as response:
            assert response.status == 400


async def test_calls_from_a_number_marked_as_spam_end_with_that_reason_until_the_mark_is_removed() -> None:
    """The caller number of each request is that of `body_for`."""
    key = {"Authorization": "Bearer key_simulator"}
    async with running(FAST) as (base_url, simulator), aiohttp.ClientSession(base_url, headers=key) as session:

        async def mark(numbers: list[Any]) -> tuple[int, Any]:
            async with session.post("/_sim/spam", json={"numbers": numbers}) as response:
                return response.status, await response.json()

        async def reason_of_a_call() -> str:
            async with session.post("/v2/create-phone-call", data=body_for("+14155559901")) as response:
                call_id = (await response.json())["call_id"]
            await until(lambda: simulator.workspace.calls[call_id].end_ms is not None)
            async with session.get(f"/v2/get-call/{call_id}") as response:
                return str((await response.json())["disconnection_reason"])

        assert await reason_of_a_call() == "user_hangup"
        spam = ["+12125550100", "+14155550100"]
        assert await mark(spam) == (200, {"numbers": spam})
        assert await reason_of_a_call() == "marked_as_spam"
        for bad in (["12"], [4155550100], ["+14155550100", ""]):
            assert (await mark(bad))[0] == 400
        async with session.get("/_sim/spam") as response:
            assert (await response.json())["numbers"] == spam
        assert await mark([]) == (200, {"numbers": []})
        assert await reason_of_a_call() == "user_hangup"


async def test_a_chunked_request_is_read_and_an_endless_one_is_rejected() -> None:
    async def parts(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b" " * 100_000

    headers = {"Authorization": "Bearer key_simulator"}
    async with running(FAST) as (base_url, _), aiohttp.ClientSession(base_url, headers=headers) as session:
        async with session.post("/v3/list-calls", data=parts(5)) as response:
            assert response.status == 400
        async with session.post("/v3/list-calls", data=parts(11)) as response:
            assert response.status == 413


async def test_the_call_rings_before_a_slow_response_arrives() -> None:
    receiver = Receiver()
    async with receiver.listening() as hook:
        config = replace(FAST, webhook_url=hook, create_latency_s=1.0)
        async with client_of(config) as (client, _):
            placing = asyncio.create_task(client.create_phone_call(body_for("+14155559901")))
            await receiver.received.get()
            assert not placing.done()
            assert isinstance(await placing, CallPlaced)


async def test_the_rate_is_kept_in_real_time_whatever_the_speed() -> None:
    async with client_of(replace(FAST, calls_per_second=0.01)) as (client, simulator):
        await asyncio.gather(*(client.create_phone_call(body_for("+14155550142")) for _ in range(5)))
        assert len(simulator.workspace.calls) == 1


async def test_serve_returns_its_url_and_stops_cleanly() -> None:
    before = asyncio.all_tasks()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(FAST, port=0, on_started=address.set_result))
    async with aiohttp.ClientSession() as session, session.get(await address + "/_sim/state") as response:
        assert response.status == 200
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert asyncio.all_tasks() == before


async def test_a_taken_port_is_an_error_at_once() -> None:
    async with running(FAST) as (base_url, _):
        with pytest.raises(OSError, match="in use"):
            await serve(FAST, port=int(base_url.rpartition(":")[2]))
