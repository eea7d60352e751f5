"""Every query has a generated function that is up to date and correctly typed."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import pytest

from outdial.db.queries import batches, campaign_status, events, reports, settlements
from outdial.db.rows import required
from outdial.db.session import Database
from outdial.domain.campaign import CampaignStatus
from tests.support.factories import NOW, create_calling, create_campaign, create_provider_account, create_tenant
from tests.support.postgres import Scratch
from tests.support.queries import QueryFunction, all_queries, parameters_of, sql_of
from tools import generate_queries as generate

SOURCE = generate.QUERIES.parents[1]
# What asyncpg makes of a column; JSON is always read as text.
PYTHON_TYPES: dict[str, type] = {
    "bool": bool,
    "bytea": bytes,
    "float8": float,
    "int2": int,
    "int4": int,
    "int8": int,
    "interval": timedelta,
    "numeric": Decimal,
    "text": str,
    "date": date,
    "timestamptz": datetime,
    "uuid": UUID,
}
# Columns that are nullable in a table of the query, and why they are not null in its rows.
NEVER_NULL = {
    ("analyze_calls", "cost_cents"): "coalesced",
    ("board_day", "cost_cents"): "coalesced",
    ("call_buckets", "outcome"): "coalesced",
    ("calls_so_far", "cost_cents"): "coalesced",
    ("report_calls", "cost_cents"): "coalesced",
    ("calls_so_far", "duration_ms"): "coalesced",
    ("calls_so_far", "outcome"): "the query selects calls that have one",
    ("campaign_spending", "cost_cents"): "coalesced",
    ("call_places", "decided_at"): "a case with an else, of columns that are never null",
    ("count_calls", "cost_cents"): "coalesced",
    ("count_calls", "duration_ms"): "coalesced",
    ("count_uncallable", "reason"): "a case with an else",
    ("check_subject", "organization_id"): "that of the campaign, which always has one",
    ("find_password_reset", "organization_id"): "the query selects resets that have one",
    ("list_just_ended", "ended_at"): "the query selects calls that ended after a time",
    ("count_empty_variables", "name"): "an element of the array of names",
    ("due_contacts", "contact_id"): "that of the campaign contact, which always has one",
    ("list_callbacks", "callback_at"): "the query selects contacts that have one",
    ("list_users", "email"): "local Auth stores every user with an email address",
    ("live_calls", "retell_call_id"): "the query selects calls that have one",
    ("past_calls", "cost_cents"): "coalesced",
    ("past_calls", "outcome"): "the query selects calls that have one",
    ("claim_facts", "retell_agent_id"): "that of the campaign, which always has one",
    ("recent_costs", "cost_cents"): "the query selects calls that cost something",
    ("recent_costs", "retell_agent_id"): "an element of the array of agents",
    ("note_campaign_alerts", "budget_cents"): "the query selects campaigns with a budget",
    ("report_by_campaign", "cost_cents"): "coalesced",
    ("report_by_day", "cost_cents"): "coalesced",
    ("show_call", "decision"): "that of the call, which always has one",
    ("take_call_to_check", "duration_ms"): "coalesced",
    ("unknown_costs", "reserved_cents"): "the query selects calls that have a reservation",
    ("user_by_email", "email"): "local Auth stores every user with an email address",
    ("user_by_id", "email"): "local Auth stores every user with an email address",
}
DOMAIN_TIME = re.compile(
    r"\b(now\s*\(|current_(time|date|timestamp)|localtime|(clock|statement|transaction)_timestamp)"
)


def python_type(postgres: str) -> Any:
    if postgres.endswith("[]"):
        return list[PYTHON_TYPES[postgres[:-2]]]  # type: ignore[misc]
    return PYTHON_TYPES[postgres]


def required_type(hint: Any) -> Any:
    """Return the type without None, and a sequence of elements as a list of those that are there."""
    if get_origin(hint) in (Sequence, list) or getattr(get_origin(hint), "__name__", "") in ("Sequence", "list"):
        return list[required_type(get_args(hint)[0])]  # type: ignore[misc]
    options = [option for option in get_args(hint) if option is not NoneType]
    return required_type(options[0]) if isinstance(hint, UnionType) else hint


def row_type(query: QueryFunction) -> Any:
    """Return the class of a row, the type of its only column, or None for a query without rows."""
    returned = get_type_hints(query)["return"]
    if "rows_touched" in query.__code__.co_names:
        return None
    if get_origin(returned) is list or get_origin(returned) is AsyncIterator:
        return get_args(returned)[0]
    return None if returned is NoneType else required_type(returned)


def differences(row: Any, described: Sequence[tuple[str, Any]]) -> list[object]:
    """Compare what a row class or a type promises with the columns that Postgres describes."""
    if row is None:
        return list(described)
    if not is_dataclass(row):
        return [] if [kind for _, kind in described] == [row] else [row, described]
    hints = get_type_hints(row)
    wanted = [(field.name, required_type(hints[field.name])) for field in fields(row)]
    if len(wanted) != len(described):
        return [wanted, described]
    return [(w, d) for w, d in zip(wanted, described, strict=True) if w != d]


def columns_of(prepared: asyncpg.prepared_stmt.PreparedStatement) -> list[tuple[str, Any]]:
    return [(a.name, python_type(a.type.name)) for a in prepared.get_attributes() if a.type.name != "void"]


async def test_the_generated_modules_are_up_to_date(connection: asyncpg.Connection) -> None:
    generated = await generate.generate(connection)
    present = {path for path in generate.QUERIES.rglob("*.py") if path.name != "__init__.py"}

    assert present == set(generated)
    stale = [path.name for path, text in generated.items() if path.read_text() != text]
    assert stale == [], "run `make queries`"


async def test_every_query_returns_the_columns_of_its_row_type_in_order(connection: asyncpg.Connection) -> None:
    found = {}
    for query in all_queries():
        described = columns_of(await connection.prepare(sql_of(query)))
        if wrong := differences(row_type(query), described):
            found[query.__name__] = wrong

    assert found == {}


async def test_every_parameter_has_the_type_that_postgres_expects(connection: asyncpg.Connection) -> None:
    found = {}
    for query in all_queries():
        prepared = await connection.prepare(sql_of(query))
        hints = get_type_hints(query)
        wanted = [(name, required_type(hints[name])) for name in parameters_of(query)]
        names = parameters_of(query)
        described = [(n, python_type(t.name)) for n, t in zip(names, prepared.get_parameters(), strict=True)]
        if wanted != described:
            found[query.__name__] = (wanted, described)

    assert found == {}


NULLABLE_COLUMNS = """
select c.relname as table_name, a.attname as column_name
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'host', 'auth') and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
  and not a.attnotnull
