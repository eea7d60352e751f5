"""Who may touch the log of functions, what its statements find, and how few rows they look at for it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.db.embedded import EmbeddedPostgres
from outdial.db.queries.host import function_logs
from outdial.db.session import Connection, Database
from tests.db.test_plans import explain, scans
from tests.support import postgres
from tests.support.factories import NOW
from tests.support.function_log import invocation, line, request_id, write
from tests.support.postgres import Scratch
from tests.support.queries import QueryFunction, parameters_of, sql_of

TABLES = ("invocations", "log_lines")
ROLES = ("anon", "authenticated", "service_role", "outdial_api", "outdial_webhook", "outdial_dialer", "outdial_host")
EVERYTHING: dict[str, Any] = {
    "slug": None, "levels": None, "first_request": None, "last_request": None, "search": None, "since": None,
    "until": None, "invocations": True, "lines": True,
}  # fmt: skip


@asynccontextmanager
async def hosts(database: Scratch) -> AsyncIterator[Connection]:
    """A transaction of a host's login."""
    pool = await Database.connect(database.dsn_for("outdial_host"), application_name="test")
    async with pool, pool.transaction() as connection:
        yield connection


async def newest(connection: Connection, **narrowing: Any) -> list[str]:
    named = {**EVERYTHING, "before_at": None, "before_id": None, "limit": 100, **narrowing}
    return [told(row) for row in await function_logs.list_log_entries(connection, **named)]


def told(row: function_logs.LogEntryRow) -> str:
    return row.text if row.text is not None else f"{row.path} {row.status}"


# Rights.


async def test_hosts_insert_and_delete_operators_read_and_no_one_updates_entries(
    connection: asyncpg.Connection,
) -> None:
    rows = await connection.fetch(
        "select relname::text, role, privilege from pg_class, unnest($1::text[]) role,"
        " unnest(array['select', 'insert', 'update', 'delete', 'truncate']) privilege"
        " where relnamespace = 'host'::regnamespace and relname = any ($2)"
        " and has_table_privilege(role, oid, privilege)",
        list(ROLES),
        list(TABLES),
    )

    allowed = {("outdial_host", verb) for verb in ("select", "insert", "delete")} | {("service_role", "select")}
    assert {tuple(row) for row in rows} == {(table, *pair) for table in TABLES for pair in allowed}


async def test_the_log_has_row_security_enabled_and_forced(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "select relname::text from pg_class where relnamespace = 'host'::regnamespace and relname = any ($1)"
        " and relrowsecurity and relforcerowsecurity",
        list(TABLES),
    )

    assert {row["relname"] for row in rows} == set(TABLES)


async def test_service_role_reads_the_entries_of_a_host(database: Scratch) -> None:
    await write(database, invocations=[invocation()], lines={"hello": [line("hi")]})
    async with (
        await Database.connect(database.dsn_for("outdial_api"), application_name="test") as pool,
        pool.as_service() as connection,
    ):
        assert sorted(await newest(connection)) == ["/hello 200", "hi"]


# What is found.


async def test_invocations_and_lines_come_in_one_order_page_by_page_in_both_directions(database: Scratch) -> None:
    await write(
        database,
        invocations=[invocation(path=f"/hello/{number}", after_s=number) for number in range(4)],
        lines={"hello": [line(str(number), after_s=number + 0.5) for number in range(4)] + [line("same", after_s=3.5)]},
    )
    expected = ["/hello/0 200", "0", "/hello/1 200", "1", "/hello/2 200", "2", "/hello/3 200", "3", "same"]

    async with hosts(database) as connection:
        forwards, backwards = [], []
        at, id = None, None
        while rows := await function_logs.list_log_entries_after(
            connection, **EVERYTHING, after_at=at, after_id=id, limit=2
        ):
            at, id = rows[-1].at, rows[-1].id
            forwards += [told(row) for row in rows]
        at, id = None, None
        while rows := await function_logs.list_log_entries(
            connection, **EVERYTHING, before_at=at, before_id=id, limit=2
        ):
            at, id = rows[-1].at, rows[-1].id
            backwards += [told(row) for row in rows]

    assert forwards == expected
    assert backwards == expected[::-1]


