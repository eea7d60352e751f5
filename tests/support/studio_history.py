"""A campaign that has run for some hours, so that pages have content."""

import json
from datetime import timedelta
from uuid import UUID

from outdial.db.session import Connection
from outdial.retell.dispositions import outcome_of
from tests.support.factories import (
    NOW,
    Campaign,
    Tenant,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_contact,
    insert,
)

CONTACTS = 48
_NAMES = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Katherine Johnson", "Bartholomew Featherstonehaugh-Smythe")
_ZONES = ("America/New_York", "America/Los_Angeles", "Europe/Berlin", "America/Chicago|America/Denver")
_REASONS = ("user_hangup", "voicemail_reached", "dial_no_answer", "agent_hangup", "dial_busy", "dial_failed")
_TRANSCRIPT = """Agent: Hello, this is Riley of Acme. Do you have a moment?
User: Yes, what is it about?
Agent: Your plan renews next week, and I would like to make sure that it still fits.
User: It does, thank you. Send me the papers by mail, please.
Agent: I will. Goodbye!
"""
# The turns as Retell reports them: five seconds apart, with the time of a word.
_SPOKEN = [
    {
        "role": speaker.lower(),
        "content": text,
        "words": [{"word": text.split()[0], "start": 5.0 * number, "end": 5.0 * number + 4}],
    }
    for number, (speaker, _, text) in enumerate(line.partition(": ") for line in _TRANSCRIPT.splitlines())
]
_ANALYSIS = {"call_summary": "The customer keeps the plan.", "user_sentiment": "Positive", "call_successful": True}
_DECISION = {
    "zone_key": "America/New_York",
    "zone_source": "number",
    "local_times": {"America/New_York": "2026-03-10T12:40:00-04:00"},
    "calling_hours": "open",
    "do_not_call": "not listed",
    "attempts": 0,
    "max_attempts": 3,
    "calls_in_24_hours": 0,
    "daily_call_cap": 3,
    "live_calls": 4,
    "concurrency_limit": 20,
    "reserved_inbound": 2,
}


async def create_history(connection: Connection, tenant: Tenant) -> tuple[Campaign, UUID]:
    """Create the campaign with contacts and calls in every status. Return it and an answered call."""
    campaign = await create_campaign(connection, tenant, name="Spring renewals, first wave")
    answered = [found for n in range(CONTACTS) if (found := await _contact(connection, campaign, n)) is not None]
    return campaign, answered[0]


async def _contact(connection: Connection, campaign: Campaign, n: int) -> UUID | None:
    contact = await create_contact(
        connection,
        campaign.tenant.organization_id,
        name=f"{_NAMES[n % len(_NAMES)]}",
        notes="Analytical Engines" if n % 3 else None,
        zone_key=_ZONES[n % len(_ZONES)],
    )
    if n % 4 == 3:
        await create_campaign_contact(connection, campaign, contact, next_attempt_at=NOW + timedelta(minutes=n))
        return None
    reason = _REASONS[n % len(_REASONS)]
    outcome = outcome_of(reason)
    begun = NOW - timedelta(minutes=9 * n + 4)
    is_live = n in (1, 5)
    is_done = outcome.value == "answered"
    entry = await create_campaign_contact(
        connection,
        campaign,
        contact,
        status="calling" if is_live else "completed" if is_done else "pending" if n % 2 else "failed",
        attempts=0 if is_live else 1,
        call_count=1,
        last_outcome=None if is_live else outcome.value,
        next_attempt_at=NOW + timedelta(hours=1),
    )
    ended = {
        "outcome": outcome.value,
        "disconnection_reason": reason,
        "ended_at": begun + timedelta(seconds=40 + n),
        "duration_ms": (40 + n) * 1000,
        "cost_cents": 7 + n,
        "transcript": _TRANSCRIPT if is_done else None,
        "recording_url": "https://recordings.example.com/call.wav" if is_done else None,
        "analysis": json.dumps(_ANALYSIS) if is_done else None,
    }
    call_id = await create_call(
        connection,
        entry,
        status="ongoing" if is_live else "ended",
        retell_call_id=f"call_{entry.id.hex}",
        requested_at=begun,
        placed_at=begun,
        started_at=begun + timedelta(seconds=6),
        decision=json.dumps(_DECISION),
        **({} if is_live else ended),
    )
    if is_done:
        await _event(connection, campaign.tenant, call_id, entry.id.hex)
    return call_id if is_done else None


async def _event(connection: Connection, tenant: Tenant, call_id: UUID, name: str) -> None:
    call, spoken = {"call_id": f"call_{name}"}, {"transcript_object": _SPOKEN}
    for number, event in enumerate(("call_started", "call_ended", "call_analyzed")):
        await insert(
            connection,
            "webhook_events",
            organization_id=tenant.organization_id,
            credential=tenant.credential,
            retell_call_id=f"call_{name}",
            event=event,
            body=json.dumps({"event": event, "call": call | (spoken if event != "call_started" else {})}).encode(),
            body_sha256=bytes([number]) * 32,
            source="webhook",
            received_at=NOW - timedelta(minutes=3 - number),
            next_try_at=NOW,
            call_id=call_id,
            status="applied",
            applied_at=NOW,
        )
