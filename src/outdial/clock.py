"""The only module that reads the time: the system clock, and a clock that tests and simulations move."""

import asyncio
import heapq
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """Source of the current time."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""
        ...

    async def sleep_until(self, moment: datetime) -> None:
        """Return at `moment`; at once when it has passed."""
        ...


class SystemClock:
    """The system clock."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        """Sleep until `moment`."""
        await asyncio.sleep(max(0.0, (moment - self.now()).total_seconds()))


class FollowingClock:
    """A clock that follows another machine's: it runs from the last time that `follow` got, whatever happens here.

    A step of the system clock does not move it, and it goes on while the machine sleeps.
    """

    def __init__(self, system: Clock) -> None:
        self._system = system
        self._started_s = _elapsed_s()
        self._start = system.now()

    def now(self) -> datetime:
        """Return the other machine's time, in UTC; the system clock's at the start until `follow` is called."""
        return self._start + timedelta(seconds=_elapsed_s() - self._started_s)

    def follow(self, moment: datetime) -> None:
        """Run from `moment`, which is the other machine's time now."""
        self._started_s = _elapsed_s()
        self._start = moment

    def difference(self) -> timedelta:
        """Return how far the system clock is ahead of this one; negative if it is behind."""
        return self._system.now() - self.now()

    async def sleep_until(self, moment: datetime) -> None:
        """Sleep until `moment`."""
        await asyncio.sleep(max(0.0, (moment - self.now()).total_seconds()))


# Unlike the monotonic clock of Linux, its boot time counts the time that the machine sleeps.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _elapsed_s() -> float:
    return time.clock_gettime(_STEADY)


class VirtualClock:
    """A clock that moves only by its methods. Sleeping moves it, so nothing really waits."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._numbers = count()
        self._asleep: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the time of this clock, in UTC."""
        return self._now

    def set(self, moment: datetime) -> None:
        """Move to `moment`. The clock never goes back: an earlier moment changes nothing."""
        self._now = max(self._now, moment.astimezone(UTC))

    def advance(self, by: timedelta) -> None:
        """Move forward."""
        self.set(self._now + by)

    async def sleep_until(self, moment: datetime) -> None:
        """Jump to `moment`, after the tasks that sleep until an earlier one, and let other tasks run once."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        heapq.heappush(self._asleep, (moment, next(self._numbers), woken))
        if len(self._asleep) == 1:
            loop.call_soon(self._wake_one, loop)
        await woken

    def _wake_one(self, loop: asyncio.AbstractEventLoop) -> None:
        # One in each round of the loop: a task sees the moment that it waited for before the next one moves the clock.
        moment, _, woken = heapq.heappop(self._asleep)
        self.set(moment)
        if not woken.done():
            woken.set_result(None)
        if self._asleep:
            loop.call_soon(self._wake_one, loop)
