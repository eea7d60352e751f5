"""Rows for the pictures: an organization as the tests use it, one with nothing, and one with much and long names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from outdial.domain.policies.callback_requests import ASKED
from tests.screenshots.camera import Size
from tests.support.factories import (
    NOW,
    Campaign,
    Tenant,
    create_call,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
    create_test_call,
    create_user,
    fill_campaign,
    insert,
)
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.studio_history import create_history
from tests.support.studio_world import create_route_rows

ROLES = ("owner", "viewer")
LONG_NAME = "Annual wellness visit reminders for members of the Pacific Northwest plan, second wave of the spring"
PEOPLE = (
    "Ada Lovelace",
    "Bartholomew Featherstonehaugh-Smythe of Lower Wallop",
    "Grace Hopper",
    "Nguyễn Thị Minh Khai",
    "Wolfeschlegelsteinhausenbergerdorff, Hubert Blaine",
    "Alan Turing",
)
SUMMARY = "The customer keeps the plan, asks for the papers by mail, and prefers a call after six in the evening."
# Hours that are closed at NOW in every zone of the contacts.
EVENING = '{"every_day": [["20:00", "20:30"]]}'


@dataclass(frozen=True)
class Organization:
    """The rows of an organization by the parameters of paths, and its users by role."""

    rows: Mapping[str, str]
    users: Mapping[str, UUID]


async def create_organizations(database: Scratch, connection: asyncpg.Connection) -> dict[Size, Organization]:
    """Create an organization of each size."""
    await connection.execute("alter role outdial_api set statement_timeout = '60s'")
    made: dict[Size, Organization] = {
        "usual": await _usual(database, connection),
        "empty": await _empty(connection),
        "many": await _many(connection),
    }
    async with working(database) as worker:
        await worker.reports.run_once()
    return made


async def _usual(database: Scratch, connection: asyncpg.Connection) -> Organization:
    route_rows = await create_route_rows(database, connection)
    own = route_rows.world.own
    campaign, call_id = await create_history(connection, own.tenant)
    rows = {**route_rows.own, "campaign_id": str(campaign.id), "call_id": str(call_id)}
    for name in ("campaign_contact_id", "contact_id"):
        rows[name] = str(await connection.fetchval(f"select {name} from calls where id = $1", call_id))  # noqa: S608
    return Organization(rows, own.users)


async def _members(connection: asyncpg.Connection, tenant: Tenant, domain: str) -> dict[str, UUID]:
    return {
        role: await create_member(
            connection,
            tenant.organization_id,
            role,
            user_id=await create_user(connection, email=f"{role}.of.the.campaigns@{domain}"),
        )
        for role in ROLES
    }


async def _empty(connection: asyncpg.Connection) -> Organization:
    tenant = await create_tenant(connection, credential="new", name="New company")
    users = await _members(connection, tenant, "new.example")
    draft = await create_campaign(connection, tenant, name="First campaign", status="draft", next_batch_at=None)
    rows = {"organization_id": str(tenant.organization_id), "draft": str(draft.id), "campaign_id": str(draft.id)}
    return Organization(rows, users)


async def _many(connection: asyncpg.Connection) -> Organization:
    tenant = await create_tenant(
        connection, credential="many", name="Northwind Health Partners of the Pacific Northwest"
    )
    users = await _members(connection, tenant, "northwind-health-partners.example")
    await _workspace(connection, tenant)
    rows = {"organization_id": str(tenant.organization_id)}
    rows |= await _campaigns(connection, tenant)
    await _queues(connection, tenant)
    await connection.execute("update contacts set jurisdiction_key = 'US-NY' where zone_key like 'America/%'")
    await connection.execute("update campaign_contacts set jurisdiction_key = 'US-NY' where zone_key like 'America/%'")
    await connection.execute(
        "insert into do_not_call (organization_id, phone, source, reason, created_at)"
        " select $1, '+1206555' || lpad(n::text, 4, '0'), (array['manual', 'import', 'call'])[1 + n % 3],"
        "   case when n % 4 = 0 then 'Asked at the counter not to be called about this plan again' end,"
        "   $2::timestamptz - n * interval '7 hours' from generate_series(1, 140) n",
        tenant.organization_id,
        NOW,
    )
    return Organization(rows, users)


async def _workspace(connection: asyncpg.Connection, tenant: Tenant) -> None:
    owner = {"provider_account_id": tenant.provider_account_id, "organization_id": tenant.organization_id}
    agents = {"agent_1": "Riley, renewals (English)", "agent_2": "Maria, appointments and follow-up (Spanish, Mexico)"}
    for agent_id, name in agents.items():
        await insert(connection, "agents", agent_id=agent_id, name=name, seen_at=NOW, **owner)
    numbers = {"+12125550000": "Main line", "+12065550001": "Seattle, health reminders", "+13035550002": None}
    for phone, nickname in numbers.items():
        await insert(connection, "phone_numbers", phone=phone, nickname=nickname, country="US", **owner)


async def _campaigns(connection: asyncpg.Connection, tenant: Tenant) -> dict[str, str]:
    """Create campaigns in every state. Return their ids by the name of the state."""
    made: dict[str, str] = {}
    running, call_id = await create_history(connection, tenant)
    await connection.execute("update campaigns set name = $2 where id = $1", running.id, LONG_NAME)
    await _rename_people(connection, running)
    await fill_campaign(connection, running, 4_000, zones=("America/Los_Angeles", "America/New_York"))
    await _busy_line(connection, running)
    made |= {"running": str(running.id), "call_id": str(call_id)}

    finished, _ = await create_history(connection, tenant)
    await connection.execute(
        "update campaign_contacts set status = 'failed' where campaign_id = $1 and status in ('pending', 'calling')",
        finished.id,
    )
    await connection.execute("delete from calls where campaign_id = $1 and status = 'ongoing'", finished.id)
    await connection.execute(
        "update campaigns set name = 'October collection', status = 'completed', started_at = $2, finished_at = $3,"
        " next_batch_at = null where id = $1",
        finished.id,
        NOW - timedelta(hours=8),
        NOW - timedelta(minutes=5),
    )
    made["finished"] = str(finished.id)

    kinds: dict[str, dict[str, object]] = {
        "waiting": {
            "name": "Evening reminders",
            "calling_hours": EVENING,
            "next_batch_at": NOW + timedelta(minutes=20),
        },
        "paused": {"name": "Webinar follow-up", "status": "paused", "paused_reason": "paused manually"},
        "refused": {
            "name": "Invoice questions",
            "status": "paused",
            "paused_automatically": True,
            "paused_reason": "Retell refused the account: the API key is not valid",
        },
        "used_up": {"name": "Spring check-up", "budget_cents": 700},
        "scheduled": {"name": "Holiday survey", "status": "scheduled", "scheduled_at": NOW + timedelta(hours=19)},
        "draft": {"name": "Renewal letters, follow-up", "status": "draft", "next_batch_at": None},
        "cancelled": {
            "name": "Test of the new script",
            "status": "cancelled",
            "finished_at": NOW,
            "next_batch_at": None,
        },
    }
    for state, columns in kinds.items():
        over = {"status": "paused"} if columns.get("status") == "cancelled" else {}
        campaign = await create_campaign(connection, tenant, **(columns | over))
        await fill_campaign(connection, campaign, 120, zones=("America/New_York", "America/Chicago"))
        if over:
            await connection.execute(
                "update campaign_contacts set status = 'cancelled' where campaign_id = $1", campaign.id
            )
            for status in ("cancelling", "cancelled"):
                await connection.execute(
                    "update campaigns set status = $2, next_batch_at = $3 where id = $1",
                    campaign.id,
                    status,
                    NOW if status == "cancelling" else None,
                )
        if state in ("waiting", "paused", "refused", "used_up"):
            await _ended_calls(connection, campaign, 18)
        made[state] = str(campaign.id)
    for number in range(28):
        await create_campaign(
            connection,
            tenant,
            name=f"Completed drive {number + 1}",
            status="completed",
            created_at=NOW - timedelta(days=number + 2),
            finished_at=NOW - timedelta(days=number + 1),
            next_batch_at=None,
        )
    made["draft_campaign"] = made["draft"]
    made["import_id"] = made["draft"]
    await _test_calls(connection, tenant, made["draft"])
    return made


async def _test_calls(connection: asyncpg.Connection, tenant: Tenant, draft: str) -> None:
    campaign = Campaign(UUID(draft), tenant)
    ended = {"status": "ended", "outcome": "answered", "duration_ms": 61_000, "from_number": "+12125550000"}
    said = {"transcript": "Agent: Hello.\nUser: Hello!", "analysis": json.dumps({"call_summary": SUMMARY})}
    await create_test_call(connection, campaign, **ended, **said)
    findings = [
        {"code": "key", "level": "ok", "text": "The API key is valid"},
        {"code": "agent", "level": "problem", "text": "The workspace has no agent agent_1: choose another one"},
        {"code": "variables", "level": "warning", "text": "The prompt uses {{due_date}}, which 118 contacts lack"},
    ]
    await insert(
        connection,
        "launch_checks",
        campaign_id=campaign.id,
        organization_id=tenant.organization_id,
        requested_at=NOW - timedelta(minutes=2),
        checked_at=NOW - timedelta(minutes=1),
        findings=json.dumps(findings),
    )


async def _rename_people(connection: asyncpg.Connection, campaign: Campaign) -> None:
    await connection.execute(
        "with numbered as (select contact_id, row_number() over (order by id) as n from campaign_contacts"
        "   where campaign_id = $1)"
        " update contacts set name = ($2::text[])[1 + n % cardinality($2::text[])], company = 'Analytical Engines',"
        "   email = 'person' || n || '@example.com' from numbered where contacts.id = numbered.contact_id",
        campaign.id,
        list(PEOPLE),
    )


async def _busy_line(connection: asyncpg.Connection, campaign: Campaign) -> None:
    """Put calls on the line in each state, and some that have just ended."""
    states: list[dict[str, object]] = [
        {"status": "ongoing", "started_at": NOW - timedelta(seconds=42), "request": '{"override_agent_id": "agent_2"}'},
        {"status": "ongoing", "started_at": NOW - timedelta(seconds=222)},
        {"status": "ongoing", "started_at": NOW - timedelta(seconds=9), "hang_up_due_at": NOW},
        {"status": "placed", "placed_at": NOW - timedelta(seconds=5)},
        {"requested_at": NOW + timedelta(seconds=3)},
        {"status": "unknown", "requested_at": NOW - timedelta(seconds=50)},
    ]
    outcomes = ("answered", "voicemail", "no_answer", "busy", "error")
    ended = [
        {"status": "ended", "outcome": outcome, "duration_ms": 61_000, "ended_at": NOW - timedelta(seconds=20 + 30 * n)}
        for n, outcome in enumerate(outcomes)
    ]
    for number, columns in enumerate([*states, *ended]):
        person = await create_contact(
            connection, campaign.tenant.organization_id, name=PEOPLE[number % len(PEOPLE)] if number % 4 else None
        )
        await create_calling(connection, campaign, person, **columns)


async def _ended_calls(connection: asyncpg.Connection, campaign: Campaign, count: int) -> None:
    for number in range(count):
        outcome = ("answered", "voicemail", "no_answer")[number % 3]
        entry = await create_campaign_contact(
            connection, campaign, status="completed" if outcome == "answered" else "failed", last_outcome=outcome
        )
        await create_call(
            connection,
            entry,
            status="ended",
            outcome=outcome,
            cost_cents=37,
            duration_ms=40_000,
            created_at=NOW - timedelta(minutes=number),
            started_at=NOW - timedelta(minutes=number),
            ended_at=NOW - timedelta(minutes=number),
        )


async def _queues(connection: asyncpg.Connection, tenant: Tenant) -> None:
    """Contacts in review, and callbacks, with reasons and names of any length."""
    campaign = await create_campaign(connection, tenant, name="Plan questions", status="paused")
    analysis = json.dumps({"call_summary": SUMMARY})
    reasons = ("the call ended with outcome unknown", f"{ASKED}: 'after the holidays', no time can be read")
    for number in range(9):
        person = await create_contact(connection, tenant.organization_id, name=PEOPLE[number % len(PEOPLE)])
        entry = await create_campaign_contact(
            connection, campaign, person, status="review", status_reason=reasons[number % 2], call_count=1, attempts=1
        )
        await create_call(connection, entry, status="ended", outcome="answered", analysis=analysis)
    for number in range(14):
        person = await create_contact(connection, tenant.organization_id, name=PEOPLE[number % len(PEOPLE)])
        at = NOW + timedelta(hours=2 + 5 * number)
        entry = await create_campaign_contact(
            connection,
            campaign,
            person,
            callback_at=at,
            next_attempt_at=at,
            callbacks=1,
            rank=0,
            usual_rank=5,
            last_outcome="answered",
        )
        await create_call(connection, entry, status="ended", outcome="answered", analysis=analysis)
