"""The calls of the benchmark's campaign, and their events: started, ended, analyzed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec

from benchmarks.load import request
from outdial.retell import signature

KEY = "key_benchmark_3f9d2c7a81"
EVENTS_PER_CALL = 3

_ORGANIZATION, _ACCOUNT, _CAMPAIGN = (UUID(int=0x7 << 76 | 0b10 << 62 | n) for n in (1, 2, 3))
_FROM = "+12125550000"
# A call in five reaches a machine, so that the retry policy has something to decide.
_REASONS = ("user_hangup", "agent_hangup", "user_hangup", "inactivity", "voicemail_reached")
_VARIABLES = {
    "first_name": "Ada",
    "current_date": "2026-11-23",
    "current_day": "Monday",
    "clinic": "Harbor Dental, 14 Pier Road, Brooklyn, NY 11201",
    "appointment": "Thursday, November 26 at 10:00 AM with Dr. Okafor",
    "greeting": "Good morning, this is Sam from Harbor Dental. I am calling about your appointment on Thursday, and I"
    " can move it for you right now if the time does not suit you any more. Do you have a minute to talk?",
}
_TALK = (
    "Would Thursday at ten still suit you?",
    "Thursday is fine, but could we make it a little later?",
    "Half past eleven is free, shall I put you down for it?",
)


@dataclass(frozen=True, slots=True)
class SeededCall:
    """A placed call without events."""

    id: UUID
    campaign_contact_id: UUID
    contact_id: UUID
    phone: str
    retell_call_id: str

    @classmethod
    def number(cls, n: int) -> "SeededCall":
        """Return the nth call. Its ids are spread like consecutive version 7 ids."""
        call, entry, contact = (UUID(int=(n << 8 | kind) << 80 | 0x7 << 76 | 0b10 << 62 | n) for kind in (1, 2, 3))
        return cls(call, entry, contact, f"+1212{n:07}", f"call_{random.Random(n).getrandbits(128):032x}")


async def seed(connection: asyncpg.Connection, calls: Sequence[SeededCall], now: datetime) -> None:
    """Insert one organization and one active campaign whose contacts all have a `placed` call."""
    await connection.execute("insert into organizations (id, name) values ($1, 'Harbor Dental')", _ORGANIZATION)
    await connection.execute(
        "insert into provider_accounts (id, organization_id, name) values ($1, $2, 'Retell')", _ACCOUNT, _ORGANIZATION
    )
    await connection.execute(
        "insert into campaigns (id, organization_id, provider_account_id, name, status, retell_agent_id, from_number,"
        " next_batch_at) values ($1, $2, $3, 'Recall', 'active', 'agent_1', $4, $5::timestamptz + interval '1 day')",
        *(_CAMPAIGN, _ORGANIZATION, _ACCOUNT, _FROM, now),
    )
    await connection.execute(
        "insert into contacts (id, organization_id, phone, zone_key, zone_source)"
        " select u.id, $1, u.phone, 'America/New_York', 'number' from unnest($2::uuid[], $3::text[]) as u (id, phone)",
        *(_ORGANIZATION, [c.contact_id for c in calls], [c.phone for c in calls]),
    )
    await connection.execute(
        "insert into campaign_contacts (id, organization_id, campaign_id, contact_id, phone, zone_key, status,"
        " call_count, next_attempt_at) select u.id, $1, $2, u.contact_id, u.phone, 'America/New_York', 'calling', 1, $6"
        " from unnest($3::uuid[], $4::uuid[], $5::text[]) as u (id, contact_id, phone)",
        *(_ORGANIZATION, _CAMPAIGN, [c.campaign_contact_id for c in calls], [c.contact_id for c in calls]),
        *([c.phone for c in calls], now),
    )
    await connection.execute(
        "insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,"
        " attempt_number, phone, from_number, status, request, decision, requested_at, next_check_at, retell_call_id,"
        " placed_at, created_at, updated_at)"
        " select u.id, $1, $2, u.entry, u.contact, $3, 1, u.phone, $9, 'placed', $10, $11, $12,"
        "  $12::timestamptz + interval '60 s', u.retell_call_id, $12, $12, $12"
        " from unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[])"
        "  as u (id, entry, contact, phone, retell_call_id)",
        *(_ORGANIZATION, _CAMPAIGN, _ACCOUNT, [c.id for c in calls], [c.campaign_contact_id for c in calls]),
        *([c.contact_id for c in calls], [c.phone for c in calls], [c.retell_call_id for c in calls], _FROM),
        *('{"override_agent_id": "agent_1"}', '{"zones": ["America/New_York"], "zone_source": "number"}', now),
    )


def bodies(calls: Sequence[SeededCall], now: datetime) -> list[bytes]:
    """Return the three events of each call, interleaved like those of about a hundred concurrent calls."""
    choose = random.Random(len(calls))
    timed: list[tuple[float, bytes]] = []
    for n, call in enumerate(calls):
        ended = n + choose.uniform(100, 400)
        analyzed = ended + choose.uniform(20, 80)
        timed += zip((n, ended, analyzed), map(msgspec.json.encode, _events(call, choose, now)), strict=True)
    return [body for _, body in sorted(timed)]


def signed_requests(url: str, events: Sequence[bytes]) -> list[bytes]:
    """Return each body as a request signed now; signatures are valid for five minutes."""
    now_ms = round(datetime.now(UTC).timestamp() * 1000)
    return [request(url, body, {signature.HEADER: signature.sign(body, KEY, now_ms)}) for body in events]


def _events(call: SeededCall, choose: random.Random, now: datetime) -> Iterator[dict[str, object]]:
    started_ms = round(now.timestamp() * 1000) + choose.randrange(100_000)
    duration_ms = choose.randrange(8_000, 120_000)
    about = {
        "call_id": call.retell_call_id,
        "call_type": "phone_call",
        "direction": "outbound",
        "agent_id": "agent_1",
        "agent_version": 3,
        "agent_name": "Recall",
        "from_number": _FROM,
        "to_number": call.phone,
        "telephony_identifier": {"twilio_call_sid": f"CA{choose.getrandbits(128):032x}"},
        "metadata": {"call_id": str(call.id), "campaign_id": str(_CAMPAIGN)},
        "retell_llm_dynamic_variables": _VARIABLES,
        "start_timestamp": started_ms,
    }
    settings = {"data_storage_setting": "everything", "opt_in_signed_url": False}
    yield {"event": "call_started", "call": {**about, **settings, "call_status": "ongoing"}}
    details = _details(call, choose, started_ms, duration_ms)
    yield {"event": "call_ended", "call": {**about, **settings, **details, "call_status": "ended"}}
    analysis = {
        "call_summary": "The appointment was moved to Thursday at half past eleven, and the contact confirmed it.",
        "in_voicemail": details["disconnection_reason"] == "voicemail_reached",
        "user_sentiment": "Positive",
        "call_successful": True,
        "custom_analysis_data": {"appointment": "2026-11-26T11:30:00-05:00", "wants_reminder": True},
    }
    yield {
        "event": "call_analyzed",
        "call": {**about, **settings, **details, "call_status": "ended", "call_analysis": analysis},
    }


def _details(call: SeededCall, choose: random.Random, started_ms: int, duration_ms: int) -> dict[str, object]:
    lines = [(("agent", "user")[n % 2], text) for n, text in enumerate(_TALK[: choose.randrange(1, 3)])]
    cost = round(duration_ms / 60_000 * 7.5, 3)
    log = f"https://files.example.com/{call.retell_call_id}"
    return {
        "end_timestamp": started_ms + duration_ms,
        "duration_ms": duration_ms,
        "disconnection_reason": choose.choice(_REASONS),
        "transcript": "".join(f"{role.title()}: {text}\n" for role, text in lines),
        "transcript_object": [
            {
                "role": role,
                "content": text,
                "words": [{"word": text.split()[0], "start": n * 3.2, "end": n * 3.2 + 0.3}],
            }
            for n, (role, text) in enumerate(lines)
        ],
        "latency": {"e2e": {"p50": 812, "p90": 1130, "p99": 1420, "num": 6}},
        "call_cost": {
            "combined_cost": cost,
            "total_duration_seconds": duration_ms // 1000,
            "product_costs": [{"product": "elevenlabs_tts", "cost": cost, "unit_price": 0.125}],
        },
        "recording_url": f"{log}/recording.wav",
        "public_log_url": f"{log}/public.log",
    }
