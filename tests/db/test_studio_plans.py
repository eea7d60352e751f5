"""At 50,000 contacts and calls the lists and searches of the studio look at little more than what they show.

Each is explained as a viewer, under row level security, with the plan for the values at hand, as it is always run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.campaigns.selection import REACHED_OUTCOMES
from outdial.db.embedded import EmbeddedPostgres
from outdial.db.queries import calling_rules, calls, campaign_contacts, contacts, inbox, reports, reviews
from outdial.db.queries.dialing import callbacks, campaign_board, live_calls
from outdial.db.queries.results import report
from outdial.domain.policies.callback_requests import ASKED, ASKED_IN
from tests.db.test_plans import BIG, Filled, asking, explain, fill, nodes, scans
from tests.support import postgres
from tests.support.factories import NOW
from tests.support.postgres import Scratch
from tests.support.queries import QueryFunction, has_custom_plan, parameters_of, sql_of

LIMIT = 51
RARE = 20
MIDDLE = UUID("7fffffff-ffff-ffff-ffff-ffffffffffff")


@pytest.fixture(scope="module")
def filled(postgres_server: EmbeddedPostgres, _templates: set[str]) -> Iterator[Filled]:
    """One big campaign in which every contact has been called once, and what is looked for is rare or common."""
    with postgres.scratch_for_module(postgres_server, _templates) as (runner, database):
        yield runner.run(fill_with_outcomes(database))


async def fill_with_outcomes(database: Scratch) -> Filled:
    filled = await fill(database, vacuums=False)
    connection = await asyncpg.connect(database.dsn)
    await connection.execute("set session_replication_role = replica")
    await connection.execute("update contacts set external_id = 'crm-' || name")
    for table, odd, also in (
        ("campaign_contacts", "review", "updated_at = $2"),
        (
            "calls",
            "refused",
            "created_at = created_at - random() * interval '9 days',"
            " ended_at = case when status = 'ended' and n % 2500 <> 0"
            " then $2::timestamptz - random() * interval '9 days' end",
        ),
    ):
        outcome = "last_outcome" if table == "campaign_contacts" else "outcome"
        await connection.execute(
            f"""
            with numbered as (select id, row_number() over (order by phone) as n from {table} where campaign_id = $1)
            update {table} t
            set status = case when n % 2500 = 0 then '{odd}' else status end,
              {outcome} = case when n % 2500 = 1 then 'transferred' when n % 2 = 0 then 'no_answer' end, {also}
            from numbered where numbered.id = t.id
            """,  # noqa: S608
            filled.campaign.id,
            NOW,
        )
    await connection.execute(
        "update campaign_contacts set callback_at = next_attempt_at where id in (select id from campaign_contacts"
        " where campaign_id = $1 and status = 'pending' order by id limit 500)",
        filled.campaign.id,
    )
    await connection.execute(
        "update campaign_contacts set status_reason = case when right(phone, 1) < '5' then $1 else 'odd' end"
        " where status = 'review'",
        f"{ASKED}: 'later'",
    )
    await connection.execute("vacuum analyze")
    await connection.close()
    return filled


@dataclass(frozen=True, slots=True)
class Case:
    """A statement with what it is asked, the index that it is meant to go through, and how much it may look at."""

    name: str
    statement: QueryFunction
    asked: dict[str, object]
    index: str
    rows: int = 2 * LIMIT + 4
    of_campaign: bool = False
    # How much of the first number of the campaign is looked for.
    prefix: int = 0


REACHED: dict[str, object] = {"reached": None, "reached_outcomes": REACHED_OUTCOMES}
CONTACTS: dict[str, object] = {"status": None, "last_outcome": None, "after_id": None, **REACHED}
SEARCH: dict[str, object] = {"status": None, "last_outcome": None, "after": None, **REACHED}
CALLS: dict[str, object] = {
    name: None
    for name in (
        "campaign_id", "status", "outcome", "is_reviewed", "since", "until", "first_phone", "last_phone", "contact_ids",
        "before_at", "before_id",
    )
}  # fmt: skip
LISTED = campaign_contacts.list_campaign_contacts
BY_PHONE, BY_ENDING = (
    campaign_contacts.list_by_phone,
    campaign_contacts.list_by_phone_ending,
)
BY_NAME, BY_ID = (
    campaign_contacts.list_by_name,
    campaign_contacts.list_by_external_id,
)
NEXT, LIST_CALLS = campaign_contacts.list_pending_contacts, calls.list_calls
IN_ORDER = "campaign_contacts_campaign_id_contact_id_key"
LAST = "\U0010ffff"

CASES = [
    Case("contacts", LISTED, CONTACTS, IN_ORDER),
    Case("a page deep within", LISTED, {**CONTACTS, "after_id": MIDDLE}, IN_ORDER),
    Case("of a rare status", LISTED, {**CONTACTS, "status": "review"}, "campaign_contacts_listed"),
    Case("of a common status", LISTED, {**CONTACTS, "status": "pending"}, "", 4 * LIMIT),
    Case("of a rare outcome", LISTED, {**CONTACTS, "last_outcome": "transferred"}, "campaign_contacts_outcome"),
    Case("of a common outcome", LISTED, {**CONTACTS, "last_outcome": "no_answer"}, "", 4 * LIMIT),
    Case("reached", LISTED, {**CONTACTS, "status": "pending", "reached": True}, "", 110_000),
    Case("next", NEXT, {**CONTACTS, "after_at": None}, "campaign_contacts_next"),
    Case(
        "next, deep within",
        NEXT,
        {**CONTACTS, "after_at": NOW + timedelta(seconds=25_000), "after_id": MIDDLE},
        "campaign_contacts_next",
    ),
    Case("a common prefix", BY_PHONE, {**SEARCH, "first": "+44", "last": "+44".ljust(17, "9")}, ""),
    Case(
        "a rare prefix",
        BY_PHONE,
        SEARCH,
        "contacts_organization_id_phone_key",
        4 * LIMIT,
        prefix=11,
    ),
    Case("a rare ending", BY_ENDING, {**SEARCH, "first": "4321", "last": "4321" + LAST}, "contacts_phone_reversed"),
    Case("a common ending", BY_ENDING, {**SEARCH, "first": "1", "last": "1" + LAST}, "contacts_phone_reversed"),
    Case("a common name", BY_NAME, {**SEARCH, "after_id": None, "first": "CONTACT", "last": LAST}, "contacts_name"),
    Case("a rare name", BY_NAME, {**SEARCH, "after_id": None, "first": "Contact 4999", "last": LAST}, "contacts_name"),
    Case("an external id", BY_ID, {**CONTACTS, "external_id": "crm-Contact 4711"}, "contacts_external", 4),
    Case("calls", LIST_CALLS, CALLS, "calls_organization", 3 * LIMIT),
    Case(
        "calls, deep within",
        LIST_CALLS,
        {**CALLS, "before_at": NOW - timedelta(days=4), "before_id": MIDDLE},
        "calls_organization",
        3 * LIMIT,
    ),
    Case("calls of a rare outcome", LIST_CALLS, {**CALLS, "outcome": "transferred"}, "calls_outcome", 3 * LIMIT),
    Case("calls of a rare status", LIST_CALLS, {**CALLS, "status": "refused"}, "calls_odd", 3 * LIMIT),
    Case("calls under way", LIST_CALLS, {**CALLS, "status": "placed"}, "calls_live_phone", 3 * LIMIT),
    Case("calls of a campaign", LIST_CALLS, CALLS, "", 4 * LIMIT, of_campaign=True),
    Case(
        "calls of a time",
        LIST_CALLS,
        {**CALLS, "since": NOW - timedelta(days=5), "until": NOW - timedelta(days=4)},
        "calls_organization",
        3 * LIMIT,
    ),
    Case(
        "callbacks",
        callbacks.list_callbacks,
        {
            "campaign_id": None,
            "asked_in": ASKED_IN,
            "from_at": None,
            "until_at": None,
            "after_at": None,
            "after_id": None,
            "calls_since": NOW - timedelta(days=30),
        },
        "campaign_contacts_callbacks",
        7 * LIMIT,
    ),
    Case(
        "requests for a callback",
        callbacks.list_callback_requests,
        {"campaign_id": None, "after_id": None},
        "campaign_contacts_callback_requests",
        5 * LIMIT,
    ),
    Case(
        "callbacks, counted",
        callbacks.count_callbacks,
        {"campaign_id": None, "from_at": NOW, "most": LIMIT},
        "campaign_contacts_callbacks",
        5 * LIMIT,
    ),
    Case(
        "what waits for a member",
        reviews.count_waiting,
        {"overdue_before": NOW + timedelta(days=1), "most": LIMIT},
        "campaign_contacts_callback_requests",
        5 * LIMIT,
    ),
    Case("calls on the line", live_calls.list_live_calls, {"campaign_id": None}, "calls_live_account", 3 * LIMIT),
    Case("live calls, counted", live_calls.count_on_line, {"campaign_id": None}, "calls_live_account", 3 * LIMIT),
    Case(
        "calls that have just ended",
        live_calls.list_just_ended,
        {"campaign_id": None, "since": NOW - timedelta(minutes=10)},
        "calls_just_ended",
        3 * LIMIT,
    ),
    Case("the first and last call", reports.call_span, {}, "calls_campaign", 4),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_page_is_read_through_the_index_of_its_filter(filled: Filled, case: Case) -> None:
    assert has_custom_plan(case.statement) or case.statement is reports.call_span
    named: dict[str, object] = {
        "campaign_id": filled.campaign.id,
        "organization_id": filled.tenant.organization_id,
        "limit": LIMIT,
        **case.asked,
    }
    if case.of_campaign:
        named["campaign_id"] = filled.campaign.id
    async with asking(filled, "viewer") as connection:
        if case.prefix:
            phone = await connection.fetchval(
                "select min(phone) from campaign_contacts where campaign_id = $1", filled.campaign.id
            )
            first = phone[: case.prefix]
            named |= {"first": first, "last": first.ljust(17, "9")}
        arguments = [named[name] for name in parameters_of(case.statement)]
        rows = await case.statement(connection, **{name: named[name] for name in parameters_of(case.statement)})
        found = list(scans(await explain(connection, sql_of(case.statement), arguments, generic=False)))

    assert rows
    assert not case.index or case.index in {scan.index for scan in found}, found
    assert [scan for scan in found if scan.kind == "Seq Scan" and scan.table in BIG] == []
    assert sum(scan.rows for scan in found if scan.table in BIG or scan.index) <= case.rows, found


REPORT: dict[str, object] = {
    "reached": REACHED_OUTCOMES,
    **{"longest_name": 40, "longest": 80, "most_values": 20, "most": 6, "fewest": 3, "limit": 500},
}


@pytest.mark.parametrize(
    "statement", [report.report_contacts, report.report_calls, report.report_values, report.erased_not_reached]
)
async def test_the_report_of_a_campaign_reads_its_own_rows_once(filled: Filled, statement: QueryFunction) -> None:
    async with asking(filled, "viewer") as connection:
        looked_at = []
        for campaign_id in (uuid4(), filled.campaign.id):
            named = {**REPORT, "campaign_id": campaign_id, "organization_id": filled.tenant.organization_id}
            arguments = [named[name] for name in parameters_of(statement)]
            plan = await explain(connection, sql_of(statement), arguments, generic=False)
            looked_at.append([scan for scan in scans(plan) if scan.table in BIG])
    of_another, of_the_big_one = looked_at
    assert [scan for scan in of_another if scan.kind == "Seq Scan"] == []
    assert sum(scan.rows for scan in of_another) == 0
    assert max(scan.rows for scan in of_the_big_one) <= 51_000, of_the_big_one


async def test_the_campaigns_of_the_board_are_ordered_before_their_contacts_are_looked_at(filled: Filled) -> None:
    named: dict[str, object] = {
        "organization_id": filled.tenant.organization_id,
        "is_archived": False,
        "words": None,
        "limit": LIMIT,
    }
    statement = campaign_board.campaigns_of_board
    async with asking(filled, "viewer") as connection:
        arguments = [named[name] for name in parameters_of(statement)]
        plan = await explain(connection, sql_of(statement), arguments, generic=False)

    looked_at = [node for node in nodes(plan) if node.get("Relation Name") == "campaign_contacts"]
    assert looked_at
    assert all("Index" in node["Node Type"] and node["Actual Loops"] <= LIMIT for node in looked_at), looked_at


async def test_a_rare_word_of_a_contact_is_found_through_the_trigram_index(filled: Filled) -> None:
    async with asking(filled, "viewer") as connection:
        before = await connection.fetchval(INDEX_SCANS)
        rows = await contacts.search_contacts(
            connection,
            organization_id=filled.tenant.organization_id,
            words=["%tact%", "%4711%"],
            digits=None,
            after=None,
            limit=LIMIT,
        )
        after = await connection.fetchval(INDEX_SCANS)

    assert [row.name for row in rows if row.name == "Contact 4711"] == ["Contact 4711"]
    assert after > before


# Those of this transaction, which are counted at once.
INDEX_SCANS = "select pg_stat_get_xact_numscans('public.contacts_words'::regclass)"


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
async def test_one_call_and_its_ledger_are_found_by_their_keys(filled: Filled, generic: bool) -> None:
    named: dict[str, object] = {
        "call_id": filled.call_ids[0],
        "organization_id": filled.tenant.organization_id,
        "most_bytes": 100,
        "limit": LIMIT,
    }
    for statement, rows in ((calls.show_call, 6), (inbox.call_events, 4)):
        arguments = [named[name] for name in parameters_of(statement)]
        async with asking(filled, "viewer") as connection:
            found = list(scans(await explain(connection, sql_of(statement), arguments, generic=generic)))
        assert [scan for scan in found if scan.kind == "Seq Scan" and scan.table in BIG] == []
        assert sum(scan.rows for scan in found if scan.table in BIG) <= rows, found


async def test_contacts_are_counted_by_jurisdiction_from_the_index_alone(filled: Filled) -> None:
    statement = calling_rules.contacts_by_jurisdiction
    async with asking(filled, "viewer") as connection:
        plan = await explain(connection, sql_of(statement), [filled.tenant.organization_id], generic=False)
        found = list(scans(plan))

    assert [(scan.kind, scan.index) for scan in found if scan.table in BIG or scan.index] == [
        ("Index Only Scan", "contacts_by_jurisdiction")
    ]


async def test_pending_places_are_counted_up_to_a_limit(filled: Filled) -> None:
    statement = calling_rules.count_pending_places
    asked = {"campaign_id": filled.campaign.id, "organization_id": filled.tenant.organization_id, "most": 100}
    async with asking(filled, "viewer") as connection:
        places = await connection.fetch(sql_of(statement), *[asked[name] for name in parameters_of(statement)])

    # The function runs as its owner, and checks once that the caller sees the campaign.
    owner = await asyncpg.connect(filled.database.dsn)
    body = await owner.fetchval("select prosrc from pg_proc where proname = 'count_pending_places'")
    for number, name in enumerate(("p_organization_id", "p_campaign_id", "p_most"), 1):
        body = body.replace(name, f"${number}")
    body = body.replace("array(select private.visible_campaigns(array[$2]))", "array[$2::uuid]")
    arguments = [asked["organization_id"], asked["campaign_id"], 100]
    found = list(scans(await explain(owner, body, arguments, generic=False)))
    await owner.close()

    reads = [scan for scan in found if scan.table == "campaign_contacts"]
    assert {(scan.kind, scan.index) for scan in reads} == {("Index Only Scan", "campaign_contacts_lanes")}
    assert max(row["contacts"] for row in places) == 100
    assert sum(scan.rows for scan in reads) <= 102 * len(places), found
