"""Log entries reach the database in batches, within limits and without secrets; every loss is reported."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.host.log.writer import LOG_BURST, LOG_PER_SECOND, LONGEST_LINE, LONGEST_PATH, LogWriter
from outdial.host.wire.frames import LogLine
from tests.support.factories import NOW
from tests.support.function_log import WORKER, host_database, invocation, line, request_id
from tests.support.postgres import Scratch

SECRETS = {"STRIPE_API_KEY": "sk_live_123456", "SUPABASE_DB_URL": "postgresql://u:hunter2secret@h/d"}


@pytest.fixture
async def host(database: Scratch) -> AsyncIterator[Database]:
    async with await host_database(database) as opened:
        yield opened


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


class Seconds:
    """A clock that only the test advances."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def writer(host: Database, clock: VirtualClock, seconds: Seconds) -> LogWriter:
    return LogWriter(host, clock, SECRETS, seconds=seconds)


async def lines_of(connection: asyncpg.Connection, columns: str = "text") -> list[Any]:
    rows = await connection.fetch(f"select {columns} from host.log_lines order by id")  # noqa: S608
    return [row[0] if len(row) == 1 else tuple(row) for row in rows]


async def test_stores_an_invocation(writer: LogWriter, connection: asyncpg.Connection) -> None:
    record = invocation(status=546, code="WORKER_RESOURCE_LIMIT", cold=True, ms=12.25)
    writer.invocation(record)

    assert await writer.run_once() == 1
    row = dict(await connection.fetchrow("select * from host.invocations") or {})
    del row["id"]
    assert {
        **row,
        "request_id": str(row["request_id"]),
        "execution_id": str(row["execution_id"]),
    } == msgspec.structs.asdict(record)
    assert await writer.run_once() == 0


async def test_stores_lines_with_their_request_and_worker(writer: LogWriter, connection: asyncpg.Connection) -> None:
    id = request_id()
    writer.lines("hello", 3, WORKER, [line("one", level="debug", request_id=id), line("two", after_s=0.25)], 0)
    writer.lines("other", 0, "", [line("three", level="error")], 0)
    await writer.run_once()

    columns = "at, slug, version, execution_id::text, request_id::text, level, kind, text, details::text"
    assert await lines_of(connection, columns) == [
        (NOW, "hello", 3, WORKER, id, "debug", "log", "one", None),
        (NOW + timedelta(milliseconds=250), "hello", 3, WORKER, None, "info", "log", "two", None),
        (NOW, "other", 0, None, None, "error", "log", "three", None),
    ]


async def test_stores_worker_events_with_their_details(writer: LogWriter, connection: asyncpg.Connection) -> None:
    writer.event("hello", 3, WORKER, "boot", {"boot_ms": 34.6, "pid": 7})
    writer.event("hello", 3, WORKER, "shutdown", {"reason": "idle", "cpu_s": 1.5})
    writer.event(
        "hello", 3, WORKER, "boot_failed", {"reason": "ImportError", "traceback": "Traceback ...\nImportError"}
    )
    await writer.run_once()

    assert await lines_of(connection, "kind, level, text") == [
        ("boot", "info", "booted (time: 35ms)"),
        ("shutdown", "info", "shut down: idle"),
        ("boot_failed", "error", "failed to boot: ImportError\nTraceback ...\nImportError"),
    ]
    details = [json.loads(text) for text in await lines_of(connection, "details::text")]
    assert details == [{"boot_ms": 34.6, "pid": 7}, {"cpu_s": 1.5, "reason": "idle"}, {"reason": "ImportError"}]


async def test_redacts_secrets_and_phone_numbers(writer: LogWriter, connection: asyncpg.Connection) -> None:
    writer.lines("hello", 3, WORKER, [line("key sk_live_123456 for +12125550123"), line("hunter2secret")], 0)
    writer.event("hello", 3, WORKER, "shutdown", {"reason": "sk_live_123456", "more": ["hunter2secret"]})
    for path in ("/hello/%2B12125550123", "/hello/sk_live%5F123456", "/hello/a%20b"):
        writer.invocation(invocation(path=path))
    await writer.run_once()

    rows = await lines_of(connection, "text, details::text")
    assert [row[0] for row in rows] == ["key [secret] for +12***23", "[secret]", "shut down: [secret]"]
    assert json.loads(rows[2][1]) == {"reason": "[secret]", "more": "['[secret]']"}
    paths = await connection.fetch("select path from host.invocations order by id")
    assert [row["path"] for row in paths] == ["/hello/+12***23", "/hello/[secret]", "/hello/a%20b"]