async def test_entries_are_filtered_by_all_arguments(database: Scratch) -> None:
    mine, other = request_id(), request_id(NOW + timedelta(seconds=9))
    await write(
        database,
        invocations=[
            invocation(request_id=mine),
            invocation(request_id=other, status=404, after_s=1),
            invocation("bye", status=500, path="/bye/Now", after_s=2),
        ],
        lines={
            "hello": [line("of mine", request_id=mine), line("careful", level="warning", after_s=1)],
            "bye": [line("Broken", level="error", after_s=2), line("fine", level="debug", after_s=3)],
        },
    )

    async with hosts(database) as connection:
        assert await newest(connection, slug="bye", lines=False) == ["/bye/Now 500"]
        assert await newest(connection, slug="bye", invocations=False) == ["fine", "Broken"]
        assert sorted(await newest(connection, levels=["error"])) == ["/bye/Now 500", "Broken"]
        assert sorted(await newest(connection, levels=["warning"])) == ["/hello 404", "careful"]
        assert sorted(await newest(connection, levels=["info", "debug"])) == ["/hello 200", "fine", "of mine"]
        ids = {"first_request": UUID(mine), "last_request": UUID(mine)}
        assert sorted(await newest(connection, **ids)) == ["/hello 200", "of mine"]
        assert sorted(await newest(connection, search="bROKEN")) == ["Broken"]
        assert sorted(await newest(connection, search="now")) == ["/bye/Now 500"]
        bounds = {"since": NOW + timedelta(seconds=1), "until": NOW + timedelta(seconds=2)}
        assert sorted(await newest(connection, **bounds)) == ["/hello 404", "careful"]


async def test_arrived_entries_have_a_higher_id_and_were_not_seen(database: Scratch) -> None:
    await write(database, lines={"hello": [line(str(number), after_s=-number) for number in range(5)]})
    unbounded = {name: value for name, value in EVERYTHING.items() if name not in ("since", "until")}

    async with hosts(database) as connection:
        every = await function_logs.list_arrived_log_entries(connection, **unbounded, after_id=0, seen=[], limit=100)
        ids = [row.id for row in every]
        rows = await function_logs.list_arrived_log_entries(
            connection, **unbounded, after_id=ids[1], seen=[ids[3]], limit=100
        )
        last = await function_logs.last_log_id(connection)

    assert [row.text for row in every] == ["0", "1", "2", "3", "4"]
    assert [row.text for row in rows] == ["2", "4"]
    assert last == ids[-1]


async def test_statistics_are_per_function_and_span(database: Scratch) -> None:
    await write(
        database,
        invocations=[
            *(invocation(ms=float(ms), cpu_us=ms * 100) for ms in range(1, 101)),
            invocation(status=302, ms=7.0, after_s=60),
            invocation(status=429, ms=0.5, after_s=61, cold=True, execution_id="", cpu_us=0),
            invocation("bye", status=546, ms=2000.0, cpu_us=2_000_000),
        ],
        lines={"hello": [line(), line(level="debug"), line(level="error"), line(level="warning", after_s=61)]},
        now=NOW + timedelta(minutes=2),
    )
    await write(database, lines={"quiet": [line()]})

    async with hosts(database) as connection:
        named = {"since": NOW, "until": NOW + timedelta(hours=1), "origin": NOW}
        rows = await function_logs.function_stats(connection, **named, slug=None, span=timedelta(minutes=1))
        whole = await function_logs.function_stats(connection, **named, slug="hello", span=timedelta(hours=1))

    assert [(row.slug, (row.starts_at - NOW).seconds) for row in rows] == [
        ("bye", 0),
        ("hello", 0),
        ("hello", 60),
        ("quiet", 0),
    ]
    bye, first, second, quiet = rows
    assert (bye.failed, bye.p99_ms, bye.most_cpu_us, bye.lines) == (1, 2000.0, 2_000_000, 0)
    assert (first.invocations, first.succeeded, first.p50_ms, first.p95_ms, first.p99_ms) == (100, 100, 50, 95, 99)
    assert (first.mean_ms, first.most_ms, first.cpu_us) == (50.5, 100.0, 505_000)
    assert (first.request_bytes, first.response_bytes) == (12_000, 4_000)
    assert (first.lines, first.infos, first.warnings, first.errors) == (3, 2, 0, 1)
    assert (second.redirected, second.refused, second.cold_starts, second.warnings) == (1, 1, 1, 1)
    assert (quiet.invocations, quiet.p50_ms, quiet.lines) == (0, None, 1)
    assert [(row.slug, row.invocations, row.lines) for row in whole] == [("hello", 102, 4)]


