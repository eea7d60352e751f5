"""The client over the simulator without a network, under virtual time."""

from datetime import timedelta
from uuid import UUID

from outdial.clock import VirtualClock
from outdial.provider import (
    AccountConcurrency,
    CallDeleted,
    CallEnded,
    CallMissing,
    CallPlaced,
    CallRefused,
    CallUncertain,
    ProviderUnavailable,
    RefusalKind,
)
from outdial.retell.client import CallRetrieved, CallsListed, RetellClient, create_call_body
from outdial.retell.simulator import SimulatedWorkspace, SimulatorTransport
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.wire import WebhookPayload, metadata_id, parse_webhook
from tests.retell.simulator.requests import CONFIG, START

CALL_ID = UUID(int=7)


def body_for(to_number: str) -> bytes:
    return create_call_body(
        call_id=CALL_ID,
        campaign_id=UUID(int=8),
        to_number=to_number,
        from_number="+14155550100",
        agent_id="agent_1",
        dynamic_variables={"first_name": "Ann"},
    )


class Bench:
    """A client, its workspace and their clock."""

    def __init__(self, key: str = "key_simulator") -> None:
        self.workspace = SimulatedWorkspace(CONFIG)
        self.clock = VirtualClock(START)
        self.client = RetellClient(SimulatorTransport(self.workspace, self.clock.now, key))


async def test_a_call_is_placed_observed_and_stopped() -> None:
    bench = Bench()
    placed = await bench.client.create_phone_call(body_for("+14155559910"))
    assert isinstance(placed, CallPlaced)
    assert await bench.client.get_concurrency() == AccountConcurrency(
        current=1, limit=1000, reserved_inbound=0, burst_limit=0
    )
    bench.clock.advance(timedelta(minutes=1))
    (started,) = bench.workspace.advance(bench.clock.now())
    payload = parse_webhook(started.body)
    assert isinstance(payload, WebhookPayload)
    assert metadata_id(payload.call, "call_id") == CALL_ID
    assert await bench.client.stop_call(placed.provider_call_id) == CallEnded()
    assert await bench.client.stop_call(placed.provider_call_id) == CallMissing()
    found = await bench.client.get_call(placed.provider_call_id)
    assert isinstance(found, CallRetrieved)
    assert found.call.disconnection_reason == "manual_stopped"
    assert await bench.client.get_call("call_none") == CallMissing()
    await bench.client.close()


async def test_a_call_with_a_lost_response_is_found_by_metadata_and_by_key() -> None:
    bench = Bench()
    for digits in ("9951", "9952", "9953", "9954"):
        bench.workspace.reset(0)
        body = body_for(f"+1415555{digits}")
        assert isinstance(await bench.client.create_phone_call(body), CallUncertain)
        listed = await bench.client.list_calls(metadata_key="call_id", metadata_value=str(CALL_ID))
        assert isinstance(listed, CallsListed)
        placed = await bench.client.create_phone_call(body)
        assert isinstance(placed, CallPlaced)
        assert [call.call_id for call in listed.calls] == [placed.provider_call_id] == list(bench.workspace.calls)


async def test_refusals_have_the_right_kind() -> None:
    expected = {
        "9941": RefusalKind.contact,
        "9942": RefusalKind.account,
        "9943": RefusalKind.account,
        "9944": RefusalKind.account,
        "9945": RefusalKind.configuration,
        "9946": RefusalKind.capacity,
    }
    for digits, kind in expected.items():
        refused = await Bench().client.create_phone_call(body_for(f"+1415555{digits}"))
        assert isinstance(refused, CallRefused)
        assert refused.kind is kind


async def test_a_wrong_key_refuses_the_account() -> None:
    refused = await Bench("wrong").client.create_phone_call(body_for("+14155559901"))
    assert isinstance(refused, CallRefused)
    assert (refused.kind, refused.message) == (RefusalKind.account, "API key is missing or invalid.")


async def test_faults_affect_reads() -> None:
    bench = Bench()
    bench.workspace.faults.replace([Fault(kind=FaultKind.drop_reply, operation=None)])
    assert isinstance(await bench.client.get_concurrency(), ProviderUnavailable)
    assert isinstance(await bench.client.list_calls(metadata_key="a", metadata_value="b"), ProviderUnavailable)


async def test_a_deletion_whose_response_is_lost_is_confirmed_by_the_next_request() -> None:
    bench = Bench()
    placed = await bench.client.create_phone_call(body_for("+14155559901"))
    assert isinstance(placed, CallPlaced)
    bench.workspace.faults.replace([Fault(kind=FaultKind.drop_reply, operation="delete-call", times=1)])
    assert isinstance(await bench.client.delete_call(placed.provider_call_id), ProviderUnavailable)
    assert await bench.client.delete_call(placed.provider_call_id) == CallMissing()
    assert placed.provider_call_id not in bench.workspace.calls


async def test_a_call_is_deleted_with_its_data() -> None:
    bench = Bench()
    placed = await bench.client.create_phone_call(body_for("+14155559901"))
    assert isinstance(placed, CallPlaced)
    assert await bench.client.delete_call(placed.provider_call_id) == CallDeleted()
    assert await bench.client.get_call(placed.provider_call_id) == CallMissing()
