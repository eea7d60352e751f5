"""The sound of live calls: what Retell's responses mean, and the same against the simulator."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from outdial.domain.policies.listening import GIVEN_UP_AFTER
from outdial.provider import (
    CallMissing,
    CardDataSpoken,
    ProviderUnavailable,
    SoundInDashboardOnly,
    SoundOffered,
    TakenOver,
)
from outdial.retell.call_sound import listen, take_over
from outdial.retell.client import RetellClient
from outdial.retell.provider import RetellProvider
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.workspace import SimulatedWorkspace
from outdial.retell.wire import RetellResponse
from tests.retell.simulator.requests import CONFIG, LATER, START, created
from tests.retell.test_client import KEY, Peer, client_of, http

OFFER = {
    "access_token": "secret_token",
    "expires_at": 1_790_000_000_000,
    "participant_id": "listener_1",
    "room_name": "room",
    "url": "wss://retell.livekit.cloud",
}
GATEWAY = {"transport": "gateway", "ice_servers": [{"urls": "stun:example.com"}], "url": None}


def offer(**changes: object) -> bytes:
    return http(201, json.dumps(OFFER | changes).encode())


@pytest.mark.parametrize("changes", [{}, {"transport": "livekit"}, {"transport": None}, {"new_field": 1}])
async def test_a_token_of_livekit_is_offered_and_never_shown(changes: dict[str, object]) -> None:
    async with client_of(peer := Peer(offer(**changes))) as client:
        found = await listen(client, "call_1/../x")
    assert found == SoundOffered("wss://retell.livekit.cloud", "secret_token", "listener_1")
    assert "secret_token" not in repr(found)
    assert peer.requests[0].startswith(b"POST /v2/listen-live-call/call_1%2F..%2Fx ")


async def test_another_transport_is_heard_in_the_dashboard_only() -> None:
    async with client_of(Peer(offer(**GATEWAY))) as client:
        assert await listen(client, "call_1") == SoundInDashboardOnly()


@pytest.mark.parametrize(
    "changes",
    [
        *({"url": url} for url in (None, "", "javascript:alert(1)", "https://x", "wss://[x")),
        {"access_token": ""},
        {"access_token": None},
        {"participant_id": ""},
    ],
)
async def test_a_response_without_address_or_token_offers_nothing(changes: dict[str, object]) -> None:
    async with client_of(Peer(offer(**changes))) as client:
        found = await listen(client, "call_1")
    assert isinstance(found, ProviderUnavailable)
    assert "secret_token" not in found.reason


async def test_refusals_of_retell_keep_their_meaning() -> None:
    for status in (404, 422):
        async with client_of(Peer(http(status))) as client:
            assert await listen(client, "call_1") == CallMissing()
            assert await take_over(client, "call_1", "listener_1") == CallMissing()
    for status in (400, 401, 429, 500):
        async with client_of(Peer(http(status))) as client:
            for found in (await listen(client, "call_1"), await take_over(client, "call_1", "listener_1")):
                assert isinstance(found, ProviderUnavailable)
                assert found.status == status


@pytest.mark.parametrize("status", [400, 403, 409, 422])
async def test_a_takeover_is_refused_while_the_contact_gives_card_data(status: int) -> None:
    message = b'{"status": "error", "message": "Cannot take over while a PCI session is active."}'
    async with client_of(peer := Peer(http(status, message))) as client:
        assert await take_over(client, "call_1", "listener_1") == CardDataSpoken()
    assert peer.requests[0].endswith(b'{"participant_id":"listener_1"}')


async def test_a_simulated_call_is_heard_and_taken_over_while_it_is_connected() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    now = START
    client = RetellClient(SimulatorTransport(workspace, lambda: now, "key_simulator"))
    provider = RetellProvider({"default": client})
    call_id = created(workspace, "+14155559910")["call_id"]
    assert await provider.listen("default", call_id) == CallMissing()
    assert await provider.listen("default", "call_none") == CallMissing()

    now = START + timedelta(minutes=1)
    workspace.advance(now)
    first, second = [await provider.listen("default", call_id) for _ in range(2)]
    assert isinstance(first, SoundOffered)
    assert isinstance(second, SoundOffered)
    assert first.url.startswith("ws://127.0.0.1:")
    assert first.participant_id != second.participant_id
    assert await provider.take_over("default", call_id, "listener_none") == CallMissing()
    assert workspace.calls[call_id].taken_over_by is None
    assert await provider.take_over("default", call_id, second.participant_id) == TakenOver()
    assert workspace.calls[call_id].taken_over_by == second.participant_id

    assert isinstance(await provider.listen("acme", call_id), ProviderUnavailable)
    workspace.stop_call(now, call_id)
    now = LATER
    assert await provider.listen("default", call_id) == CallMissing()
    assert await provider.take_over("default", call_id, second.participant_id) == CallMissing()


async def test_a_response_is_given_up_before_the_member_who_waits_for_it_gives_up() -> None:
    waited = list[float]()

    class Recording(SimulatorTransport):
        async def send(
            self,
            method: str,
            path: str,
            body: bytes | None,
            timeout_s: float,
            before_sending: Callable[[], Awaitable[None]] | None = None,
        ) -> RetellResponse:
            waited.append(timeout_s)
            return await super().send(method, path, body, timeout_s, before_sending)

    client = RetellClient(Recording(SimulatedWorkspace(CONFIG), lambda: START, "key_simulator"))
    await listen(client, "call_1")
    await take_over(client, "call_1", "listener_1")
    assert len(waited) == 2
    assert max(waited) < GIVEN_UP_AFTER.total_seconds()


async def test_no_request_contains_more_than_the_key_and_the_participant() -> None:
    async with client_of(peer := Peer(http(201, b'{"success":true}'))) as client:
        assert await take_over(client, "call_1", "listener_1") == TakenOver()
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert KEY.encode() in head
    assert json.loads(body) == {"participant_id": "listener_1"}