async def test_the_oldest_entries_are_deleted_first(database: Scratch, connection: asyncpg.Connection) -> None:
    await write(
        database,
        invocations=[invocation(path=f"/hello/{number}", after_s=-number) for number in range(5)],
        lines={"hello": [line(str(number), after_s=-number) for number in range(5)]},
    )
    async with hosts(database) as host:
        before = NOW - timedelta(seconds=1)
        assert await function_logs.delete_old_invocations(host, before=before, limit=2) == 2
        assert await function_logs.delete_old_lines(host, before=before, limit=100) == 3

    paths = await connection.fetch("select path from host.invocations order by id")
    texts = await connection.fetch("select text from host.log_lines order by id")
    assert [row["path"] for row in paths] == ["/hello/0", "/hello/1", "/hello/2"]
    assert [row["text"] for row in texts] == ["0", "1"]


async def test_one_transaction_at_a_time_deletes_entries(database: Scratch) -> None:
    async with hosts(database) as one:
        assert await function_logs.lock_retention(one, key=1)
        async with hosts(database) as other:
            assert not await function_logs.lock_retention(other, key=1)
    async with hosts(database) as other:
        assert await function_logs.lock_retention(other, key=1)


# Plans.

# One function has nearly all of the rows, and 20 others have 50 each.
ROWS = 50_000
_FILL = """
insert into host.invocations (at, request_id, slug, version, execution_id, method, path, status, code, ms, cpu_us, cold,
  request_bytes, response_bytes, region)
select at, request_id, slug, 1, null, 'POST', '/x',
  case when n % 499 = 0 then 500 when n % 100 = 0 then 404 else 200 end,
  '', n % 97, 100, false, 10, 10, 'local'
from pg_temp.numbers;
"""
_FILL_LINES = """
insert into host.log_lines (at, slug, version, execution_id, request_id, level, kind, text)
select at, slug, 1, null, request_id,
  case when n % 499 = 0 then 'error' when n % 100 = 0 then 'warning' else 'info' end, 'log', 'line ' || n
from pg_temp.numbers
"""
_NUMBERS = """
create temporary table numbers as
select n, $1::timestamptz + n * interval '1 second' as at,
  ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as request_id,
  case when n % 50 = 0 then 'function-' || n / 50 % 20 else 'busy' end as slug
from generate_series(1, $2) as n
"""
END = NOW + timedelta(seconds=ROWS)
REQUEST = UUID("00000000-0000-7000-8000-000000001000")


@pytest.fixture(scope="module")
def filled(postgres_server: EmbeddedPostgres, _templates: set[str]) -> Iterator[Scratch]:
    """Fill one clone for all tests of this module; what they change they undo."""
    with postgres.scratch_for_module(postgres_server, _templates) as (runner, database):
        runner.run(fill(database))
        yield database


async def fill(database: Scratch) -> None:
    connection = await asyncpg.connect(database.dsn)
    await connection.execute(_NUMBERS, NOW, ROWS)
    await connection.execute(_FILL)
    await connection.execute(_FILL_LINES)
    await connection.execute("vacuum analyze")
    await connection.close()


@dataclass(frozen=True, slots=True)
class Case:
    """A statement with its arguments, the indexes that it is meant to use, and how many rows it may look at."""

    name: str
    statement: QueryFunction
    arguments: dict[str, Any]
    indexes: frozenset[str]
    rows: int


def listing(name: str, indexes: str, rows: int, **narrowing: Any) -> Case:
    named = {**EVERYTHING, "before_at": None, "before_id": None, "limit": 50, **narrowing}
    return Case(name, function_logs.list_log_entries, named, frozenset(f"{end}" for end in indexes.split()), rows)


