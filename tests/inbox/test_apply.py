"""Any order, repetition and loss of events gives the same call and contact, and each outcome has its effect."""

import asyncio
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.domain.outcomes import RetryClass, reluctance
from outdial.inbox.receive import StoredEvent
from outdial.retell import signature
from outdial.retell.dispositions import DISPOSITIONS, outcome_of
from tests.support.dialing import KEY, Stage, epoch_ms, event_body, life_of_call
from tests.support.factories import (
    NOW,
    Campaign,
    create_call,
    create_calling,
    create_campaign,
    create_tenant,
)

NO_JITTER = '{"jitter": 0}'
EVENTS = ("call_started", "call_ended", "call_analyzed")
OWN = {"id", "campaign_contact_id", "contact_id", "phone", "retell_call_id"}


async def prepare(stage: Stage, **columns: Any) -> Campaign:
    """Create a campaign whose retries come without jitter, and whose contacts do not wait for the analysis."""
    defaults = {"retry_policy": NO_JITTER, "callback_policy": '{"enabled": false}'}
    return await create_campaign(stage.look, await create_tenant(stage.look), **(defaults | columns))


async def end(stage: Stage, campaign: Campaign, reason: str | None, **contact: Any) -> tuple[UUID, UUID]:
    """End a call of a contact with the columns `contact`; return the ids of the contact and the call."""
    entry, call_id = await create_calling(stage.look, campaign, attempt_number=9)
    await stage.change("campaign_contacts", entry.id, **({"call_count": 9} | contact))
    body = event_body("call_ended", f"call_{call_id.hex}", call_id, disconnection_reason=reason)
    await stage.send(body)
    return entry.id, call_id


async def settled(stage: Stage, campaign: Campaign, names: tuple[str, ...], reason: str, together: bool) -> Any:
    """Receive the events of a new call in this order; return the call and contact without their ids."""
    entry, call_id = await create_calling(stage.look, campaign)
    bodies = life_of_call(f"call_{call_id.hex}", call_id, reason)
    if together:
        receiver, now = stage.receiver(), epoch_ms(stage.clock.now())
        await asyncio.gather(
            *(receiver.receive(bodies[name], signature.sign(bodies[name], KEY, now)) for name in names)
        )
    else:
        await stage.send(*(bodies[name] for name in names))
    rows = await stage.row("calls", call_id), await stage.row("campaign_contacts", entry.id)
    return [{name: value for name, value in row.items() if name not in OWN} for row in rows]


@pytest.mark.parametrize("together", [False, True], ids=["each alone", "in one flush"])
@pytest.mark.parametrize("reason", ["user_hangup", "dial_no_answer", "error_retell", "reason_of_tomorrow"])
async def test_every_order_with_repetitions_gives_the_same_call_and_the_same_contact(
    stage: Stage, reason: str, together: bool
) -> None:
    campaign = await prepare(stage)
    expected = await settled(stage, campaign, EVENTS, reason, together=False)
    assert expected[0]["status"] == "ended"
    assert expected[0]["analysis"] is not None
    for order in permutations(EVENTS):
        for names in (order, (*order, *order), (order[0], *order)):
            assert await settled(stage, campaign, names, reason, together) == expected, names


CONTRADICTIONS = [
    ("dial_no_answer", "user_hangup"),
    ("error_retell", "dial_busy"),
    ("error_retell", "user_hangup"),
    ("no_valid_payment", "dial_no_answer"),
    ("dial_no_answer", "reason_of_tomorrow"),
    ("error_retell", "reason_of_tomorrow"),
    ("dial_busy", "invalid_destination"),
    ("dial_busy", "user_requested_dnc"),
    ("dial_busy", "dial_no_answer"),
]


