"""A contact that asks to be called back is called at the time asked for, at most twice, or a member decides."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from outdial.db.queries.dialing.callbacks import list_callbacks
from outdial.db.queries.events import store_reconciled_events
from outdial.db.queries.settlements import repeat_facts
from outdial.dialer.callbacks.late import LateCallbacks
from outdial.dialer.claim import Claimed
from outdial.domain.policies.callback_requests import ASKED_IN
from outdial.inbox.contact_steps import NO_ANALYSIS
from outdial.inbox.held_contacts import RESPONSE_TIME
from tests.support.dialing import Stage, epoch_ms, event_body
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_tenant,
)

HOLD = timedelta(minutes=10)


async def hear(stage: Stage, call_id: UUID, reason: str, *, analysis: dict[str, Any] | None = None) -> None:
    """Receive the end of a call, and its analysis with these custom fields."""
    name = f"call_{call_id.hex}"
    await stage.send(event_body("call_ended", name, call_id, disconnection_reason=reason))
    if analysis is not None:
        body = {"call_summary": "Wants to talk later.", "custom_analysis_data": analysis}
        await stage.send(event_body("call_analyzed", name, call_id, disconnection_reason=reason, call_analysis=body))


async def end_holds(stage: Stage) -> int:
    """Ask Retell about the calls that are due for it, and decide about the contacts that have waited long enough."""
    await stage.dialer().rescuer.run_once()
    stage.clock.advance(RESPONSE_TIME)
    return await stage.held_contacts().run_once()


async def claim(stage: Stage, campaign: Campaign) -> list[UUID]:
    """Claim once; return the ids of the calls."""
    claimed = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claimed, Claimed)
    return [call.id for call in claimed.calls]


async def prepare(stage: Stage, **columns: Any) -> Campaign:
    """Create a campaign without jitter."""
    return await create_campaign(stage.look, await create_tenant(stage.look), retry_policy='{"jitter": 0}', **columns)


async def test_the_contact_waits_for_the_analysis_and_is_called_at_the_time_that_it_has(stage: Stage) -> None:
    campaign = await prepare(stage)
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.change("campaign_contacts", entry.id, rank=3)
    await hear(stage, call_id, "user_hangup")
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "calling"
    assert (await stage.row("calls", call_id))["decides_at"] == NOW + HOLD
    assert await claim(stage, campaign) == []
    assert (await stage.row("campaigns", campaign.id))["status"] == "active"

    await hear(stage, call_id, "user_hangup", analysis={"callback_at": "in 2 hours"})
    contact = await stage.row("campaign_contacts", entry.id)
    expected = {"status": "pending", "attempts": 0, "callbacks": 1, "rank": 0, "usual_rank": 3}
    assert {name: contact[name] for name in expected} == expected
    assert contact["callback_at"] == contact["next_attempt_at"] == NOW + timedelta(hours=2)
    assert (await stage.row("calls", call_id))["decides_at"] is None
    assert await stage.held_contacts().run_once() == 0
    assert await claim(stage, campaign) == []

    # The call goes out at that time, as a callback. It is repeated once after 30 minutes.
    for hours, is_try in ((2, 1), (2.5, 2)):
        stage.clock.set(NOW + timedelta(hours=hours))
        (callback_id,) = await claim(stage, campaign)
        call = await stage.row("calls", callback_id)
        assert (call["callback_of"], call["callback_try"]) == (NOW + timedelta(hours=hours), is_try)
        variables = json.loads(call["request"])["retell_llm_dynamic_variables"]
        assert variables["is_callback"] == "true"
        # Both tries know what was said in the call that asked for them, and the list of callbacks links it.
        assert variables["last_call_summary"] == "Wants to talk later."
        [listed] = await list_callbacks(
            stage.look,
            organization_id=campaign.tenant.organization_id,
            campaign_id=campaign.id,
            asked_in=ASKED_IN,
            calls_since=NOW - timedelta(days=1),
            from_at=None,
            until_at=None,
            after_at=None,
            after_id=None,
            limit=2,
        )
        assert (listed.asked_in_call, listed.summary) == (call_id, "Wants to talk later.")
        assert listed.callback_tries == is_try - 1
        await hear(stage, callback_id, "dial_no_answer")
    contact = await stage.row("campaign_contacts", entry.id)
    expected = {"status": "pending", "attempts": 2, "callback_at": None, "rank": 3, "usual_rank": None}
    assert {name: contact[name] for name in expected} == expected
    assert contact["next_attempt_at"] == NOW + timedelta(hours=4.5)


async def test_the_second_try_of_a_callback_passes_the_attempt_limit(stage: Stage) -> None:
    campaign = await prepare(stage, max_attempts=1)
    entry, first = await create_calling(stage.look, campaign, callback_of=NOW, callback_try=1)
    await hear(stage, first, "dial_no_answer")
    contact = await stage.row("campaign_contacts", entry.id)
    expected = {"status": "pending", "attempts": 1, "rank": 0, "callback_tries": 1}
    assert {name: contact[name] for name in expected} == expected
    assert contact["callback_at"] == contact["next_attempt_at"] == NOW + timedelta(minutes=30)

    stage.clock.set(contact["callback_at"])
    (second,) = await claim(stage, campaign)
    assert (await stage.row("calls", second))["callback_try"] == 2
    assert (await repeat_facts(stage.look, call_id=second)).callback_at == contact["callback_at"]
    await hear(stage, second, "dial_no_answer")
    contact = await stage.row("campaign_contacts", entry.id)
    assert (contact["status"], contact["attempts"]) == ("failed", 2)


async def test_without_an_analysis_the_contact_is_decided_after_ten_minutes(stage: Stage) -> None:
    campaign = await prepare(stage)
    answered, first = await create_calling(stage.look, campaign)
    asked, second = await create_calling(stage.look, campaign)
    late, third = await create_calling(stage.look, campaign)
    await hear(stage, first, "user_hangup")
    await hear(stage, second, "user_requested_callback")
    assert await stage.held_contacts().run_once() == 0
    stage.clock.set(NOW + timedelta(minutes=1))
    await hear(stage, third, "user_hangup")
    stage.clock.set(NOW + HOLD)
    await stage.look.execute(
        "insert into webhook_events (source, credential, retell_call_id, event, body, body_sha256, received_at,"
        " next_try_at) values ('webhook', 'default', $1, 'call_analyzed', '{}', sha256('{}'), $2, $2)",
        f"call_{first.hex}",
        stage.clock.now(),
    )
    assert await end_holds(stage) == 1, "an event that waits to be applied is not matched to its call yet"
    await stage.look.execute("update webhook_events set status = 'quarantined' where status = 'pending'")
    assert await stage.held_contacts().run_once() == 1
    statuses = [(await stage.row("campaign_contacts", entry.id))["status"] for entry in (answered, asked, late)]
    assert statuses == ["completed", "review", "calling"]
    assert (await stage.row("campaign_contacts", answered.id))["status_reason"] == NO_ANALYSIS
    await hear(stage, third, "user_hangup", analysis={})
    assert (await stage.row("campaign_contacts", late.id))["status"] == "completed"


async def test_an_analysis_before_the_end_or_twice_or_during_a_pause_makes_one_callback(stage: Stage) -> None:
    campaign = await prepare(stage)
    entry, call_id = await create_calling(stage.look, campaign)
    held, other_id = await create_calling(stage.look, campaign)
    await hear(stage, other_id, "user_hangup")
    await stage.change("campaigns", campaign.id, status="paused")
    analysis = {"call_summary": "Later.", "custom_analysis_data": {"callback_at": "in 2 hours"}}
    for waiting, call in ((entry, call_id), (held, other_id)):
        name = f"call_{call.hex}"
        events = [
            event_body(event, name, call, disconnection_reason="user_hangup", call_analysis=analysis)
            for event in ("call_analyzed", "call_ended", "call_analyzed")
        ]
        await stage.send(*events)
        contact = await stage.row("campaign_contacts", waiting.id)
        assert (contact["status"], contact["callbacks"], contact["attempts"]) == ("pending", 1, 0)
        assert contact["callback_at"] == NOW + timedelta(hours=2)
    assert await stage.held_contacts().run_once() == 0


WORDS = "the contact asked for a callback: 'in 2 hours', that is 2026-03-10T15:00 in America/New_York"


async def analyze(stage: Stage, call_id: UUID, reason: str = "user_hangup", **fields: Any) -> None:
    """Receive the analysis of a call that has ended."""
    body = {"call_summary": "Wants to talk later.", "custom_analysis_data": fields}
    call = {"end_timestamp": epoch_ms(NOW), "disconnection_reason": reason, "call_analysis": body}
    await stage.send(event_body("call_analyzed", f"call_{call_id.hex}", call_id, **call))


async def test_a_request_in_an_analysis_that_comes_too_late_goes_to_review_with_the_words(stage: Stage) -> None:
    campaign = await prepare(stage)
    cancelled = await create_campaign(stage.look, campaign.tenant)
    kinds = ("asked", "in review", "content", "decided", "called since", "blocked", "unreadable", "cancelled")
    contacts, calls = {}, {}
    for kind in kinds:
        contacts[kind], calls[kind] = await create_calling(stage.look, cancelled if kind == "cancelled" else campaign)
        await hear(stage, calls[kind], "user_requested_callback" if kind == "in review" else "user_hangup")
    await stage.change("campaigns", cancelled.id, status="cancelling")
    stage.clock.set(NOW + HOLD)
    assert await end_holds(stage) == len(kinds)
    await stage.change(
        "campaign_contacts", contacts["decided"].id, decided_calls=1, status_reason="marked as completed"
    )
    await stage.change("campaign_contacts", contacts["called since"].id, call_count=2)
    await stage.look.execute(
        "insert into do_not_call (organization_id, phone, source, created_at) values ($1, $2, 'manual', $3)",
        campaign.tenant.organization_id,
        (await stage.row("campaign_contacts", contacts["blocked"].id))["phone"],
        NOW,
    )
    await stage.change("campaigns", campaign.id, status="completed")

    for kind, call_id in calls.items():
        time = {"content": "", "unreadable": "after lunch"}.get(kind, "in 2 hours")
        reason = "user_requested_callback" if kind == "in review" else "user_hangup"
        for _ in range(2):
            await analyze(stage, call_id, reason, callback_at=time)
    rows = {kind: await stage.row("campaign_contacts", entry.id) for kind, entry in contacts.items()}
    late = "; the analysis came late: decide when to call again"
    assert {kind: (row["status"], row["status_reason"], row["attempts"]) for kind, row in rows.items()} == {
        "asked": ("review", WORDS + late, 0),
        "in review": ("review", WORDS + late, 0),
        "content": ("completed", None, 1),
        "decided": ("completed", "marked as completed", 1),
        "called since": ("completed", NO_ANALYSIS, 1),
        "blocked": ("completed", "asked for a callback, but is on the do-not-call list", 1),
        "unreadable": (
            "review",
            "the contact asked for a callback: 'after lunch'; no time can be read from it: decide when to call again",
            0,
        ),
        "cancelled": ("completed", NO_ANALYSIS, 1),
    }
    assert (await stage.row("campaigns", campaign.id))["status"] == "completed"


async def test_after_an_outage_retell_is_asked_before_a_contact_is_decided(stage: Stage) -> None:
    campaign = await prepare(stage)
    asked = await create_calling(stage.look, campaign, retell_call_id="call_1", status="placed")
    lost = await create_calling(stage.look, campaign, retell_call_id="call_2", status="placed")
    for (_, call_id), name in ((asked, "call_1"), (lost, "call_2")):
        await stage.send(event_body("call_ended", name, call_id, disconnection_reason="user_hangup"))
    rescuer, held = stage.dialer().rescuer, stage.held_contacts()
    stage.clock.set(NOW + timedelta(seconds=60))
    assert await rescuer.run_once() == 2
    # Nothing of ours runs for an hour, in which Retell's deliveries of the analysis of the first call are lost.
    stage.clock.set(NOW + timedelta(hours=1))
    assert await held.run_once() == 0
    assert await rescuer.run_once() == 2
    assert await held.run_once() == 0
    await store_reconciled_events(
        stage.look,
        credential="default",
        retell_call_id="call_1",
        organization_id=campaign.tenant.organization_id,
        call_id=asked[1],
        events=["call_analyzed"],
        bodies=[event_body("call_analyzed", "call_1", asked[1])],
        hashes=[bytes(32)],
        now=stage.clock.now(),
    )
    stage.clock.advance(timedelta(seconds=30))
    assert await held.run_once() == 1
    statuses = [(await stage.row("campaign_contacts", entry.id))["status"] for entry, _ in (asked, lost)]
    assert statuses == ["calling", "completed"]
    stage.clock.set(NOW + HOLD + timedelta(days=1))
    assert await held.run_once() == 1


async def test_a_contact_that_is_decided_at_once_says_so_until_the_analysis_comes(stage: Stage) -> None:
    campaign = await prepare(stage)
    # Retell placed a call that Outdial had given up on: its contact is pending, and is not called meanwhile.
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.change("campaign_contacts", entry.id, status="pending", next_attempt_at=NOW)
    await hear(stage, call_id, "user_hangup")
    contact = await stage.row("campaign_contacts", entry.id)
    assert (contact["status"], contact["status_reason"]) == ("completed", NO_ANALYSIS)
    await analyze(stage, call_id, callback_requested="yes")
    contact = await stage.row("campaign_contacts", entry.id)
    assert (contact["status"], contact["attempts"]) == ("review", 0)


async def test_a_cancelled_campaign_does_not_wait_for_analyses(stage: Stage) -> None:
    campaign = await prepare(stage)
    entry, call_id = await create_calling(stage.look, campaign)
    await hear(stage, call_id, "user_hangup")
    await stage.change("campaigns", campaign.id, status="cancelling")
    assert await stage.held_contacts().run_once() == 1
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "completed"


async def test_review_has_the_words_that_cannot_be_read_and_the_third_wish(stage: Stage) -> None:
    campaign = await prepare(stage)
    for words, callbacks in (("after the holidays", 0), ("in 70 days", 0), ("in 2 hours", 2)):
        entry, call_id = await create_calling(stage.look, campaign)
        await stage.change("campaign_contacts", entry.id, callbacks=callbacks)
        await hear(stage, call_id, "user_requested_callback", analysis={"callback_at": words})
        contact = await stage.row("campaign_contacts", entry.id)
        assert contact["status"] == "review"
        assert words in contact["status_reason"]
        assert contact["callback_at"] is None


async def test_a_late_callback_is_reported_once_with_the_reason(stage: Stage) -> None:
    campaign = await prepare(stage)
    _, call_id = await create_calling(stage.look, campaign)
    await hear(stage, call_id, "user_requested_callback", analysis={"callback_at": "in 1 hour"})
    await stage.change("campaigns", campaign.id, status="paused")
    late = LateCallbacks(stage.dialing, stage.clock)
    stage.clock.set(NOW + timedelta(hours=1, minutes=1))
    assert await late.run_once() == 0
    stage.clock.set(NOW + timedelta(hours=1, minutes=2))
    assert await late.run_once() == 1
    assert await late.run_once() == 0
    await stage.change("campaigns", campaign.id, status="active")
    (callback_id,) = await claim(stage, campaign)
    assert (await stage.row("calls", callback_id))["callback_late"] == "the campaign is paused"


async def wait_for_callback(stage: Stage, campaign: Campaign, at: datetime) -> UUID:
    """Let a contact ask for a callback at `at`; return its campaign contact."""
    entry, call_id = await create_calling(stage.look, campaign)
    await hear(stage, call_id, "user_requested_callback", analysis={"callback_at": at.isoformat()})
    return entry.id


async def test_a_callback_passes_the_parts_of_the_day_but_no_other_gate(stage: Stage) -> None:
    # 17:00 in UTC is 13:00 in New York.
    campaign = await prepare(stage, calling_hours='{"every_day": [["09:00", "20:00"]]}', day_parts=["evening"])
    early, night, blocked, capped = [
        await wait_for_callback(stage, campaign, NOW + timedelta(hours=hours)) for hours in (1, 12, 1, 1)
    ]
    phones = {entry: (await stage.row("campaign_contacts", entry))["phone"] for entry in (blocked, capped)}
    await stage.look.execute(
        "insert into do_not_call (organization_id, phone, source, created_at) values ($1, $2, 'manual', $3)",
        campaign.tenant.organization_id,
        phones[blocked],
        NOW,
    )
    await stage.look.execute(
        "insert into calls select (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(),"
        " 'attempt_number', n.number, 'retell_call_id', null, 'requested_at', $2::timestamptz))).*"
        " from calls c, generate_series(2, 4) as n (number) where c.phone = $1",
        phones[capped],
        NOW,
    )
    await stage.change("campaign_contacts", capped, call_count=4)
    await stage.change("organizations", campaign.tenant.organization_id, daily_call_cap=4)

    stage.clock.set(NOW + timedelta(minutes=59, seconds=59))
    await stage.change("campaigns", campaign.id, status="paused")
    await stage.change("campaigns", campaign.id, status="active")
    assert await claim(stage, campaign) == []
    stage.clock.set(NOW + timedelta(hours=1))
    (call_id,) = await claim(stage, campaign)
    call = await stage.row("calls", call_id)
    assert (call["campaign_contact_id"], call["callback_of"], call["callback_late"]) == (early, stage.clock.now(), None)
    skipped, deferred = [await stage.row("campaign_contacts", entry) for entry in (blocked, capped)]
    assert (skipped["status"], skipped["callback_at"], skipped["rank"], skipped["usual_rank"]) == (
        "skipped",
        None,
        5,
        None,
    )
    assert deferred["next_attempt_at"] == NOW + timedelta(hours=24)
    assert "calls in 24 hours" in deferred["status_reason"]

    # It is night in New York and day in Tokyo: the callback waits until the morning, and is reported.
    stage.clock.set(NOW + timedelta(hours=12))
    await create_campaign_contact(stage.look, campaign, zone_key="Asia/Tokyo", next_attempt_at=stage.clock.now())
    assert await claim(stage, campaign) == []
    stage.clock.set(NOW + timedelta(hours=12, minutes=2))
    assert await LateCallbacks(stage.dialing, stage.clock).run_once() == 2
    rows = [await stage.row("campaign_contacts", entry) for entry in (night, capped)]
    assert [row["callback_late"] for row in rows] == ["waits for calling hours", deferred["status_reason"]]
    stage.clock.set(NOW.replace(hour=13) + timedelta(days=1))
    (call_id,) = await claim(stage, campaign)
    assert (await stage.row("calls", call_id))["callback_late"] == "waits for calling hours"
