"""At 50,000 contacts, 50,000 calls and 100,000 events the hot statements use their indexes and look at few rows.

Each is explained as the role that runs it, under row level security, with the plan for the values at hand and with the
generic plan that a prepared statement may come to.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.db.embedded import EmbeddedPostgres
from outdial.db.queries import accounts, campaign_status, due_contacts, events, inbox, launch
from outdial.db.queries import calls as call_queries
from outdial.db.queries.dialing import budgets, live_transcripts, number_pool
from outdial.db.queries.places import contact_keys
from outdial.db.session import Connection, Database
from outdial.domain.location import KEYS_VERSION
from outdial.domain.policies.callback_requests import ASKED_IN
from tests.support import postgres
from tests.support.factories import (
    NOW,
    Campaign,
    Tenant,
    create_campaign,
    create_member,
    create_tenant,
    fill_campaign,
)
from tests.support.postgres import Scratch
from tests.support.queries import QueryFunction, parameters_of, sql_of

CONTACTS = 50_000
ZONES = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Phoenix",
    "Pacific/Honolulu",
)
LIVE, DUE_CALLS, DUE_CAMPAIGNS, PENDING_EVENTS = 15, 20, 5, 30
BIG = {"campaign_contacts", "contacts", "calls", "webhook_events", "do_not_call", "consents", "screened_numbers"}
LATER = NOW + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Filled:
    """A database with two organizations of which the first has much: one big campaign, and many small ones."""

    database: Scratch
    tenant: Tenant
    campaign: Campaign
    user_id: UUID
    small_organization_id: UUID
    retell_call_ids: list[str]
    call_ids: list[UUID]


@pytest.fixture(scope="module")
def filled(postgres_server: EmbeddedPostgres, _templates: set[str]) -> Iterator[Filled]:
    """Fill one clone for all tests of this module: what they change they undo."""
    with postgres.scratch_for_module(postgres_server, _templates) as (runner, database):
        yield runner.run(fill(database))


async def fill(database: Scratch, *, vacuums: bool = True) -> Filled:
    connection = await asyncpg.connect(database.dsn)
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant)
    other = await create_tenant(connection, credential="acme")
    other_campaign = await create_campaign(connection, other)
    # Triggers and foreign keys would take most of the time.
    await connection.execute("set session_replication_role = replica")
    await fill_campaign(connection, campaign, CONTACTS, zones=ZONES)
    await fill_campaign(connection, other_campaign, 500, zones=ZONES)
    await connection.execute(CAMPAIGNS, tenant.organization_id, tenant.provider_account_id, NOW, DUE_CAMPAIGNS)
    await connection.execute(CALLS, NOW, tenant.provider_account_id, LIVE, DUE_CALLS, campaign.id)
    await connection.execute(EVENTS, NOW, PENDING_EVENTS)
    for statement in FACTS:
        await connection.execute(statement, NOW)
    await connection.execute("set session_replication_role = origin")
    if vacuums:
        await connection.execute("vacuum analyze")
    user_id = await create_member(connection, tenant.organization_id, "viewer")
    calls = await connection.fetch("select id, retell_call_id from calls where status = 'placed' limit 20")
    await connection.close()
    return Filled(
        database,
        tenant,
        campaign,
        user_id,
        other.organization_id,
        [row["retell_call_id"] for row in calls],
        [row["id"] for row in calls],
    )


# Of every second contact.
FACTS = (
    """
    insert into do_not_call (organization_id, phone, purpose, source, created_at)
    select organization_id, phone, p, 'manual', $1 from contacts, unnest(array['survey', 'collection']) as p
    where phone < '+447500000000' or phone like '%1'
    """,
    """
    insert into consents (id, organization_id, phone, basis, scope, source, given_at, created_at)
    select gen_random_uuid(), organization_id, phone, b, 'any', 'form', $1, $1
    from contacts, unnest(array['written', 'express', 'existing_business']) as b
    where phone like '%0' or phone like '%2'
    """,
    """
    insert into screening_lists (id, organization_id, kind, registry_date, file_name, status, created_at, updated_at)
    select gen_random_uuid(), id, 'litigator', $1::timestamptz::date, 'numbers.csv', 'current', $1, $1
    from organizations
    """,
    """
    insert into screened_numbers (organization_id, list_id, phone)
    select l.organization_id, l.id, '+1' || (2120000000 + n) from screening_lists l, generate_series(1, 50000) as n
    where $1::timestamptz is not null
    """,
)
CAMPAIGNS = """
insert into campaigns (organization_id, provider_account_id, name, status, retell_agent_id, from_number, next_batch_at)
select $1, $2, 'Small ' || n, case when n % 2 = 0 then 'active' else 'completed' end, 'agent_1', '+12125550000',
  case when n <= 2 * $4 and n % 2 = 0 then $3 else $3::timestamptz + interval '1 day' end