@pytest.mark.parametrize(("one", "other"), CONTRADICTIONS)
async def test_when_the_end_and_the_analysis_contradict_each_other_call_and_contact_follow_one_reason_in_any_order(
    stage: Stage, one: str, other: str
) -> None:
    campaign, results = await prepare(stage), []
    for ended, analyzed in ((one, other), (other, one)):
        for names in (EVENTS, tuple(reversed(EVENTS))):
            entry, call_id = await create_calling(stage.look, campaign)
            reasons = {"call_ended": ended, "call_analyzed": analyzed, "call_started": None}
            name = f"call_{call_id.hex}"
            await stage.send(*(event_body(e, name, call_id, disconnection_reason=reasons[e]) for e in names))
            call, contact = await stage.row("calls", call_id), await stage.row("campaign_contacts", entry.id)
            assert contact["last_outcome"] == call["outcome"]
            shown = ("status", "attempts", "faults", "last_outcome", "status_reason")
            due = contact["next_attempt_at"] if contact["status"] == "pending" else None
            results.append([call["disconnection_reason"], due, *(contact[column] for column in shown)])

    assert results[0] == results[1]
    assert results[2] == results[3]
    if reluctance(outcome_of(one)) != reluctance(outcome_of(other)):
        assert results[0] == results[2]


@pytest.mark.parametrize("lost", [("call_started",), ("call_ended",), ("call_started", "call_ended")])
async def test_an_analysis_replaces_lost_lifecycle_events(stage: Stage, lost: tuple[str, ...]) -> None:
    campaign = await prepare(stage)
    expected = await settled(stage, campaign, EVENTS, "dial_busy", together=False)
    left = [name for name in EVENTS if name not in lost]
    for order in permutations(left):
        assert await settled(stage, campaign, order, "dial_busy", together=False) == expected


@pytest.mark.parametrize("names", [("call_started", "call_ended"), ("call_started",), ("call_ended",)])
async def test_without_an_analysis_the_order_does_not_matter_and_the_call_is_checked_later(
    stage: Stage, names: tuple[str, ...]
) -> None:
    campaign = await prepare(stage)
    results = [
        await settled(stage, campaign, order + order, "user_hangup", together=False) for order in permutations(names)
    ]
    assert results.count(results[0]) == len(results)
    assert results[0][0]["next_check_at"] == NOW + timedelta(seconds=60)
    assert results[0][0]["status"] == ("ended" if "call_ended" in names else "ongoing")


async def test_a_finished_call_has_all_details_and_is_never_checked_again(stage: Stage) -> None:
    campaign = await prepare(stage)
    [call, contact] = await settled(stage, campaign, EVENTS, "user_hangup", together=False)
    assert call["started_at"] == NOW
    assert call["ended_at"] == NOW + timedelta(minutes=1)
    assert (call["duration_ms"], float(call["cost_cents"])) == (60_000, 7.25)
    assert (call["transcript"], call["outcome"]) == ("Agent: Hello.\n", "answered")
    assert call["recording_url"].endswith(".wav")
    assert call["next_check_at"] is None
    assert (contact["status"], contact["attempts"], contact["last_outcome"]) == ("completed", 1, "answered")


@pytest.mark.parametrize(
    ("cost", "stored"),
    [
        (99_999_999, 99_999_999),
        (99_999_998.99996, 99_999_999),
        (1e8, None),
        (99_999_999.99999, None),
        (1e12, None),
        (1e300, None),
        (-5, None),
    ],
)
async def test_a_cost_that_does_not_fit_is_left_out_and_the_event_is_applied(
    stage: Stage, cost: float, stored: float | None
) -> None:
    _, call_id = await create_calling(stage.look, await prepare(stage))
    results = await stage.send(event_body("call_ended", "call_1", call_id, call_cost={"combined_cost": cost}))
    assert results == [StoredEvent("call_ended", "applied")]
    call = await stage.row("calls", call_id)
    assert (call["status"], call["cost_cents"]) == ("ended", stored)


