"""A dialer whose clock differs from the database's does nothing, and says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg
import pytest

from outdial import clock as clocks
from outdial.clock import FollowingClock, SystemClock
from outdial.db.session import Connection, Database
from outdial.dialer.clock_check import ClockCheck, ClockDiffers, TimedTask
from outdial.dialer.main import run_dialer
from outdial.settings import DatabaseUrls, DialerProcessSettings, DialerSettings
from tests.support.dialing import Stage
from tests.support.factories import create_campaign, create_campaign_contact, create_tenant
from tests.support.postgres import Scratch

HOUR = timedelta(hours=1)


class SteppedClock(SystemClock):
    """The system clock of a machine that runs `ahead`."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + self.ahead


class CountedTask:
    """A background task that counts its runs."""

    runs = 0

    async def run_once(self) -> int:
        self.runs += 1
        return 1


@pytest.mark.parametrize(
    ("ahead", "message"),
    [(HOUR, r"3,\d{3}\.\d s ahead of the database's; .* with NTP"), (-HOUR, r"3,\d{3}\.\d s behind the database's")],
)
async def test_a_clock_that_differs_by_an_hour_is_refused(stage: Stage, ahead: timedelta, message: str) -> None:
    check = ClockCheck(stage.dialing, FollowingClock(SteppedClock(ahead)))
    with pytest.raises(ClockDiffers, match=message):
        await check.compare()


async def test_all_dialers_share_the_time_of_the_database(stage: Stage) -> None:
    system = SteppedClock(-timedelta(seconds=1.5))
    clock = FollowingClock(system)
    check = ClockCheck(stage.dialing, clock)
    await check.compare()
    assert await check.is_right()
    # The database runs on this machine. Half a second is the difference that a slow machine may measure.
    assert -timedelta(seconds=2) < clock.difference() < -timedelta(seconds=1)


async def test_the_wait_for_a_connection_does_not_count(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    waited_s, elapsed_s = 0.0, clocks._elapsed_s
    monkeypatch.setattr(clocks, "_elapsed_s", lambda: elapsed_s() + waited_s)

    class BusyPool(Database):
        @asynccontextmanager
        async def transaction(self) -> AsyncIterator[Connection]:
            nonlocal waited_s
            waited_s += HOUR.total_seconds()
            async with super().transaction() as connection:
                yield connection

    clock = FollowingClock(SystemClock())
    await ClockCheck(BusyPool(stage.dialing.pool, stage.dialing.dsn), clock).compare()
    assert abs(clock.difference()) < timedelta(seconds=2)


async def test_tasks_that_run_at_once_compare_the_clock_once(stage: Stage) -> None:
    comparisons = 0

    class CountedDatabase(Database):
        @asynccontextmanager
        async def transaction(self) -> AsyncIterator[Connection]:
            nonlocal comparisons
            comparisons += 1
            async with super().transaction() as connection:
                yield connection

    check = ClockCheck(CountedDatabase(stage.dialing.pool, stage.dialing.dsn), FollowingClock(SystemClock()))
    assert await asyncio.gather(*(check.is_right() for _ in range(4))) == [True] * 4
    assert comparisons == 1


async def test_tasks_do_nothing_from_a_step_of_the_clock_on_until_it_is_right_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    system, task = SteppedClock(), CountedTask()
    clock = FollowingClock(system)
    check = ClockCheck(stage.dialing, clock)
    timed = TimedTask(task, check)
    await check.compare()
    assert await timed.run_once() == 1

    before = clock.now()
    system.ahead = 2 * HOUR
    assert await timed.run_once() == 0
    assert await timed.run_once() == 0
    assert clock.now() - before < HOUR
    assert caplog.text.count("dialer.clock_differs") == 1

    system.ahead = timedelta()
    assert await timed.run_once() == 1
    assert task.runs == 2


async def test_a_dialer_process_with_a_wrong_clock_changes_nothing(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    await create_campaign_contact(connection, campaign)
    before = await connection.fetch("select * from campaigns")
    settings = DialerProcessSettings(
        database=DatabaseUrls.from_env({"SUPABASE_DB_URL": database.dsn}),
        timing=DialerSettings(),
        api_keys={"default": "key"},
        retell_url="http://127.0.0.1:1",
    )
    with pytest.raises(ClockDiffers):
        await run_dialer(settings, SteppedClock(2 * HOUR))
    assert await connection.fetch("select * from campaigns") == before
    assert await connection.fetchval("select count(*) from calls") == 0
