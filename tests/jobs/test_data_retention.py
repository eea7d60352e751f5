"""Data is removed after the days that its organization sets, in portions, and nothing counts differently afterwards."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns.erasure import request_erasure
from outdial.campaigns.lifecycle import Actor
from outdial.db.session import Database
from outdial.jobs.data_retention import DataRetention
from tests.support.dialing import Stage, life_of_call, open_stage
from tests.support.factories import (
    ERASURE_KEYS,
    NOW,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_tenant,
    create_test_call,
    insert,
)
from tests.support.postgres import Scratch

OLD = NOW - timedelta(days=40)
PERSONAL = ("transcript", "analysis", "recording_url", "public_log_url")


@pytest.fixture
async def stage(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Stage]:
    async with open_stage(database, connection) as opened:
        yield opened


@pytest.fixture
async def campaign(stage: Stage) -> Campaign:
    return await create_campaign(stage.look, await create_tenant(stage.look))


async def create_ended_call(stage: Stage, campaign: Campaign, *, at: Any = OLD, **columns: Any) -> UUID:
    """Create an ended call with everything, and the event that reported it."""
    entry = await create_campaign_contact(
        stage.look, campaign, status="completed", attempts=1, call_count=1, last_outcome="answered"
    )
    details = {
        "status": "ended",
        "outcome": "answered",
        "retell_call_id": f"call_{entry.id.hex}",
        "duration_ms": 60_000,
        "cost_cents": 7,
        "transcript": "User: Hello.",
        "analysis": '{"call_summary": "Fine."}',
        "recording_url": "https://recordings.example/1.wav",
        "public_log_url": "https://logs.example/1",
        "request": '{"to_number": "+1"}',
        "request_deadline": None,
        "next_check_at": None,
        "created_at": at,
    }
    call_id = await create_call(stage.look, entry, **(details | columns))
    await create_event(stage, campaign, at=at, organization_id=campaign.tenant.organization_id, call_id=call_id)
    return call_id


async def create_event(stage: Stage, campaign: Campaign, *, at: Any = OLD, **columns: Any) -> None:
    number = await stage.look.fetchval("select count(*) from webhook_events")
    defaults = {"status": "applied" if "call_id" in columns else "unmatched", "body": b'{"transcript": "Hello"}'}
    await insert(
        stage.look,
        "webhook_events",
        source="webhook",
        credential=campaign.tenant.credential,
        retell_call_id=f"call_{number}",
        event="call_ended",
        body_sha256=number.to_bytes(32, "big"),
        received_at=at,
        next_try_at=at,
        **(defaults | columns),
    )


async def keep(stage: Stage, **days: int | bool | str | None) -> None:
    names = ", ".join(f"{name} = ${number}" for number, name in enumerate(days, start=1))
    await stage.look.execute(f"update organizations set {names}", *days.values())  # noqa: S608


async def clear(stage: Stage, *, portion: int = 500) -> int:
    pool = await Database.connect(stage.scratch.dsn_for("outdial_jobs"), application_name="tests:jobs", max_size=2)
    async with pool:
        return await DataRetention(pool, stage.clock, portion=portion).run_once()


async def counted(stage: Stage, campaign: Campaign) -> list[tuple[object, ...]]:
    async with stage.look.transaction():
        await stage.look.execute("set local role service_role")
        calls = await stage.look.fetch("select * from private.count_ended_calls($1)", [campaign.id])
        contacts = await stage.look.fetch("select * from private.count_campaign_contacts($1)", [campaign.id])
    return [tuple(row) for row in (*calls, *contacts)]


async def test_by_default_everything_is_kept(stage: Stage, campaign: Campaign) -> None:
    call_id = await create_ended_call(stage, campaign, at=NOW - timedelta(days=4000))

    assert await clear(stage) == 0

    assert None not in [(await stage.row("calls", call_id))[name] for name in PERSONAL]


@pytest.mark.parametrize(
    ("days", "removed"),
    [
        ({"event_days": 30}, ()),
        ({"event_days": 30, "transcript_days": 30}, ("transcript", "analysis")),
        ({"event_days": 30, "recording_days": 30}, ("recording_url", "public_log_url")),
        ({"event_days": 30, "call_days": 35}, PERSONAL),
    ],
)
async def test_each_kind_is_removed_after_its_days_and_no_count_changes(
    stage: Stage, campaign: Campaign, days: dict[str, int], removed: tuple[str, ...]
) -> None:
    old, young = await create_ended_call(stage, campaign), await create_ended_call(stage, campaign, at=NOW)
    before = await counted(stage, campaign)
    await keep(stage, **days)

    await clear(stage)

    call, other = await stage.row("calls", old), await stage.row("calls", young)
    assert {name for name in PERSONAL if call[name] is None} == set(removed)
    assert (call["phone"] == "erased", call["request"] == "{}") == (("call_days" in days,) * 2)
    assert (call["outcome"], call["duration_ms"], call["cost_cents"]) == ("answered", 60_000, 7)
    assert None not in [other[name] for name in PERSONAL]
    assert [row["body"] for row in await stage.rows("webhook_events")] == [b"", b'{"transcript": "Hello"}']
    assert await counted(stage, campaign) == before


async def test_portions_cover_everything_and_are_not_read_again(stage: Stage, campaign: Campaign) -> None:
    for number in range(7):
        await create_ended_call(stage, campaign, at=OLD + timedelta(minutes=number // 2))
    await keep(stage, transcript_days=30, event_days=30)

    assert await clear(stage, portion=2) == 14
    assert await clear(stage, portion=2) == 0

    assert {row["transcript"] for row in await stage.rows("calls")} == {None}
    assert {row["body"] for row in await stage.rows("webhook_events")} == {b""}
    entries = [row for row in await stage.rows("audit_log") if row["action"] == "remove_old_data"]
    assert [(row["actor"], row["details"]) for row in entries] == [("jobs", '{"events": 7, "transcripts": 7}')]


async def test_a_later_day_continues_where_the_earlier_one_ended(stage: Stage, campaign: Campaign) -> None:
    await keep(stage, transcript_days=30, event_days=30)
    await create_ended_call(stage, campaign)
    young = await create_ended_call(stage, campaign, at=NOW)
    assert await clear(stage) == 2

    stage.clock.advance(timedelta(days=31))
    assert await clear(stage) == 2

    assert (await stage.row("calls", young))["transcript"] is None


async def test_events_without_a_call_are_removed_and_stay_what_they_are(stage: Stage, campaign: Campaign) -> None:
    await create_event(stage, campaign)
    await create_event(stage, campaign, status="quarantined", error="no JSON: +14155550123")
    await create_event(stage, campaign, at=NOW)
    await keep(stage, event_days=30)

    await clear(stage)

    events = await stage.rows("webhook_events")
    assert [(row["status"], row["body"] == b"") for row in events] == [
        ("unmatched", True),
        ("quarantined", True),
        ("unmatched", False),
    ]
    assert [row["error"] for row in events[:2]] == ["its body was removed"] * 2
    assert events[0]["body_sha256"] == (0).to_bytes(32, "big")


async def test_an_event_that_is_still_to_be_applied_keeps_its_body_and_those_after_it(
    stage: Stage, campaign: Campaign
) -> None:
    organization = {"organization_id": campaign.tenant.organization_id}
    await create_event(stage, campaign, status="applied", **organization)
    await create_event(stage, campaign, status="pending", **organization)
    await create_event(stage, campaign, status="applied", **organization)
    await keep(stage, event_days=30)

    await clear(stage)
    assert [row["body"] == b"" for row in await stage.rows("webhook_events")] == [True, False, False]

    await stage.look.execute("update webhook_events set status = 'applied' where status = 'pending'")
    await clear(stage)
    assert [row["body"] == b"" for row in await stage.rows("webhook_events")] == [True] * 3


async def test_the_words_of_a_contact_who_asked_for_a_callback_go_with_the_transcript(
    stage: Stage, campaign: Campaign
) -> None:
    variables = {"last_call_summary": "Is in the hospital.", "is_callback": "true", "name": "Ada"}
    request = json.dumps({"to_number": "+1", "retell_llm_dynamic_variables": variables})
    old, young = [await create_ended_call(stage, campaign, at=at, request=request) for at in (OLD, NOW)]
    entries = [(await stage.row("calls", call_id))["campaign_contact_id"] for call_id in (old, young)]
    words = "the contact asked for a callback: 'after surgery'; no time can be read from it: decide when to call again"
    for entry in entries:
        await stage.change("campaign_contacts", entry, status_reason=words)
    await keep(stage, transcript_days=30, event_days=30)

    await clear(stage)

    kept = [json.loads((await stage.row("calls", call_id))["request"]) for call_id in (old, young)]
    assert kept[0]["retell_llm_dynamic_variables"] == {"is_callback": "true", "name": "Ada"}
    assert kept[1]["retell_llm_dynamic_variables"] == variables
    reasons = [(await stage.row("campaign_contacts", entry))["status_reason"] for entry in entries]
    assert reasons == ["the contact asked for a callback; the words were removed because of their age", words]


async def test_a_test_call_loses_its_words_and_then_its_phone(stage: Stage, campaign: Campaign) -> None:
    words = {"transcript": "User: Hello.", "recording_url": "https://recordings.example/1.wav"}
    called = words | {"status": "ended", "request": '{"to_number": "+14155550142"}'}
    old_id, young_id = [
        await create_test_call(
            stage.look, campaign, requested_at=at, sent_at=at, retell_call_id=f"call_{at.date()}", **called
        )
        for at in (OLD, NOW)
    ]
    await keep(stage, transcript_days=30, event_days=30)
    assert await clear(stage) == 1
    old = await stage.row("test_calls", old_id)
    assert (old["transcript"], old["phone"]) == (None, "+14155550142")
    assert old["recording_url"] is not None

    await keep(stage, recording_days=30, call_days=31)
    assert await clear(stage) == 1
    # What an event that is applied again says is not kept.
    late = {"call_id": old["retell_call_id"], "metadata": {"test_call_id": str(old_id)}, "transcript": "User: Hello."}
    await stage.send(
        json.dumps({"event": "call_ended", "call": late | {"disconnection_reason": "user_hangup"}}).encode()
    )
    old, young = [await stage.row("test_calls", id_) for id_ in (old_id, young_id)]
    assert (old["phone"], old["request"], old["transcript"], old["recording_url"]) == ("erased", "{}", None, None)
    assert (young["phone"], young["transcript"]) == ("+14155550142", "User: Hello.")
    assert await clear(stage) == 0


async def test_a_late_event_does_not_bring_a_removed_transcript_back(stage: Stage, campaign: Campaign) -> None:
    call_id = await create_ended_call(stage, campaign, retell_call_id="call_late")
    await keep(stage, transcript_days=30, recording_days=30, event_days=30)
    await clear(stage)

    await stage.send(life_of_call("call_late", call_id)["call_analyzed"])

    call = await stage.row("calls", call_id)
    assert [call[name] for name in PERSONAL] == [None] * 4
    assert float(call["cost_cents"]) == 7.25


async def test_a_live_call_keeps_the_calls_from_its_time_on(stage: Stage, campaign: Campaign) -> None:
    older, younger = [await create_ended_call(stage, campaign, at=OLD + timedelta(days=n)) for n in (0, 2)]
    entry = await create_campaign_contact(stage.look, campaign, status="calling", call_count=1)
    await create_call(stage.look, entry, status="ongoing", created_at=OLD + timedelta(days=1))
    await keep(stage, call_days=31, event_days=31)

    await clear(stage)

    phones = [(await stage.row("calls", call_id))["phone"] == "erased" for call_id in (older, younger)]
    assert phones == [True, False]


async def test_the_number_of_a_blocked_call_outlives_its_age(stage: Stage, campaign: Campaign) -> None:
    call_id = await create_ended_call(stage, campaign, outcome="blocked")
    phone = (await stage.row("calls", call_id))["phone"]
    await keep(stage, call_days=31, event_days=31)

    await clear(stage)

    call = await stage.row("calls", call_id)
    assert (call["phone"], call["request"], call["transcript"]) == (phone, "{}", None)
    assert call["erased_at"] is not None
    async with stage.look.transaction():
        await stage.look.execute("set local role service_role")
        organization_id = campaign.tenant.organization_id
        await request_erasure(stage.look, organization_id, phone, ERASURE_KEYS, Actor(), NOW)
    assert (await stage.row("calls", call_id))["phone"] == "erased"


async def test_a_legal_hold_keeps_everything(stage: Stage, campaign: Campaign) -> None:
    call_id = await create_ended_call(stage, campaign)
    await keep(stage, transcript_days=30, event_days=30, legal_hold=True, legal_hold_reason="Smith v. Acme")

    assert await clear(stage) == 0
    jobs = await Database.connect(stage.scratch.dsn_for("outdial_jobs"), application_name="tests:jobs", max_size=1)
    async with jobs, jobs.for_organization(campaign.tenant.organization_id) as connection:
        expire = "select private.expire_calls($1, 'transcripts', 10, $2)"
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="legal hold"):
            await connection.execute(expire, campaign.tenant.organization_id, NOW)

    assert (await stage.row("calls", call_id))["transcript"] is not None


async def test_a_job_removes_only_data_of_the_organization_that_it_has_declared(
    stage: Stage, campaign: Campaign
) -> None:
    other = await create_tenant(stage.look, credential="acme")
    jobs = await Database.connect(stage.scratch.dsn_for("outdial_jobs"), application_name="tests:jobs", max_size=1)
    async with jobs:
        for statement in ("expire_calls($1, 'calls', 10, $2)", "expire_events($1, null, 10, $2)"):
            async with jobs.for_organization(other.organization_id) as connection:
                query = f"select private.{statement}"
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="that it has declared"):
                    await connection.execute(query, campaign.tenant.organization_id, NOW)


@pytest.mark.parametrize(
    "days",
    [
        {"transcript_days": 30},
        {"transcript_days": 30, "event_days": 31},
        {"call_days": 30, "event_days": 30},
        {"event_days": 0},
        {"legal_hold_reason": "none"},
    ],
)
async def test_the_database_refuses_days_that_would_not_be_true(
    stage: Stage, campaign: Campaign, days: dict[str, Any]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await keep(stage, **days)


async def test_a_portion_is_found_through_an_index_however_many_calls_there_are(
    stage: Stage, campaign: Campaign
) -> None:
    """Both orders start where the last portion ended: no run reads all calls, or all events."""
    entry = await create_campaign_contact(stage.look, campaign)
    await create_call(stage.look, entry, status="ended")
    await stage.look.execute(
        """
        insert into webhook_events (organization_id, source, credential, retell_call_id, event, body, body_sha256,
          status, received_at, next_try_at)
        select case when n % 50 = 0 then $1::uuid end, 'webhook', 'account_' || n % 50, 'call_' || n, 'call_ended', '',
          sha256('1'), 'applied', $2, $2
        from generate_series(1, 20000) n
        """,
        campaign.tenant.organization_id,
        OLD,
    )
    await stage.look.execute(
        """
        insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
          attempt_number, phone, from_number, status, request, decision, requested_at, created_at, updated_at)
        select gen_random_uuid(), organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
          n, phone, from_number, 'ended', '{}', '{}', requested_at, created_at - n * interval '1 minute', updated_at
        from calls, generate_series(2, 20000) n
        """
    )
    await stage.look.execute("analyze calls, webhook_events")
    await stage.look.execute("set plan_cache_mode = force_generic_plan")
    organization_id = campaign.tenant.organization_id
    portions = {
        "calls_organization": (
            "select c.id, c.created_at from calls c where c.organization_id = $1 and c.created_at < $2"
            " and (c.created_at, c.id) > ($3, $4) order by c.created_at, c.id limit 500",
            (organization_id, NOW, OLD, UUID(int=0)),
        ),
        "webhook_events_organization": (
            "select e.id from webhook_events e where e.organization_id = $1 and e.id > $2 order by e.id limit 500",
            (organization_id, 0),
        ),
        "webhook_events_unowned": (
            "select e.id from webhook_events e where e.organization_id is null and e.credential = $1 and e.id > $2"
            " order by e.id limit 500",
            ("account_1", 0),
        ),
    }
    for index, (query, parameters) in portions.items():
        statement = await stage.look.prepare(f"explain {query}")
        plan = "\n".join(row[0] for row in await statement.fetch(*parameters))
        assert index in plan, plan
