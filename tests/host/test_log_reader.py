"""Reading the log: pages, new entries, statistics, and the endpoints of Supabase's tools."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from outdial.clock import VirtualClock
from outdial.db.queries.host.function_logs import LogEntryRow
from outdial.db.session import Database
from outdial.host.api.log_query import LogCursor, LogFilter, read_request_id
from outdial.host.api.logs import LogReader
from outdial.host.log.writer import LogWriter
from tests.support.factories import NOW
from tests.support.function_log import WORKER, host_database, invocation, line, request_id, write
from tests.support.postgres import Scratch

LATER = NOW + timedelta(minutes=10)


class TurningClock(VirtualClock):
    """A clock that each waiter advances, one at a time."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.waits: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def sleep_until(self, moment: datetime) -> None:
        self.set(moment)
        turn = asyncio.Event()
        self.waits.put_nowait(turn)
        await turn.wait()


@pytest.fixture
async def host(database: Scratch) -> AsyncIterator[Database]:
    async with await host_database(database) as opened:
        yield opened


@pytest.fixture
def reader(host: Database) -> LogReader:
    return LogReader(host.transaction, VirtualClock(LATER), project_ref="outdial")


def told(entries: list[LogEntryRow]) -> list[str]:
    return [entry.text if entry.text is not None else str(entry.path) for entry in entries]


async def test_pages_follow_each_other_in_both_directions(database: Scratch, reader: LogReader) -> None:
    await write(
        database,
        invocations=[invocation(path="/hello/0"), invocation(path="/hello/2", after_s=2)],
        lines={"hello": [line("1", after_s=1), line("3", after_s=3)]},
    )

    first = await reader.newest(LogFilter(), 3)
    second = await reader.newest(LogFilter(), 3, LogCursor(first[-1].at, first[-1].id))
    assert told([*first, *second]) == ["3", "/hello/2", "1", "/hello/0"]
    first = await reader.after(LogFilter(), 3)
    second = await reader.after(LogFilter(), 3, LogCursor(first[-1].at, first[-1].id))
    assert told([*first, *second]) == ["/hello/0", "1", "/hello/2", "3"]


async def test_filters_entries(database: Scratch, reader: LogReader) -> None:
    id = request_id()
    await write(
        database,
        invocations=[invocation(status=500), invocation("bye", request_id=id)],
        lines={"bye": [line("mine", request_id=id), line("broken", level="error", after_s=2)]},
    )

    assert told(await reader.newest(LogFilter(slug="bye", lines=False), 9)) == ["/bye"]
    assert sorted(told(await reader.newest(LogFilter(levels=frozenset({"error"})), 9))) == ["/hello", "broken"]
    assert sorted(told(await reader.newest(LogFilter(requests=read_request_id(id)), 9))) == ["/bye", "mine"]
    assert told(await reader.newest(LogFilter(since=NOW + timedelta(seconds=2)), 9)) == ["broken"]
    assert told(await reader.after(LogFilter(until=NOW + timedelta(seconds=2), search="MIN"), 9)) == ["mine"]


async def test_yields_new_entries_once_even_if_committed_late(
    database: Scratch, host: Database, connection: asyncpg.Connection
) -> None:
    clock = TurningClock(NOW)
    reader = LogReader(host.transaction, clock)
    await write(database, lines={"hello": [line("before")]})
    found: list[list[str]] = []

    async def follow() -> None:
        async for entries in reader.follow(LogFilter(slug="hello"), await reader.last_id()):
            found.append(told(entries))

    following = asyncio.create_task(follow())
    late = await asyncpg.connect(database.dsn)
    transaction = late.transaction()
    await transaction.start()
    insert = (
        "insert into host.log_lines (at, slug, version, level, kind, text)"
        " values ($1, 'hello', 1, 'info', 'log', 'late') returning id"
    )
    turn = await clock.waits.get()
    low = await late.fetchval(insert, NOW)
    await write(database, lines={"hello": [line("second", after_s=1), line("first")], "other": [line()]})
    for step in range(5):
        turn.set()
        turn = await clock.waits.get()
        if step == 0:
            await transaction.commit()
    following.cancel()
    await late.close()

    assert low > 0
    assert found == [["first", "second"], ["late"]]