CASES = [
    listing("newest", "invocations_at log_lines_at", 100),
    listing("a page", "invocations_at log_lines_at", 100, before_at=NOW + timedelta(seconds=9_000), before_id=1 << 40),
    listing("of a function", "invocations_slug log_lines_slug", 100, slug="function-7"),
    listing("of no function", "invocations_slug log_lines_slug", 0, slug="nothing"),
    listing(
        "of a function in a time", "", 120, slug="busy",
        since=NOW + timedelta(seconds=5_000), until=NOW + timedelta(seconds=6_000),
    ),
    listing("of a request", "invocations_request log_lines_request", 2, first_request=REQUEST, last_request=REQUEST),
    listing(
        "of requests that begin alike", "invocations_request log_lines_request", 32,
        first_request=REQUEST, last_request=UUID(int=REQUEST.int + 15),
    ),
    listing("errors", "invocations_failed log_lines_errors", 100, levels=["error"]),
    listing("errors and warnings", "invocations_refused log_lines_warnings", 100, levels=["error", "warning"]),
    listing("errors of a function", "", 500, levels=["error"], slug="function-0"),
    listing("errors of a busy function", "invocations_failed log_lines_errors", 200, levels=["error"], slug="busy"),
    Case(
        "after", function_logs.list_log_entries_after,
        {**EVERYTHING, "after_at": NOW + timedelta(seconds=9_000), "after_id": 0, "limit": 50},
        frozenset({"invocations_at", "log_lines_at"}), 100,
    ),
    Case(
        "arrived", function_logs.list_arrived_log_entries,
        {name: value for name, value in EVERYTHING.items() if name not in ("since", "until")}
        | {"after_id": 2 * ROWS - 30, "seen": [2 * ROWS], "limit": 50},
        frozenset({"invocations_pkey", "log_lines_pkey"}), 30,
    ),
    Case("last id", function_logs.last_log_id, {}, frozenset({"invocations_pkey", "log_lines_pkey"}), 2),
    Case(
        "statistics of a time", function_logs.function_stats,
        {"since": END - timedelta(minutes=15), "until": END, "slug": None, "span": timedelta(minutes=1), "origin": NOW},
        frozenset({"invocations_at", "log_lines_at"}), 3_600,
    ),
    Case(
        "statistics of a function", function_logs.function_stats,
        {"since": END - timedelta(hours=1), "until": END, "slug": "function-7", "span": timedelta(hours=1)}
        | {"origin": NOW},
        frozenset({"invocations_slug", "log_lines_slug"}), 20,
    ),
    Case(
        "old invocations", function_logs.delete_old_invocations, {"before": NOW + timedelta(hours=2), "limit": 500},
        frozenset({"invocations_at"}), 1_000,
    ),
    Case(
        "old lines", function_logs.delete_old_lines, {"before": NOW + timedelta(hours=2), "limit": 500},
        frozenset({"log_lines_at"}), 1_000,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_query_reads_few_rows_through_the_index_for_its_filters(filled: Scratch, case: Case) -> None:
    arguments = [case.arguments[name] for name in parameters_of(case.statement)]
    connection = await asyncpg.connect(filled.dsn_for("outdial_host"))
    transaction = connection.transaction()
    await transaction.start()
    found = list(scans(await explain(connection, sql_of(case.statement), arguments, generic=False)))
    await transaction.rollback()
    await connection.close()

    assert case.indexes <= {scan.index for scan in found}, found
    assert [scan for scan in found if scan.kind == "Seq Scan"] == []
    assert sum(scan.rows for scan in found) <= case.rows, found


async def test_without_custom_plans_a_query_would_read_everything(filled: Scratch) -> None:
    named = {**EVERYTHING, "before_at": None, "before_id": None, "limit": 50, "levels": ["error"]}
    connection = await asyncpg.connect(filled.dsn_for("outdial_host"))
    async with connection.transaction():
        sql = sql_of(function_logs.list_log_entries)
        arguments = [named[name] for name in parameters_of(function_logs.list_log_entries)]
        generic = sum(scan.rows for scan in scans(await explain(connection, sql, arguments, generic=True)))
        await connection.execute("set local plan_cache_mode = auto")
        await function_logs.force_custom_plans(connection)
        mode = await connection.fetchval("select current_setting('plan_cache_mode')")
    await connection.close()

    assert generic > 10_000
    assert mode == "force_custom_plan"
