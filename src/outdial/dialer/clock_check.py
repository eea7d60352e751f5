"""Compares this machine's clock with the database's: a dialer with a wrong clock does no work at all."""

import asyncio
from datetime import timedelta
from typing import Final

from outdial.background import BackgroundTask
from outdial.clock import FollowingClock
from outdial.db.errors import DatabaseError
from outdial.db.queries import batches
from outdial.db.session import Database
from outdial.log import log

EVERY: Final = timedelta(seconds=60)
RECHECK_AFTER: Final = timedelta(seconds=5)
"""A wrong clock is compared again after this time."""
MAX_DIFFERENCE: Final = timedelta(seconds=2)


class ClockDiffers(DatabaseError):
    """The clock of this machine and the one of the database differ by too much to dial."""

    def __init__(self, difference: timedelta) -> None:
        side = "ahead of" if difference > timedelta() else "behind"
        super().__init__(
            f"this machine's clock is {abs(difference.total_seconds()):,.1f} s {side} the database's; a dialer allows"
            f" {MAX_DIFFERENCE.total_seconds():g} s: synchronize both clocks, for example with NTP"
        )


class ClockCheck:
    """Sets the dialer's clock by the database's at the start and every minute, so that all dialers share one time.

    In between, a step of the system clock causes a new comparison before anything else happens.
    """

    def __init__(self, database: Database, clock: FollowingClock) -> None:
        self._database = database
        self._clock = clock
        # One comparison at a time: setting the clock during another one's round trip would make its result wrong.
        self._lock = asyncio.Lock()
        self._difference = timedelta()
        self._next_at = clock.now()

    async def compare(self) -> None:
        """Compare now; raises ClockDiffers."""
        async with self._lock:
            await self._compare()

    async def is_right(self) -> bool:
        """Return whether the dialer may work now. Each comparison that finds a wrong clock logs it."""
        if self._is_due():
            async with self._lock:
                if self._is_due():
                    try:
                        await self._compare()
                    except ClockDiffers as error:
                        log("dialer.clock_differs", level="error", reason=str(error))
        return not self._differs()

    async def _compare(self) -> None:
        async with self._database.transaction() as connection:
            # Only the query counts: the wait for a connection and the start of the transaction may take seconds.
            before = self._clock.now()
            moment = await batches.database_time(connection)
            # The response took about half of the time since the request.
            self._clock.follow(moment + (self._clock.now() - before) / 2)
        self._difference = self._clock.difference()
        self._next_at = self._clock.now() + (RECHECK_AFTER if self._differs() else EVERY)
        if self._differs():
            raise ClockDiffers(self._difference)

    def _is_due(self) -> bool:
        drift = self._clock.difference() - self._difference
        return self._clock.now() >= self._next_at or abs(drift) > MAX_DIFFERENCE

    def _differs(self) -> bool:
        return abs(self._difference) > MAX_DIFFERENCE


class TimedTask:
    """A background task that does nothing while the clock is wrong."""

    def __init__(self, task: BackgroundTask, check: ClockCheck) -> None:
        self._task = task
        self._check = check

    async def run_once(self) -> int:
        """Run the task unless the clock is wrong; return how much was done."""
        return await self._task.run_once() if await self._check.is_right() else 0
