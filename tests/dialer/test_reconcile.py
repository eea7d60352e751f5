"""What Retell never told is asked for, goes through the ledger, and comes out as if it had been told."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.script import ScriptStep
from tests.support.dialing import Stage, event_body
from tests.support.factories import (
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_tenant,
)

EVENTS = ("call_started", "call_ended", "call_analyzed")


async def placed(stage: Stage, *lost: str, reason: str = "user_hangup") -> Campaign:
    """Place a call of half a minute of which the `lost` events never come."""
    campaign = await create_campaign(
        stage.look, await create_tenant(stage.look), retry_policy='{"jitter": 0}', next_batch_at=stage.clock.now()
    )
    entry = await create_campaign_contact(stage.look, campaign, next_attempt_at=stage.clock.now())
    stage.workspace.script(entry.contact.phone, [ScriptStep(reason, ring_s=5, talk_s=20)])
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_webhook, event=event) for event in lost])
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    return campaign


async def pass_time(stage: Stage, seconds: int, step: int = 5) -> None:
    """Let time pass with webhooks, reconciling and applying going on."""
    rescuer, applier = stage.dialer().rescuer, stage.applier()
    for _ in range(seconds // step):
        stage.clock.advance(timedelta(seconds=step))
        await stage.deliver()
        await rescuer.run_once()
        await applier.run_once()


def told(row: dict[str, Any]) -> dict[str, Any]:
    """Return what Retell has told of a call."""
    names = "status outcome disconnection_reason started_at ended_at duration_ms transcript analysis cost_cents"
    return {name: row[name] for name in [*names.split(), "recording_url", "next_check_at", "detail_ranks"]}


@pytest.mark.parametrize("reason", ["user_hangup", "dial_busy"])
@pytest.mark.parametrize("lost", [(event,) for event in EVENTS] + [EVENTS[:2], EVENTS[1:], EVENTS])
async def test_lost_events_are_recovered_through_the_ledger(stage: Stage, lost: tuple[str, ...], reason: str) -> None:
    await placed(stage, *lost, reason=reason)
    await pass_time(stage, 300)
    [call] = await stage.rows("calls")
    [contact] = await stage.rows("campaign_contacts")
    assert (call["status"], call["disconnection_reason"], call["next_check_at"]) == ("ended", reason, None)
    assert call["analysis"] is not None
    assert contact["attempts"] == 1
    events = await stage.rows("webhook_events")
    recovered = [row for row in events if row["source"] == "reconciler"]
    assert {row["status"] for row in events} == {"applied"}
    # An analysis tells all that the events before it had told.
    assert bool(recovered) == ("call_analyzed" in lost)


async def test_a_recovered_call_reads_as_one_that_was_told(stage: Stage) -> None:
    phone_calls = []
    for lost in ((), EVENTS):
        await placed(stage, *lost)
        await pass_time(stage, 300)
        phone_calls.append(told((await stage.rows("calls"))[-1]))
        await stage.look.execute("update campaigns set status = 'pausing'")
        await stage.look.execute("delete from webhook_events; delete from calls; delete from campaign_contacts")
        await stage.look.execute("delete from campaigns; delete from organizations")
    spoken = ("status", "outcome", "disconnection_reason", "duration_ms", "next_check_at")
    assert [phone_calls[0][name] for name in spoken] == [phone_calls[1][name] for name in spoken]


async def test_a_call_that_is_still_going_on_is_asked_about_less_and_less_often(stage: Stage) -> None:
    await placed(stage, *EVENTS)
    stage.workspace._transitions.clear()  # it rings for ever
    asked_at = []
    for _ in range(4000):
        stage.clock.advance(timedelta(seconds=1))
        [call] = await stage.rows("calls")
        if call["next_check_at"] <= stage.clock.now():
            await stage.dialer().rescuer.run_once()
            asked_at.append(stage.clock.now())
    waits = [round((later - earlier).total_seconds()) for earlier, later in pairwise(asked_at)]
    assert waits[:5] == [60, 120, 240, 480, 600]
    assert set(waits[5:]) <= {600}


async def test_a_call_that_retell_denies_again_and_again_goes_to_review(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry, call_id = await create_calling(stage.look, campaign, status="ongoing", retell_call_id="call_gone")
    for number in range(4):
        assert (await stage.row("calls", call_id))["status"] == "ongoing", number
        stage.clock.set((await stage.row("calls", call_id))["next_check_at"])
        await stage.dialer().rescuer.run_once()
    call = await stage.row("calls", call_id)
    assert (call["status"], call["outcome"], call["next_check_at"]) == ("ended", "unknown", None)
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "review"


async def test_an_analysis_that_never_comes_is_given_up(stage: Stage) -> None:
    await placed(stage, "call_analyzed")
    stage.clock.advance(timedelta(seconds=25))
    await stage.deliver()
    stage.workspace._transitions.clear()
    for _ in range(20):
        [call] = await stage.rows("calls")
        if call["next_check_at"] is None:
            break
        stage.clock.set(call["next_check_at"])
        await stage.dialer().rescuer.run_once()
        await stage.applier().run_once()
        await stage.held_contacts().run_once()
    assert (call["status"], call["outcome"], call["analysis"], call["next_check_at"]) == (
        "ended",
        "answered",
        None,
        None,
    )
    assert (await stage.rows("campaign_contacts"))[0]["status"] == "completed"


async def test_an_ended_call_that_retell_has_forgotten_is_not_asked_about_for_ever(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.send(event_body("call_ended", "call_gone", call_id, disconnection_reason="user_hangup"))
    for _ in range(20):
        call = await stage.row("calls", call_id)
        if call["next_check_at"] is None:
            break
        stage.clock.set(call["next_check_at"])
        await stage.dialer().rescuer.run_once()
    assert (call["next_check_at"], call["outcome"]) == (None, "answered")
    stage.clock.set(call["decides_at"])
    await stage.held_contacts().run_once()
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "completed"


async def test_an_end_whose_reason_retell_never_tells_goes_to_review(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.send(event_body("call_ended", "call_gone", call_id))
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "calling"
    for _ in range(20):
        call = await stage.row("calls", call_id)
        if call["next_check_at"] is None:
            break
        stage.clock.set(call["next_check_at"])
        await stage.dialer().rescuer.run_once()
    assert (call["status"], call["outcome"]) == ("ended", "unknown")
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "review"