async def test_redacts_secrets_that_are_added_later(writer: LogWriter, connection: asyncpg.Connection) -> None:
    for _ in range(2):
        writer.lines("hello", 3, WORKER, [line("new-secret-value")], 0)
        writer.invocation(invocation(path="/hello/new-secret-value"))
        await writer.run_once()
        writer.redact_secrets({"NEW_TOKEN": "new-secret-value"})

    assert await lines_of(connection) == ["new-secret-value", "[secret]"]
    paths = await connection.fetch("select path from host.invocations order by id")
    assert [row["path"] for row in paths] == ["/hello/new-secret-value", "/hello/[secret]"]


@pytest.mark.parametrize("at_ms", [0, -1, 1 << 62])
async def test_ignores_implausible_times_and_request_ids_of_a_worker(
    writer: LogWriter, connection: asyncpg.Connection, at_ms: int
) -> None:
    writer.lines("hello", 3, WORKER, [LogLine(at_ms, "info", "'; drop table", "nul \0 here")], 0)
    await writer.run_once()

    columns = "at, request_id, text"
    assert await lines_of(connection, columns) == [(NOW, None, "nul \N{REPLACEMENT CHARACTER} here")]


async def test_one_invalid_entry_does_not_affect_others_and_is_reported(
    writer: LogWriter, connection: asyncpg.Connection
) -> None:
    for number in range(7):
        writer.invocation(invocation(path=f"/hello/{number}", cpu_us=1 << 63 if number == 3 else 1))
    writer.invocation(invocation(path="/hello/\udcff"))
    await writer.run_once()
    await writer.run_once()

    paths = await connection.fetch("select path from host.invocations order by id")
    assert [row["path"] for row in paths] == [f"/hello/{number}" for number in (0, 1, 2, 4, 5, 6)]
    assert writer.dropped == {("hello", "invocations"): 2}
    assert await lines_of(connection, "slug, kind, text") == [
        ("hello", "dropped", "2 invocations of the log were dropped")
    ]


async def test_truncates_long_texts(writer: LogWriter, connection: asyncpg.Connection) -> None:
    writer.invocation(invocation(path="/" + "x" * 5_000))
    writer.lines("hello", 3, WORKER, [line("y" * 20_000)], 0)
    await writer.run_once()

    assert await connection.fetchval("select length(path) from host.invocations") == LONGEST_PATH
    assert await connection.fetchval("select length(text) from host.log_lines") == LONGEST_LINE


# Limits.