async def test_statistics_cover_a_period_in_total_or_in_spans(database: Scratch, reader: LogReader) -> None:
    await write(database, invocations=[invocation(), invocation(after_s=90), invocation("bye", after_s=700)])

    whole = await reader.stats(NOW, LATER)
    spans = await reader.stats(NOW, LATER, slug="hello", span=timedelta(minutes=1))

    assert [(row.slug, row.starts_at, row.invocations) for row in whole] == [("hello", NOW, 2)]
    assert [row.starts_at for row in spans] == [NOW, NOW + timedelta(minutes=1)]


# The endpoints of the Management API.


async def ask(reader: LogReader, name: str, **query: str) -> Any:
    answer = await reader.endpoint(name, query)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["result"]


async def test_rows_of_logs_have_the_columns_of_the_cli(database: Scratch, reader: LogReader) -> None:
    id = request_id()
    await write(
        database,
        invocations=[invocation(request_id=id, status=404, code="NOT_FOUND", after_s=0.25)],
        lines={"hello": [line("careful", level="warning", request_id=id)]},
    )

    rows = await ask(reader, "logs", sql="select id from logs where (source = 'function_logs' or source = "
                     "'function_edge_logs') order by ts_ms desc, id desc limit 100")  # fmt: skip

    edge, logged = rows
    columns = {"id", "ts_ms", "source", "severity_text", "level", "event_message", "log_attributes"}
    assert edge.keys() == logged.keys() == columns
    assert edge["id"] < logged["id"]
    assert (edge["source"], edge["level"], edge["event_message"]) == (
        "function_edge_logs", "warn", "POST | 404 | /functions/v1/hello"
    )  # fmt: skip
    assert edge["ts_ms"] - logged["ts_ms"] == 250
    assert (logged["source"], logged["level"], logged["event_message"]) == ("function_logs", "warn", "careful")
    for row in rows:
        assert all(isinstance(value, str) for value in row["log_attributes"].values())
        assert row["log_attributes"]["request_id"] == id
        assert row["log_attributes"]["function_id"] == "hello"
        assert row["log_attributes"]["execution_id"] == WORKER
        assert row["log_attributes"]["deployment_id"] == "outdial_hello_3"
    assert edge["log_attributes"]["response.status_code"] == "404"
    assert edge["log_attributes"]["execution_time_ms"] == "2.5"
    assert edge["log_attributes"]["sb_error_code"] == "NOT_FOUND"
    assert logged["log_attributes"]["event_type"] == "Log"


async def test_rows_of_a_table_have_their_fields_flat_and_nested(database: Scratch, reader: LogReader) -> None:
    await write(database, invocations=[invocation(status=500)])

    [row] = await ask(reader, "logs.all", sql="select id, timestamp, event_message from function_edge_logs limit 5")

    assert row["timestamp"] == int(NOW.timestamp()) * 1_000_000
    assert (row["status_code"], row["method"], row["execution_time_ms"]) == (500, "POST", 2.5)
    [metadata] = row["metadata"]
    assert metadata["response"] == [{"status_code": 500, "content_length": 40}]
    assert metadata["request"] == [{"method": "POST", "pathname": "/functions/v1/hello", "content_length": 120}]
    assert (metadata["function_id"], metadata["version"]) == ("hello", "3")