@pytest.mark.parametrize("reason", sorted(DISPOSITIONS))
async def test_each_disconnection_reason_has_its_effect_on_the_contact(stage: Stage, reason: str) -> None:
    campaign, outcome = await prepare(stage), DISPOSITIONS[reason]
    contact_id, call_id = await end(stage, campaign, reason)
    expected = {
        RetryClass.DONE: ("completed", 1, 0),
        RetryClass.RETRY: ("pending", 1, 0),
        RetryClass.FAULT: ("pending", 0, 1),
        RetryClass.FINAL: ("failed", 1, 0),
        RetryClass.DO_NOT_CALL: ("failed", 1, 0),
        RetryClass.ACCOUNT: ("pending", 0, 1),
        RetryClass.HOLD: ("review", 0, 1),
    }
    contact = await stage.row("campaign_contacts", contact_id)
    assert (contact["status"], contact["attempts"], contact["faults"]) == expected[outcome.retry_class]
    assert contact["last_outcome"] == outcome
    assert (await stage.row("calls", call_id))["outcome"] == outcome
    assert (contact["next_attempt_at"] > NOW) == (contact["status"] == "pending")


async def test_an_attempt_resets_the_faults_and_a_fault_keeps_the_attempts(stage: Stage) -> None:
    campaign = await prepare(stage)
    contact_id, _ = await end(stage, campaign, "dial_no_answer", attempts=1, faults=4)
    contact = await stage.row("campaign_contacts", contact_id)
    assert (contact["attempts"], contact["faults"]) == (2, 0)
    contact_id, _ = await end(stage, campaign, "error_retell", attempts=1, faults=4)
    contact = await stage.row("campaign_contacts", contact_id)
    assert (contact["attempts"], contact["faults"], contact["status"]) == (1, 5, "pending")


async def test_the_last_attempt_fails_the_contact_and_the_last_fault_sends_it_to_review(stage: Stage) -> None:
    campaign = await prepare(stage, max_attempts=2)
    contact_id, _ = await end(stage, campaign, "dial_no_answer", attempts=1)
    contact = await stage.row("campaign_contacts", contact_id)
    assert (contact["status"], contact["status_reason"]) == ("failed", "no_answer after 2 attempts")
    contact_id, _ = await end(stage, campaign, "error_retell", faults=9)
    assert (await stage.row("campaign_contacts", contact_id))["status"] == "review"


async def test_a_contact_who_asked_not_to_be_called_is_on_the_list(stage: Stage) -> None:
    campaign = await prepare(stage)
    contact_id, _ = await end(stage, campaign, "user_requested_dnc")
    [listed] = await stage.rows("do_not_call")
    assert (listed["phone"], listed["source"], listed["organization_id"]) == (
        (await stage.row("campaign_contacts", contact_id))["phone"],
        "call",
        campaign.tenant.organization_id,
    )


async def test_an_account_fault_pauses_all_active_campaigns_of_the_account_only(stage: Stage) -> None:
    campaign = await prepare(stage)
    same = await create_campaign(stage.look, campaign.tenant)
    draft = await create_campaign(stage.look, campaign.tenant, status="draft", next_batch_at=None)
    other = await create_campaign(stage.look, await create_tenant(stage.look, credential="other"))
    await end(stage, campaign, "no_valid_payment")
    statuses = {row["id"]: row["status"] for row in await stage.rows("campaigns")}
    assert statuses == {campaign.id: "pausing", same.id: "pausing", draft.id: "draft", other.id: "active"}
    reason = (await stage.row("campaigns", campaign.id))["paused_reason"]
    assert reason == "Retell ended a call with no_valid_payment; check the account at Retell before you resume"


async def test_an_account_fault_waits_for_a_claim_without_locking_ended_calls(stage: Stage) -> None:
    campaign = await prepare(stage)
    entry, call_id = await create_calling(stage.look, campaign)
    claim = await asyncpg.connect(stage.scratch.dsn)
    async with claim.transaction():
        await claim.execute("select from campaigns where id = $1 for update", campaign.id)
        body = event_body("call_ended", "call_1", call_id, disconnection_reason="budget_reached")
        sending = asyncio.create_task(stage.send(body))
        # The claim goes on to write the contact that the flush has written before: it waits, and not for ever.
        while (await stage.row("calls", call_id))["status"] != "ended":  # noqa: ASYNC110  another connection's commit
            await asyncio.sleep(0)
        await claim.execute("update campaign_contacts set faults = faults where id = $1", entry.id)
        assert not sending.done()
    await sending
    await claim.close()
    assert (await stage.row("campaigns", campaign.id))["status"] == "pausing"


