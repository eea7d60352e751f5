"""A call that Retell may or may not have is found, repeated with its own key, given back, or left to a person."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from outdial.db.queries import settlements
from outdial.dialer.claim import Claimed
from outdial.dialer.rescue import MAX_CONCURRENT_CHECKS
from outdial.provider import BeforeSending
from outdial.retell.client import RetellClient
from outdial.retell.errors import TransportFailed
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.wire import RetellResponse
from tests.support.dialing import KEY, Stage
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_tenant,
    insert,
)


async def unknown(stage: Stage, fault: Fault, **columns: Any) -> tuple[Campaign, UUID]:
    """Place one call whose answer is lost by `fault`."""
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), **columns)
    await create_campaign_contact(stage.look, campaign)
    stage.workspace.faults.replace([fault])
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    [call] = await stage.rows("calls")
    assert call["status"] == "unknown"
    return campaign, call["id"]


LOST_REPLY = Fault(kind=FaultKind.drop_reply, times=1)
LOST_REQUEST = Fault(kind=FaultKind.drop_request, times=1)


async def rescue(stage: Stage, after: timedelta = timedelta(seconds=10)) -> None:
    """Let time pass, and ask about what is silent."""
    stage.clock.advance(after)
    await stage.dialer().rescuer.run_once()


async def test_a_call_that_stays_unknown_is_asked_for_less_and_less_often(stage: Stage) -> None:
    await unknown(stage, LOST_REQUEST)
    stage.workspace.faults.replace([Fault(kind=FaultKind.refuse, status=500)])
    before, waits = stage.clock.now(), list[float]()
    while stage.clock.now() - NOW < stage.settings.resend_until:
        asked = len(stage.asked())
        await rescue(stage, after=timedelta(seconds=5))
        if len(stage.asked()) > asked:
            waits.append((stage.clock.now() - before).total_seconds())
            before = stage.clock.now()
    assert len(waits) <= 16
    assert waits[:5] == sorted(waits[:5])
    assert max(waits) <= 330


async def contact(stage: Stage) -> dict[str, Any]:
    """Return the one contact."""
    [row] = await stage.rows("campaign_contacts")
    return row


async def test_a_call_that_retell_has_is_adopted_without_a_second_request(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REPLY)
    await rescue(stage)
    call = await stage.row("calls", call_id)
    assert (call["status"], call["retell_call_id"]) == ("placed", stage.asked()[0].call_id)
    assert len(stage.asked()) == 1


async def test_a_call_that_retell_has_not_is_asked_for_again_with_the_same_key_and_body(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST)
    request = (await stage.row("calls", call_id))["request"]
    await rescue(stage)
    call = await stage.row("calls", call_id)
    assert (call["status"], call["requests"], call["request"]) == ("placed", 2, request)
    [made] = [entry for entry in stage.asked() if entry.result == "accepted"]
    assert made.idempotency_key == str(call_id)
    assert len(stage.workspace.calls) == 1


async def test_caps_count_a_call_from_the_start_of_its_last_request(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST)
    before = await stage.row("calls", call_id)
    await rescue(stage, timedelta(minutes=40))
    after = await stage.row("calls", call_id)
    assert (before["requested_at"], before["requests"], after["requests"]) == (NOW, 1, 2)
    assert NOW + timedelta(minutes=40) <= after["requested_at"] <= stage.clock.now()


async def test_a_repeated_request_that_misses_its_start_counts_from_its_new_one(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST)
    call = await stage.row("calls", call_id)
    start_at, deadline = NOW + timedelta(minutes=5), NOW + timedelta(minutes=6)
    await stage.change("calls", call_id, requests=2, request_deadline=deadline)
    async with stage.dialing.for_organization(call["organization_id"]) as connection:
        await settlements.move_start(
            connection, call_id=call_id, deadline=deadline, start_at=start_at, now=NOW + timedelta(minutes=4)
        )
    assert (await stage.row("calls", call_id))["requested_at"] == start_at


@pytest.mark.parametrize("status", [429, 400, 500, 401])
async def test_a_second_answer_that_is_not_the_call_leaves_it_unknown(stage: Stage, status: int) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST)
    stage.workspace.faults.replace([Fault(kind=FaultKind.refuse, status=status)])
    await rescue(stage)
    call = await stage.row("calls", call_id)
    assert (call["status"], call["requests"]) == ("unknown", 2)
    assert (await contact(stage))["status"] == "calling"
    assert (await stage.rows("campaigns"))[0]["status"] == "active"


async def test_no_request_is_repeated_while_one_may_still_be_under_way(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST)
    now = stage.clock.now()
    await stage.change("calls", call_id, request_deadline=now + timedelta(seconds=20), next_check_at=now)
    before = len(stage.asked())
    await rescue(stage, timedelta())
    assert len(stage.asked()) == before


@pytest.mark.parametrize("status", ["pausing", "paused", "cancelling", "cancelled"])
async def test_nothing_is_asked_for_again_for_a_campaign_that_does_not_run(stage: Stage, status: str) -> None:
    campaign, call_id = await unknown(stage, LOST_REQUEST)
    await stage.change("campaigns", campaign.id, status=status)
    before = len(stage.asked())
    for _ in range(4):
        await rescue(stage, timedelta(seconds=61))
    assert len(stage.asked()) == before
    assert (await stage.row("calls", call_id))["status"] == "unknown"


async def test_nothing_is_asked_for_again_outside_the_calling_hours(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST, calling_hours='{"every_day": [["09:00", "13:05"]]}')
    before = len(stage.asked())
    await rescue(stage, timedelta(minutes=6))
    assert len(stage.asked()) == before
    assert (await stage.row("calls", call_id))["status"] == "unknown"


async def test_nothing_is_asked_for_again_for_a_number_on_the_list(stage: Stage) -> None:
    campaign, _ = await unknown(stage, LOST_REQUEST)
    before = len(stage.asked())
    await insert(
        stage.look,
        "do_not_call",
        organization_id=campaign.tenant.organization_id,
        phone=(await contact(stage))["phone"],
        source="manual",
    )
    await rescue(stage)
    assert len(stage.asked()) == before


async def test_nothing_is_asked_for_again_with_a_key_that_is_nearly_an_hour_old(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST)
    before = len(stage.asked())
    await rescue(stage, timedelta(minutes=50))
    assert len(stage.asked()) == before
    assert (await stage.row("calls", call_id))["status"] == "unknown"


async def test_a_call_that_retell_never_had_is_given_back_after_the_grace_with_no_attempt_used(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST)
    await rescue(stage, timedelta(minutes=64))
    assert (await stage.row("calls", call_id))["status"] == "unknown"
    await rescue(stage, timedelta(minutes=11))
    row = await contact(stage)
    assert (await stage.row("calls", call_id))["status"] == "released"
    assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("pending", 0, stage.clock.now())


async def test_a_cancelled_campaign_gives_its_unknown_calls_back_sooner(stage: Stage) -> None:
    campaign, call_id = await unknown(stage, LOST_REQUEST)
    await stage.change("campaigns", campaign.id, status="cancelling")
    await rescue(stage, timedelta(minutes=4))
    assert (await stage.row("calls", call_id))["status"] == "unknown"
    await rescue(stage, timedelta(minutes=2))
    assert (await stage.row("calls", call_id))["status"] == "released"
    assert (await contact(stage))["status"] == "cancelled"


async def test_a_call_that_nobody_could_ask_about_for_a_day_goes_to_review(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST)
    stage.workspace.faults.replace([Fault(kind=FaultKind.refuse, operation=None)])
    await rescue(stage, timedelta(hours=23))
    assert (await stage.row("calls", call_id))["status"] == "unknown"
    await rescue(stage, timedelta(hours=1))
    assert (await stage.row("calls", call_id))["status"] == "review"
    assert (await contact(stage))["status"] == "review"


async def test_a_call_of_a_dead_dialer_is_rescued_after_its_deadline(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    await create_campaign_contact(stage.look, campaign)
    claim = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claim, Claimed)
    await rescue(stage, timedelta(seconds=24))
    assert [row["status"] for row in await stage.rows("calls")] == ["placing"]
    await rescue(stage, timedelta(seconds=1))
    [call] = await stage.rows("calls")
    assert (call["status"], call["requests"]) == ("placed", 2)
    assert [entry.idempotency_key for entry in stage.asked()] == [str(call["id"])]


async def test_a_call_that_two_dialers_look_at_at_once_is_asked_for_once(stage: Stage) -> None:
    await unknown(stage, LOST_REQUEST)
    before = len(stage.asked())
    stage.clock.advance(timedelta(seconds=10))
    one, other = stage.dialer(), stage.dialer()
    await one.rescuer.run_once()
    await other.rescuer.run_once()
    assert len(stage.asked()) == before + 1
    assert len(stage.workspace.calls) == 1


async def test_an_account_without_a_key_is_passed_over(stage: Stage) -> None:
    _, call_id = await unknown(stage, LOST_REQUEST)
    stage.clients.clear()
    await rescue(stage)
    assert (await stage.row("calls", call_id))["status"] == "unknown"


async def test_one_call_that_cannot_be_adopted_keeps_no_other_from_it(stage: Stage) -> None:
    campaign, first = await unknown(stage, LOST_REPLY)
    await create_campaign_contact(stage.look, campaign)
    stage.workspace.faults.replace([LOST_REPLY])
    stage.clock.advance(timedelta(seconds=1))
    dialer = stage.dialer()
    dialer.wake_for(str(campaign.id))
    await dialer.run_once()
    await dialer.settled()
    # Retell's id of the first call is taken by a call that has long ended.
    _, other = await create_calling(stage.look, campaign, status="ended", next_check_at=None)
    await stage.change("calls", other, retell_call_id=stage.asked()[0].call_id)
    await rescue(stage)
    statuses = {row["id"]: row["status"] for row in await stage.rows("calls")}
    assert statuses.pop(first) == "review"
    assert sorted(statuses.values()) == ["ended", "placed"]
    reviewed = await stage.row("calls", first)
    assert reviewed["error"].startswith("another call already has Retell's id of this call: ")
    assert reviewed["next_check_at"] is None
    assert (await stage.row("campaign_contacts", reviewed["campaign_contact_id"]))["status"] == "review"


async def test_a_provider_that_does_not_respond_is_not_asked_for_each_of_its_calls(stage: Stage) -> None:
    class Silent(SimulatorTransport):
        """A provider that never responds."""

        requests = 0

        async def send(
            self,
            method: str,
            path: str,
            body: bytes | None,
            timeout_s: float,
            before_sending: BeforeSending | None = None,
        ) -> RetellResponse:
            self.requests += 1
            raise TransportFailed("no response")

    silent = Silent(stage.workspace, stage.clock.now, KEY)
    stage.clients["silent"] = RetellClient(silent)
    for credential, calls in (("silent", 3 * MAX_CONCURRENT_CHECKS), ("default", 3)):
        campaign = await create_campaign(stage.look, await create_tenant(stage.look, credential=credential))
        for _ in range(calls):
            await create_calling(
                stage.look, campaign, status="unknown", next_check_at=NOW, request_deadline=None, created_at=NOW
            )
    await stage.dialer().rescuer.run_once()

    assert silent.requests <= MAX_CONCURRENT_CHECKS
    assert len(stage.asked("list-calls")) == 3