from generate_series(1, 3000) as n
"""
CALLS = """
insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
  attempt_number, phone, from_number, request, decision, requested_at, created_at, updated_at, retell_call_id, status,
  next_check_at, request_deadline, retell_agent_id, cost_cents)
select gen_random_uuid(), organization_id, campaign_id, id, contact_id, $2, 1, phone, '+12125550000', '{}', '{}',
  at, at, at, 'call_' || n,
  case when n <= $3 then 'placed' else 'ended' end,
  case when n <= $4 then $1 when n % 100 = 0 then $1 + interval '1 day' end, null,
  'agent_' || (n % 3), case when n > $3 then n % 2 * 10 end
from (select *, row_number() over (order by phone) as n, $1::timestamptz - interval '1 hour' as at
  from campaign_contacts where campaign_id = $5) as entered
"""
EVENTS = """
insert into webhook_events (organization_id, call_id, source, credential, retell_call_id, event, body, body_sha256,
  status, received_at, next_try_at)
select organization_id, id, 'webhook', 'default', retell_call_id, event, '{}', sha256(retell_call_id::bytea),
  case when row_number() over () <= $2 then 'pending' else 'applied' end, $1, $1
from calls, unnest(array['call_started', 'call_ended']) as event
"""


# Plans.


@dataclass(frozen=True, slots=True)
class Scan:
    """One node of a plan that reads a table or an index; `rows` are all that it looked at, over its loops."""

    kind: str
    table: str
    index: str
    rows: int


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def scans(plan: dict[str, Any]) -> Iterator[Scan]:
    for node in nodes(plan):
        if "Relation Name" in node or "Index Name" in node:
            looked_at = node["Actual Rows"] + sum(v for k, v in node.items() if k.startswith("Rows Removed by"))
            rows = round(looked_at * node["Actual Loops"])
            yield Scan(node["Node Type"], node.get("Relation Name", ""), node.get("Index Name", ""), rows)


async def explain(connection: Connection, sql: str, arguments: list[Any], *, generic: bool) -> dict[str, Any]:
    """Run `sql` and return its plan; the settings and whatever it changed end with the transaction."""
    prepared = await connection.prepare(sql)
    names = [kind.name for kind in prepared.get_parameters()]
    literals = [
        await connection.fetchval(f"select quote_nullable(($1::{name})::text)", argument)
        for name, argument in zip(names, arguments, strict=True)
    ]
    mode = "force_generic_plan" if generic else "force_custom_plan"
    await connection.execute(f"set local plan_cache_mode = {mode}; prepare explained as {sql}")
    values = f"({', '.join(literals)})" if literals else ""
    answer = await connection.fetchval(f"explain (analyze, timing off, format json) execute explained{values}")
    await connection.execute("deallocate explained")
    plan: dict[str, Any] = json.loads(answer)[0]["Plan"]
    return plan


@dataclass(frozen=True, slots=True)
class Case:
    """A statement with its arguments, who runs it, the indexes that it is meant to use, and how much it may look at."""

    statement: QueryFunction
    role: str
    arguments: Callable[[Filled], dict[str, object]]
    indexes: frozenset[str]
    rows: int


def of_campaign(filled: Filled) -> dict[str, object]:
    return {
        "campaign_id": filled.campaign.id,
        "organization_id": filled.tenant.organization_id,
        "provider_account_id": filled.tenant.provider_account_id,
        "caller_numbers": ["+14155550100", "+14155550101"],
        "asked_in": ASKED_IN,
        "scopes": ["any", "sales"],
        "zone_keys": list(ZONES),
        "jurisdiction_keys": [""] * len(ZONES),
        "now": LATER,
        "calls_since": LATER - timedelta(days=1),
        "most_calls": 3,
        "ranks": [5] * len(ZONES),
        "per_lane": 10,
        "limit": 10,
    }


def of_calls(filled: Filled) -> dict[str, object]:
    return {"ids": filled.call_ids[:5], "retell_call_ids": filled.retell_call_ids[5:]}


def of_transcripts(filled: Filled) -> dict[str, object]:
    return {
        "credentials": [filled.tenant.credential] * 5,
        "retell_call_ids": filled.retell_call_ids[5:],
        "call_ids": filled.call_ids[:5],
        "transcripts": ["User: Yes"] * 5,
        "lines": [1] * 5,
        "characters": [9] * 5,
        "now": NOW,
    }


def of_keys(filled: Filled) -> dict[str, object]:
    return {"organization_id": filled.tenant.organization_id, "keys_version": KEYS_VERSION, "limit": 1_000}


def of_number(filled: Filled) -> dict[str, object]:
    return {
        "organization_id": filled.tenant.organization_id,
        "phone": "+12125550000",
        "not_of_number": ["no_capacity"],
        "measured_from": NOW - timedelta(days=7),
        "recent": 50,
    }


def of_agents(filled: Filled) -> dict[str, object]:
    return {"organization_id": filled.tenant.organization_id, "agents": ["agent_1", "agent_2", "unknown"]}


def at_now(filled: Filled) -> dict[str, object]:
    return {"now": NOW, "limit": 100, "named": [filled.campaign.id]}


CASES = [
    Case(
        due_contacts.due_contacts,
        "dialer",
        of_campaign,
        frozenset(
            {
                "campaign_contacts_lanes",
                "calls_live_phone",
                "calls_phone",
                "calls_blocked",
                "do_not_call_pkey",
                "consents_phone",
                "screened_numbers_pkey",
            }
        ),
        400,
    ),
    Case(due_contacts.pending_lanes, "dialer", of_campaign, frozenset({"campaign_contacts_lanes"}), 10),
    Case(accounts.count_live, "dialer", of_campaign, frozenset({"calls_live_account"}), 1600),
    Case(campaign_status.finish_pausing, "dialer", of_campaign, frozenset({"calls_requesting"}), 5),
    Case(due_contacts.remaining_contacts, "dialer", of_campaign, frozenset({"campaign_contacts_lanes"}), 2),
    Case(
        call_queries.lock_reported_calls,
        "webhook",
        of_calls,
        frozenset({"calls_pkey", "calls_retell_call_id_key"}),
        100,
    ),
    Case(
        live_transcripts.keep_live_transcripts,
        "webhook",
        of_transcripts,
        frozenset({"calls_pkey", "calls_retell_call_id_key"}),
        100,
    ),
    # Its live calls are not counted.
    Case(number_pool.lone_number, "dialer", of_number, frozenset({"calls_caller_number"}), 2),
    # 200 of each agent, in however many campaigns.
    Case(budgets.recent_costs, "dialer", of_agents, frozenset({"calls_agent_costs"}), 410),
    # Nearly always nothing is to be done.
    Case(contact_keys.lock_contacts_with_old_keys, "dialer", of_keys, frozenset({"contacts_keys_version"}), 1),
    Case(events.pending_events, "webhook", at_now, frozenset({"webhook_events_pending"}), 60),
]


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.statement.__name__)
async def test_a_hot_query_reads_few_rows_through_its_index(filled: Filled, case: Case, generic: bool) -> None:
    named = case.arguments(filled)
    arguments = [named[name] for name in parameters_of(case.statement)]
    async with asking(filled, case.role) as connection:
        found = list(scans(await explain(connection, sql_of(case.statement), arguments, generic=generic)))

    assert case.indexes <= {scan.index for scan in found}
    assert [scan for scan in found if scan.kind == "Seq Scan" and scan.table in BIG] == []
    assert sum(scan.rows for scan in found) <= case.rows, found


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize(
    ("function", "index", "rows"),
    [("campaigns_in_turn", "campaigns_due", DUE_CAMPAIGNS + 4), ("calls_to_check", "calls_check", DUE_CALLS)],
)
async def test_a_function_over_all_organizations_reads_due_rows_only(
    filled: Filled, function: str, index: str, rows: int, generic: bool
) -> None:
    connection = await asyncpg.connect(filled.database.dsn)
    async with connection.transaction():
        body, names = await function_of(connection, function)
        arguments = [at_now(filled)[name.removeprefix("p_")] for name in names]
        found = list(scans(await explain(connection, body, arguments, generic=generic)))
    await connection.close()

    assert index in {scan.index for scan in found}
    assert sum(scan.rows for scan in found) <= rows


async def function_of(connection: Connection, name: str) -> tuple[str, list[str]]:
    """Return the query of a function in SQL, its parameters as $1 and so on, and their names."""
    row = await connection.fetchrow(
        "select prosrc, proargnames[:pronargs] as names, proargtypes::regtype[]::text[] as types"
        " from pg_proc where proname = $1",
        name,
    )
    assert row is not None
    body = str(row["prosrc"])
    for number, (argument, kind) in enumerate(zip(row["names"], row["types"], strict=True), start=1):
        body = re.sub(rf"\b{argument}\b", f"${number}::{kind}", body)
    return body, list(row["names"])


async def test_the_last_claim_of_a_campaign_does_not_scan_completed_contacts(
    filled: Filled,
) -> None:
    async with asking(filled, "dialer") as connection:
        # The statistics still say that nearly all of them are pending.
        await connection.execute("update campaign_contacts set status = 'completed' where status = 'pending'")
        for statement in (due_contacts.pending_lanes, due_contacts.remaining_contacts):
            plan = await explain(connection, sql_of(statement), [filled.campaign.id], generic=False)
            assert sum(scan.rows for scan in scans(plan)) == 0, statement.__name__


@pytest.mark.parametrize("table", ["campaign_contacts", "calls"])
async def test_a_viewers_count_reads_the_callers_organizations_once(filled: Filled, table: str) -> None:
    async with asking(filled, "viewer") as connection:
        plan = await explain(connection, f"select count(*) from {table}", [], generic=False)  # noqa: S608
    nested = [node for node in nodes(plan) if node.get("Parent Relationship") in ("InitPlan", "SubPlan")]
    conditions = [str(node.get("Index Cond", node.get("Filter"))) for node in nodes(plan) if "Relation Name" in node]

    assert [(node["Parent Relationship"], node["Actual Loops"]) for node in nested] == [("InitPlan", 1)]
    assert len(conditions) == 1
    # $0 is how Postgres up to 16 writes the first InitPlan's result.
    assert re.fullmatch(r"\(organization_id = ANY \((\$0|.*InitPlan 1.*)\)\)", conditions[0])


PAGES = {
    "all": ({}, "webhook_events_pkey", 50),
    "an organization with many": ({"organization_id": "big"}, "webhook_events_pkey", 50),
    "an organization with none": ({"organization_id": "small"}, "webhook_events_organization", 0),
    "quarantined": ({"status": "quarantined"}, "webhook_events_odd", 0),
    "pending": ({"status": "pending"}, "webhook_events_pending", PENDING_EVENTS),
    "applied": ({"status": "applied"}, "webhook_events_pkey", 50),
}


@pytest.mark.parametrize("before_id", [None, 40_000], ids=["first page", "deep page"])
@pytest.mark.parametrize("page", PAGES)
async def test_a_page_of_the_ledger_is_read_through_the_index_of_its_filter(
    filled: Filled, page: str, before_id: int | None
) -> None:
    narrowing, index, size = PAGES[page]
    organizations = {"small": filled.small_organization_id, "big": filled.tenant.organization_id}
    named: dict[str, Any] = {"status": None, "event": None, "organization_id": None, "limit": 50, **narrowing}
    named |= {"before_id": before_id, "organization_id": organizations.get(str(named["organization_id"]))}
    arguments = [named[name] for name in parameters_of(inbox.list_events)]
    async with asking(filled, "service") as connection:
        # A prepared statement gets the plan that it keeps at its sixth execution.
        for _ in range(7):
            rows = await inbox.list_events(connection, **named)
        assert await connection.fetchval("show plan_cache_mode") == "force_custom_plan"
        found = list(scans(await explain(connection, sql_of(inbox.list_events), arguments, generic=False)))

    ids = [row.id for row in rows]
    assert len(ids) == size
    assert ids == sorted(ids, reverse=True)
    assert max(ids, default=0) < (before_id or 10**9)
    assert [(scan.index, scan.rows <= 50) for scan in found] == [(index, True)]


@asynccontextmanager
async def asking(filled: Filled, role: str) -> AsyncIterator[Connection]:
    """Open a transaction as the role that runs a statement; it is undone."""
    login = f"outdial_{role}" if role in ("dialer", "webhook") else "outdial_api"
    async with await Database.connect(filled.database.dsn_for(login), application_name="test", max_size=1) as pool:
        openings = {
            "viewer": lambda: pool.as_caller("authenticated", {"sub": str(filled.user_id)}),
            "service": pool.as_service,
            "dialer": lambda: pool.for_organization(filled.tenant.organization_id),
            "webhook": pool.transaction,
        }
        with contextlib.suppress(_Undone):
            async with openings[role]() as connection:
                yield connection
                raise _Undone


class _Undone(Exception):
    """Ends a transaction without a trace."""


async def test_counting_what_a_campaign_will_not_call_reads_each_table_about_once(filled: Filled) -> None:
    connection = await asyncpg.connect(filled.database.dsn)
    list_ids = [row["id"] for row in await connection.fetch("select id from screening_lists")]
    await connection.close()
    named = {
        "campaign_id": filled.campaign.id,
        "organization_id": filled.tenant.organization_id,
        "scopes": ["any", "sales"],
        "accepted": ["written"],
        "list_ids": list_ids,
        "lifted": [True] * len(list_ids),
        "reads_consents": True,
    }
    async with asking(filled, "viewer") as asking_connection:
        arguments = [named[name] for name in parameters_of(launch.count_uncallable)]
        plan = await explain(asking_connection, sql_of(launch.count_uncallable), arguments, generic=False)
        found = [scan for scan in scans(plan) if scan.table in BIG]

    # 50,000 contacts, 50,000 screened numbers, 30,000 consents, read again for refusals, and 100,000 opt-outs: a probe
    # per contact reads more.
    assert sum(scan.rows for scan in found) <= 280_000, found