async def test_the_end_without_a_reason_waits_for_the_reason(stage: Stage) -> None:
    campaign = await prepare(stage)
    contact_id, call_id = await end(stage, campaign, None)
    call = await stage.row("calls", call_id)
    assert (call["status"], call["outcome"]) == ("ended", None)
    assert call["next_check_at"] == NOW + timedelta(seconds=60)
    assert (await stage.row("campaign_contacts", contact_id))["status"] == "calling"
    body = event_body("call_analyzed", f"call_{call_id.hex}", call_id, disconnection_reason="dial_busy")
    await stage.send(body)
    assert (await stage.row("calls", call_id))["outcome"] == "busy"
    contact = await stage.row("campaign_contacts", contact_id)
    assert (contact["status"], contact["attempts"]) == ("pending", 1)


async def test_an_analysis_without_a_reason_is_stored_and_ends_nothing(stage: Stage) -> None:
    campaign = await prepare(stage)
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.send(event_body("call_analyzed", "call_1", call_id, call_analysis={"in_voicemail": False}))
    call = await stage.row("calls", call_id)
    assert (call["status"], call["analysis"]) == ("placed", '{"in_voicemail": false}')
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "calling"


async def test_a_released_call_that_ends_late_completes_its_pending_contact(stage: Stage) -> None:
    campaign = await prepare(stage)
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.change("calls", call_id, status="released")
    await stage.change("campaign_contacts", entry.id, status="pending")
    await stage.send(*life_of_call("call_late", call_id).values())
    assert (await stage.row("calls", call_id))["status"] == "ended"
    contact = await stage.row("campaign_contacts", entry.id)
    assert (contact["status"], contact["attempts"]) == ("completed", 1)


async def test_an_event_with_the_id_of_another_call_changes_neither_call(stage: Stage) -> None:
    campaign = await prepare(stage)
    _, old = await create_calling(stage.look, campaign, status="ended", retell_call_id="call_1")
    _, new = await create_calling(stage.look, campaign)
    before = await stage.row("calls", old), await stage.row("calls", new)
    await stage.send(*life_of_call("call_1", new).values())
    assert (await stage.row("calls", old), await stage.row("calls", new)) == before
    errors = {(row["status"], row["error"]) for row in await stage.rows("webhook_events")}
    assert errors == {("unmatched", "another call has the id that Retell gave to this call")}


async def test_two_calls_with_one_provider_id_do_not_stop_the_others_of_their_batch(stage: Stage) -> None:
    campaign = await prepare(stage)
    calls = [(await create_calling(stage.look, campaign))[1] for _ in range(3)]
    receiver, now = stage.receiver(), epoch_ms(stage.clock.now())
    bodies = [
        life_of_call(retell_call_id, call_id)["call_ended"]
        for retell_call_id, call_id in zip(("call_1", "call_1", "call_2"), calls, strict=True)
    ]
    await asyncio.gather(*(receiver.receive(body, signature.sign(body, KEY, now)) for body in bodies))
    assert [(await stage.row("calls", call_id))["status"] for call_id in calls] == ["ended", "placing", "ended"]


async def test_a_late_end_moves_no_contact_that_is_on_its_next_call(stage: Stage) -> None:
    campaign = await prepare(stage)
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.change("calls", call_id, status="released")
    await stage.change("campaign_contacts", entry.id, call_count=2)
    second = await create_call(stage.look, entry, attempt_number=2)
    before = await stage.row("campaign_contacts", entry.id), await stage.row("calls", second)
    await stage.send(*life_of_call("call_late", call_id).values())
    assert (await stage.row("calls", call_id))["status"] == "ended"
    assert (await stage.row("campaign_contacts", entry.id), await stage.row("calls", second)) == before