async def test_a_flooding_function_is_limited_and_others_are_not(
    writer: LogWriter, connection: asyncpg.Connection, seconds: Seconds
) -> None:
    flood = [line("z" * 9_900)] * (2 * LOG_BURST // 10_000)
    writer.lines("noisy", 1, WORKER, flood, 5)
    writer.lines("quiet", 1, WORKER, [line("heard")], 0)
    kept = LOG_BURST // 10_000
    assert writer.dropped == {("noisy", "lines"): len(flood) - kept + 5}

    seconds.now += 1
    writer.lines("noisy", 1, WORKER, flood, 0)
    kept += (LOG_BURST % 10_000 + LOG_PER_SECOND) // 10_000
    await writer.run_once()

    counts = await connection.fetch("select slug, kind, count(*) from host.log_lines group by 1, 2 order by 1, 2")
    assert [tuple(row) for row in counts] == [("noisy", "dropped", 1), ("noisy", "log", kept), ("quiet", "log", 1)]
    lost = 2 * len(flood) - kept + 5
    told = await connection.fetchrow("select text, level, details::text from host.log_lines where kind = 'dropped'")
    assert tuple(told or ()) == (f"{lost} lines of the log were dropped", "warning", f'{{"lines": {lost}}}')


async def test_keeps_the_newest_entries_during_an_outage_and_reports_losses(
    database: Scratch, host: Database, connection: asyncpg.Connection, clock: VirtualClock
) -> None:
    writer = LogWriter(host, clock, {}, max_buffered_bytes=10_000)
    await connection.execute("alter table host.invocations rename to away")
    for number in range(30):
        writer.invocation(invocation(path=f"/hello/{number}"))
        if number % 10 == 9:
            with pytest.raises(asyncpg.UndefinedTableError):
                await writer.run_once()
    await connection.execute("alter table host.away rename to invocations")
    await writer.run_once()

    paths = [row["path"] for row in await connection.fetch("select path from host.invocations order by id")]
    assert len(paths) == 14
    assert paths == [f"/hello/{number}" for number in range(16, 30)]
    assert writer.dropped == {("hello", "invocations"): 16}
    told = [json.loads(text) for text in await lines_of(connection, "details::text")]
    assert sum(one["invocations"] for one in told) == 16


async def test_reports_a_loss_later_and_only_once(writer: LogWriter, connection: asyncpg.Connection) -> None:
    writer.lines("hello", 3, WORKER, [], 4)
    await connection.execute("alter table host.log_lines rename to away")
    with pytest.raises(asyncpg.UndefinedTableError):
        await writer.run_once()
    await connection.execute("alter table host.away rename to log_lines")
    for _ in range(2):
        await writer.run_once()

    assert await lines_of(connection) == ["4 lines of the log were dropped"]


async def test_writes_full_batches_at_once_and_the_rest_on_stop(
    host: Database, clock: VirtualClock, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute(
        "create function tell() returns trigger language plpgsql as"
        " $$ begin perform pg_notify('written', ''); return null; end $$;"
        "create trigger tell after insert on host.invocations for each statement execute function tell()"
    )
    heard: asyncio.Queue[object] = asyncio.Queue()
    await connection.add_listener("written", lambda *told: heard.put_nowait(told))
    monkeypatch.setattr("outdial.host.log.writer._PAUSE", timedelta(hours=1))
    writer = LogWriter(host, clock, {})
    writer.invocation(invocation())
    writer.start()
    async with asyncio.timeout(30):
        await heard.get()
        for _ in range(500):
            writer.invocation(invocation())
        await heard.get()
    writer.invocation(invocation())
    await writer.stop()

    assert await connection.fetchval("select count(*) from host.invocations") == 502


async def test_reports_losses_that_happen_during_a_report(
    writer: LogWriter, database: Scratch, connection: asyncpg.Connection
) -> None:
    writer.lines("hello", 3, WORKER, [], 4)
    blocking = await asyncpg.connect(database.dsn)
    async with blocking.transaction():
        await blocking.execute("lock table host.log_lines")
        writing = asyncio.create_task(writer.run_once())
        waiting = "select count(*) from pg_locks where not granted and relation = 'host.log_lines'::regclass"
        while not await connection.fetchval(waiting):
            pass
        writer.lines("hello", 3, WORKER, [], 2)
    await blocking.close()
    await writing
    await writer.run_once()

    kept = "lines of the log were dropped"
    assert await lines_of(connection) == [f"4 {kept}", f"2 {kept}"]


async def test_stopping_gives_up_on_an_unresponsive_database(
    writer: LogWriter, database: Scratch, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outdial.host.log.writer._STOP_TIMEOUT_S", 0.1)
    blocking = await asyncpg.connect(database.dsn)
    async with blocking.transaction():
        await blocking.execute("lock table host.invocations")
        writer.start()
        writer.invocation(invocation())
        await writer.stop()
    await blocking.close()

    assert await connection.fetchval("select count(*) from host.invocations") == 0


async def test_only_log_transactions_commit_asynchronously(
    clock: VirtualClock, database: Scratch, connection: asyncpg.Connection
) -> None:
    # The tests' server has it off. The pool's connections read it when they are opened.
    await connection.execute(f"alter database {database.name} set synchronous_commit = on")
    await connection.execute(
        "create table public.seen (setting text); grant insert on public.seen to outdial_host;"
        "create function note() returns trigger language plpgsql security definer as"
        " $$ begin insert into public.seen values (current_setting('synchronous_commit')); return null; end $$;"
        "create trigger note after insert on host.invocations for each statement execute function note()"
    )
    async with await host_database(database) as host:
        writer = LogWriter(host, clock, SECRETS)
        writer.invocation(invocation())
        await writer.run_once()

        assert await connection.fetchval("select setting from public.seen") == "off"
        async with host.transaction() as other:
            assert await other.fetchval("select current_setting('synchronous_commit')") == "on"