"""


async def test_a_column_that_may_be_null_is_marked(connection: asyncpg.Connection) -> None:
    nullable: dict[str, set[str]] = {}
    for record in await connection.fetch(NULLABLE_COLUMNS):
        nullable.setdefault(record["table_name"], set()).add(record["column_name"])
    found = set()
    for query in all_queries():
        row = row_type(query)
        if row is None or not is_dataclass(row):
            continue
        tables = set(re.findall(r"\b(?:from|join|update|into)\s+(?:only\s+)?(?:\w+\.)?(\w+)", sql_of(query)))
        hints = get_type_hints(row)
        columns = {column for table in tables & set(nullable) for column in nullable[table]}
        found |= {(query.__name__, name) for name in columns & set(hints) if NoneType not in get_args(hints[name])}

    assert found == set(NEVER_NULL)


async def test_the_comparison_notices_a_wrong_name_type_and_order(connection: asyncpg.Connection) -> None:
    prepared = await connection.prepare(
        "select 1 as id, 'x'::text as name, array[now()] as moments, null::numeric as n"
    )
    described = columns_of(prepared)

    assert described == [("id", int), ("name", str), ("moments", list[datetime]), ("n", Decimal)]
    assert differences(None, described) == described
    assert differences(UUID, [("id", int)]) != []
    assert differences(reports.ContactCount, [("status", str), ("contacts", int), ("attempts", int)]) == []
    assert differences(reports.ContactCount, [("status", str), ("contacts", str), ("attempts", int)]) != []
    assert differences(reports.ContactCount, [("status", str), ("attempts", int), ("contacts", int)]) != []
    assert differences(reports.ContactCount, [("status", str), ("contacts", int)]) != []


def test_every_named_block_has_one_function_and_nothing_else_has() -> None:
    blocks = [
        (str(path.relative_to(generate.QUERIES).with_suffix("")), name)
        for path in generate.QUERIES.rglob("*.sql")
        for name in re.findall(r"^-- name: (\w+)!?$", path.read_text(), re.MULTILINE)
    ]
    functions = [
        (query.__module__.removeprefix("outdial.db.queries.").replace(".", "/"), query.__name__)
        for query in all_queries()
    ]

    assert sorted(functions) == sorted(blocks)
    assert sum(path.read_text().count("-- name:") for path in generate.QUERIES.rglob("*.sql")) == len(blocks)


def test_every_query_is_used() -> None:
    sources = [path for path in SOURCE.rglob("*.py") if generate.QUERIES not in path.parents]
    text = "".join(path.read_text() for path in sources)

    assert [query.__name__ for query in all_queries() if not re.search(rf"\.{query.__name__}\b", text)] == []


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("-- name: a\n-- returns: int\nselect 1", "a has no description"),
        ("-- name: a\n-- returns: str\n-- Read it.\nselect 1 as n", "a returns str and selects"),
        ("-- name: a\n-- returns: list[str\n-- Read it.\nselect 'x' as n", "not a valid result"),
        ("-- name: a\n-- returns: int\n-- null: b\n-- Read it.\nselect 1 as n", "a has no column or parameter b"),
        ("-- name: a\n-- returns: int\n-- null: :n[]\n-- Read it.\nselect :n::int as n", "no column or parameter"),
        ("-- name: a\n-- returns: int\n-- Read it.\nselect 1 as n\n-- include: b\n", "no parts/b.sql to include"),
        ("-- name: a\n-- returns: RowOfA\n-- Read it.\nselect '{}'::jsonb as b", "b has the type jsonb"),
        ("-- name: a!\n-- Read it.\nselect 1 as n", "a selects columns"),
        ("-- name: a\n-- returns: RowOfA\n-- Read it.\nselect pg_notify('a', '')", "selects nothing"),
        (
            "-- name: a\n-- returns: RowOfA\n-- Read it.\nselect 1 as n;\n\n"
            "-- name: b\n-- returns: RowOfA\n-- Read it.\nselect 2 as m",
            "a, b return RowOfA with different columns",
        ),
    ],
)
async def test_a_block_that_contradicts_postgres_is_refused(
    connection: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str, message: str
) -> None:
    (tmp_path / "things.sql").write_text(f"-- Things.\n\n{block};\n")
    monkeypatch.setattr(generate, "QUERIES", tmp_path)

    with pytest.raises(generate.QueryError, match=re.escape(message)):
        await generate.generate(connection)


@pytest.mark.parametrize("path", sorted(generate.QUERIES.rglob("*.sql")), ids=lambda path: path.stem)
def test_no_query_reads_the_clock_of_the_database(path: Any) -> None:
    code = re.sub(r"--.*", "", path.read_text())

    # The one that reads it is what the dialer's clock follows.
    allowed = ["clock_timestamp"] if path.stem == "batches" else []
    assert [match[0] for match in DOMAIN_TIME.finditer(code)] == allowed


async def test_a_query_refuses_a_missing_argument_and_one_that_it_does_not_know(
    connection: asyncpg.Connection,
) -> None:
    query: QueryFunction = campaign_status.campaign_status

    with pytest.raises(TypeError, match="campaign_id"):
        await query(connection)
    with pytest.raises(TypeError, match="campaign"):
        await query(connection, campaign=1)


async def test_a_row_that_must_be_there_and_is_not_is_an_error(connection: asyncpg.Connection) -> None:
    unknown = UUID(int=0)

    assert await campaign_status.campaign_status(connection, campaign_id=unknown) is None
    with pytest.raises(LookupError, match="campaign_account returned no row"):
        await campaign_status.campaign_account(connection, campaign_id=unknown)
    with pytest.raises(LookupError, match="complete_campaign returned no row"):
        await campaign_status.complete_campaign(connection, campaign_id=unknown, now=NOW)
    with pytest.raises(LookupError, match="The query returned no row"):
        required(None)


# What the dialer may look up over all organizations, before it declares one.


async def test_due_campaigns_are_listed_once_longest_due_first_with_those_that_are_named(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    one, other = [await create_tenant(connection, credential=name) for name in ("one", "two")]
    second = await create_campaign(connection, one, next_batch_at=NOW)
    first = await create_campaign(connection, other, status="pausing", next_batch_at=NOW - timedelta(seconds=1))
    named = await create_campaign(connection, one, status="cancelling", next_batch_at=NOW + timedelta(hours=1))
    await create_campaign(connection, one, next_batch_at=NOW + timedelta(seconds=1))
    resting = [await create_campaign(connection, one, status=status) for status in ("paused", "completed", "draft")]

    async with dialers(database) as pool, pool.transaction() as dialing:
        ids = [named.id, second.id, *(campaign.id for campaign in resting)]
        rows = await batches.due_campaigns(dialing, now=NOW, limit=10, named=ids)
        alone = await batches.due_campaigns(dialing, now=NOW, limit=1, named=[])

    assert [(row.campaign_id, row.status) for row in rows] == [
        (first.id, "pausing"),
        (second.id, "active"),
        (named.id, "cancelling"),
    ]
    assert [(row.organization_id, row.campaign_id) for row in alone] == [(other.organization_id, first.id)]


async def test_due_campaigns_are_listed_in_turn_over_organizations_and_their_accounts(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    busy, quiet = [await create_tenant(connection, credential=name) for name in ("busy", "quiet")]
    early = [await create_campaign(connection, busy, next_batch_at=NOW - timedelta(minutes=9 - n)) for n in range(4)]
    second = await create_provider_account(connection, busy.organization_id, credential="second")
    due_at = NOW - timedelta(minutes=1)
    other = await create_campaign(connection, busy, provider_account_id=second, next_batch_at=due_at)
    late = [await create_campaign(connection, quiet, next_batch_at=NOW - timedelta(seconds=9 - n)) for n in range(2)]

    async with dialers(database) as pool, pool.transaction() as dialing:
        rows = await batches.due_campaigns(dialing, now=NOW, limit=5, named=[])

    assert [row.campaign_id for row in rows] == [
        campaign.id for campaign in (early[0], late[0], other, late[1], early[1])
    ]
    assert {row.provider_account_id for row in rows} == {
        busy.provider_account_id,
        second,
        quiet.provider_account_id,
    }


async def test_scheduled_campaigns_are_listed_when_their_time_has_come(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    for status in CampaignStatus:
        await create_campaign(connection, tenant, status=status, scheduled_at=NOW)
    await create_campaign(connection, tenant, status="scheduled", scheduled_at=NOW + timedelta(seconds=1))

    async with dialers(database) as pool, pool.transaction() as dialing:
        rows = await campaign_status.scheduled_campaigns(dialing, now=NOW, limit=10)

    statuses = await connection.fetch("select status from campaigns where id = any ($1)", [r.campaign_id for r in rows])
    assert [row["status"] for row in statuses] == ["scheduled"]


async def test_silent_calls_are_listed_when_their_check_is_due(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    _, late = await create_calling(connection, campaign, next_check_at=NOW)
    _, later = await create_calling(connection, campaign, next_check_at=NOW - timedelta(seconds=1))
    await create_calling(connection, campaign, next_check_at=None)
    await create_calling(connection, campaign, next_check_at=NOW + timedelta(seconds=1))

    async with dialers(database) as pool, pool.transaction() as dialing:
        rows = await settlements.calls_to_check(dialing, now=NOW, limit=10)

    assert [row.call_id for row in rows] == [later, late]


async def test_events_of_the_account_are_reopened_when_their_call_is_found(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    for retell_call_id, credential, status in [
        ("call_1", "default", "unmatched"),
        ("call_1", "acme", "unmatched"),
        ("call_2", "default", "unmatched"),
        ("call_3", "default", "quarantined"),
    ]:
        await connection.execute(
            "insert into webhook_events (source, credential, retell_call_id, event, body, body_sha256, status,"
            " received_at, next_try_at) values ('webhook', $1, $2, 'call_ended', '', sha256(''), $3, $4, $4)",
            credential,
            retell_call_id,
            status,
            NOW,
        )

    async with dialers(database) as pool, pool.transaction() as dialing:
        reopened = await events.reopen_unmatched(
            dialing, credential="default", retell_call_ids=["call_1", "call_3"], now=NOW
        )

    pending = await connection.fetch("select retell_call_id, credential from webhook_events where status = 'pending'")
    assert reopened == 1
    assert [tuple(row) for row in pending] == [("call_1", "default")]


@asynccontextmanager
async def dialers(database: Scratch) -> AsyncIterator[Database]:
    async with await Database.connect(database.dsn_for("outdial_dialer"), application_name="test") as pool:
        yield pool
