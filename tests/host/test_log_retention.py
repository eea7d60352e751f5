"""Old entries are deleted, on one host at a time, after the configured period."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from outdial.clock import VirtualClock
from outdial.db.queries.host import function_logs
from outdial.db.session import Database
from outdial.host.log import retention as log_retention
from outdial.host.log.retention import LogRetention, retention_of
from outdial.settings import SettingError
from tests.support.factories import NOW
from tests.support.function_log import host_database, invocation, line, write
from tests.support.postgres import Scratch

DAY = timedelta(days=1)


@pytest.fixture
async def host(database: Scratch) -> AsyncIterator[Database]:
    async with await host_database(database) as opened:
        yield opened


@pytest.fixture
async def retention(database: Scratch, host: Database) -> LogRetention:
    """A duty that removes two rows a step, beside five invocations and three lines of NOW."""
    await write(database, invocations=[invocation()] * 5, lines={"hello": [line()] * 3})
    return LogRetention(host, VirtualClock(NOW + 7 * DAY), 7 * DAY, rows_per_step=2)


async def entries(connection: asyncpg.Connection) -> int:
    query = "select (select count(*) from host.invocations) + (select count(*) from host.log_lines)"
    return int(await connection.fetchval(query))


async def test_keeps_entries_until_they_expire(retention: LogRetention, connection: asyncpg.Connection) -> None:
    assert await retention.run_once() == 0
    assert await entries(connection) == 8


async def test_deletes_older_entries_in_steps(
    retention: LogRetention, host: Database, connection: asyncpg.Connection
) -> None:
    later = LogRetention(host, VirtualClock(NOW + 7 * DAY + timedelta(seconds=1)), 7 * DAY, rows_per_step=2)

    assert await later.run_once() == 8
    assert await entries(connection) == 0


async def test_only_one_host_deletes_at_a_time(
    retention: LogRetention, host: Database, connection: asyncpg.Connection
) -> None:
    later = LogRetention(host, VirtualClock(NOW + 8 * DAY), 7 * DAY)
    async with host.transaction() as other:
        assert await function_logs.lock_retention(other, key=log_retention._ADVISORY_LOCK_KEY)
        assert await later.run_once() == 0
        assert await entries(connection) == 8

    assert await later.run_once() == 8


async def test_runs_in_the_background(retention: LogRetention, host: Database, connection: asyncpg.Connection) -> None:
    await connection.execute(
        "create function tell() returns trigger language plpgsql as"
        " $$ begin perform pg_notify('removed', ''); return null; end $$;"
        "create trigger tell after delete on host.log_lines for each statement execute function tell()"
    )
    removed = asyncio.Event()
    await connection.add_listener("removed", lambda *_: removed.set())
    later = LogRetention(host, VirtualClock(NOW + 8 * DAY), 7 * DAY)
    later.start()
    async with asyncio.timeout(30):
        await removed.wait()
    await later.stop()

    assert await entries(connection) == 0


@pytest.mark.parametrize(("text", "kept"), [("", 7 * DAY), ("30", 30 * DAY), (" 0.5 ", DAY / 2)])
def test_the_setting_is_a_number_of_days(text: str, kept: timedelta) -> None:
    assert retention_of({"OUTDIAL_LOG_RETENTION_DAYS": text}) == kept
    assert retention_of({}) == 7 * DAY


@pytest.mark.parametrize("text", ["0", "-1", "a week", "nan", "1e99"])
def test_rejects_invalid_settings(text: str) -> None:
    with pytest.raises(SettingError, match=r"OUTDIAL_LOG_RETENTION_DAYS must be a number of days above 0"):
        retention_of({"OUTDIAL_LOG_RETENTION_DAYS": text})