async def test_worker_events_are_function_logs(host: Database, reader: LogReader) -> None:
    writer = LogWriter(host, VirtualClock(NOW), {})
    writer.event("hello", 3, WORKER, "boot", {"boot_ms": 31.0})
    writer.event("hello", 3, WORKER, "boot_failed", {"reason": "ImportError"})
    writer.event("hello", 3, WORKER, "shutdown", {"reason": "idle", "cpu_s": 0.5, "slug": "another"})
    await writer.run_once()

    rows = await ask(reader, "logs.all", sql="select * from function_logs order by timestamp asc")

    assert [row["event_type"] for row in rows] == ["Boot", "BootFailure", "Shutdown"]
    assert rows[0]["event_message"] == "booted (time: 31ms)"
    assert (rows[2]["cpu_s"], rows[2]["function_id"]) == (0.5, "hello")


async def test_a_query_covers_its_time_range_or_one_day(database: Scratch, reader: LogReader) -> None:
    ages = {"now": 0, "an hour ago": -3600, "two days ago": -2 * 86_400}
    await write(database, invocations=[invocation(path=f"/{name}", after_s=age) for name, age in ages.items()])
    sql = "select * from function_edge_logs"

    async def paths(**query: str) -> list[str]:
        return [row["pathname"].rpartition("/")[2] for row in await ask(reader, "logs", sql=sql, **query)]

    assert await paths() == ["now", "an hour ago"]
    assert await paths(iso_timestamp_start="2026-03-10T16:30:00Z") == ["now"]
    assert await paths(iso_timestamp_end="2026-03-10T16:30:00.000Z") == ["an hour ago"]
    assert await paths(
        iso_timestamp_start="2026-03-08T17:00:00.000Z", iso_timestamp_end="2026-03-08T17:00:00.001Z"
    ) == ["two days ago"]


async def test_combined_statistics_cover_one_function_and_interval(database: Scratch, reader: LogReader) -> None:
    await write(
        database,
        invocations=[
            invocation(cpu_us=1000),
            invocation(status=500, ms=7.5, cpu_us=3000),
            invocation(status=404, after_s=60),
            invocation("bye"),
            invocation(after_s=-3600),
        ],
        lines={"hello": [line(), line(level="error")]},
    )

    rows = await ask(reader, "functions.combined-stats", interval="15min", function_id="hello")

    first, second = rows
    assert [row["timestamp"] for row in rows] == ["2026-03-10T17:00:00+00:00", "2026-03-10T17:01:00+00:00"]
    assert (first["requests_count"], first["success_count"], first["server_err_count"]) == (2, 1, 1)
    assert (first["avg_execution_time"], first["max_execution_time"]) == (5.0, 7.5)
    assert (first["avg_cpu_time_used"], first["max_cpu_time_used"]) == (2.0, 3.0)
    assert (first["log_count"], first["log_info_count"], first["log_error_count"]) == (2, 1, 1)
    assert second["client_err_count"] == 1
    assert len(await ask(reader, "functions.combined-stats", interval="1day", function_id="hello")) == 2
    assert await ask(reader, "functions.combined-stats", interval="1day", function_id="nobody") == []


@pytest.mark.parametrize(
    ("name", "query", "reason"),
    [
        ("logs", {}, "the query is not SELECT"),
        ("logs", {"sql": "select * from auth.users"}, "there is no table 'auth.users'"),
        ("logs.all", {"sql": "select * from logs", "iso_timestamp_start": "soon"}, "'soon' is not a time"),
        ("functions.combined-stats", {"interval": "15min"}, "function_id and interval are required"),
        ("functions.combined-stats", {"interval": "2min", "function_id": "hello"}, "one of 15min, 1hr, 3hr, 1day"),
    ],
)
async def test_unsupported_parameters_get_a_400_with_the_reason(
    reader: LogReader, name: str, query: dict[str, str], reason: str
) -> None:
    answer = await reader.endpoint(name, query)

    assert answer.status == 400
    assert reason in json.loads(answer.body)["message"]


async def test_unknown_endpoints_get_a_404(reader: LogReader) -> None:
    assert (await reader.endpoint("usage.api-counts", {})).status == 404