@pytest.mark.parametrize(
    ("reason", "status"), [("user_hangup", "completed"), ("dial_busy", "failed"), ("invalid_destination", "failed")]
)
@pytest.mark.parametrize("call_status", ["review", "ended"], ids=["never found", "lost after it was placed"])
@pytest.mark.parametrize("names", [EVENTS, EVENTS[1:], EVENTS[2:], tuple(reversed(EVENTS))])
async def test_a_late_end_settles_a_contact_in_review(
    stage: Stage, reason: str, status: str, call_status: str, names: tuple[str, ...]
) -> None:
    campaign = await prepare(stage)
    entry, call_id = await create_calling(stage.look, campaign)
    # As review_call leaves them.
    await stage.change("calls", call_id, status=call_status, outcome="unknown", ended_at=NOW, next_check_at=None)
    await stage.change("campaign_contacts", entry.id, status="review", last_outcome="unknown")
    life = life_of_call("call_late", call_id, reason)
    await stage.send(*(life[name] for name in names))
    contact = await stage.row("campaign_contacts", entry.id)
    assert (contact["status"], contact["attempts"]) == (status, 1)
    assert (await stage.row("calls", call_id))["status"] == "ended"


@pytest.mark.parametrize("status", ["completed", "failed", "skipped", "cancelled"])
async def test_a_contact_with_a_final_status_is_never_moved(stage: Stage, status: str) -> None:
    campaign = await prepare(stage)
    contact_id, call_id = await end(stage, campaign, "dial_busy", status=status)
    assert (await stage.row("campaign_contacts", contact_id))["status"] == status
    assert (await stage.row("calls", call_id))["status"] == "ended"


@pytest.mark.parametrize("status", ["cancelling", "cancelled"])
async def test_a_contact_of_a_cancelled_campaign_is_cancelled_instead_of_retried(stage: Stage, status: str) -> None:
    campaign = await prepare(stage)
    calls = [await create_calling(stage.look, campaign) for _ in range(2)]
    await stage.change("campaigns", campaign.id, status=status)
    for (_, call_id), reason in zip(calls, ("dial_no_answer", "user_hangup"), strict=True):
        await stage.send(event_body("call_ended", call_id.hex, call_id, disconnection_reason=reason))
    statuses = [(await stage.row("campaign_contacts", entry.id))["status"] for entry, _ in calls]
    assert statuses == ["cancelled", "completed"]


async def test_an_end_wakes_its_campaign_and_those_that_wait_for_a_slot_and_notifies(stage: Stage) -> None:
    later, heard = NOW + timedelta(seconds=50), asyncio.Queue[str]()
    campaign = await prepare(stage, next_batch_at=later)
    waits = await create_campaign(stage.look, campaign.tenant, next_batch_at=later, waiting_for="concurrency")
    sleeps = await create_campaign(stage.look, campaign.tenant, next_batch_at=later, waiting_for="calling_hours")
    listener = await asyncpg.connect(stage.scratch.dsn_for("outdial_dialer"))
    await listener.add_listener("outdial_campaigns", lambda *args: heard.put_nowait(str(args[-1])))
    await end(stage, campaign, "dial_busy")
    assert await asyncio.wait_for(heard.get(), 30) == str(campaign.id)
    await listener.close()
    due = {row["id"]: row["next_batch_at"] for row in await stage.rows("campaigns")}
    assert due == {campaign.id: NOW, waits.id: NOW, sleeps.id: later}


async def test_an_end_does_not_wait_for_a_claim_that_holds_its_campaign(stage: Stage) -> None:
    campaign = await prepare(stage, next_batch_at=NOW + timedelta(seconds=50))
    entry, call_id = await create_calling(stage.look, campaign)
    claim = await asyncpg.connect(stage.scratch.dsn)
    async with claim.transaction():
        await claim.execute("select from campaigns where id = $1 for update", campaign.id)
        await stage.send(event_body("call_ended", "call_1", call_id, disconnection_reason="user_hangup"))
    await claim.close()
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "completed"


async def test_an_invalid_stored_retry_policy_does_not_block_the_inbox(stage: Stage) -> None:
    campaign = await prepare(stage)
    await stage.change("campaigns", campaign.id, retry_policy='{"no_answer": 7}')
    contact_id, _ = await end(stage, campaign, "dial_no_answer")
    assert (await stage.row("campaign_contacts", contact_id))["status"] == "pending"
