"""The only module that reads the time: the system clock, and a clock that tests and simulations move."""

import asyncio
from datetime import UTC, datetime, timedelta
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


class VirtualClock:
    """A clock that moves only by its methods. Sleeping moves it, so nothing really waits."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

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
        """Jump to `moment` and let other tasks run once."""
        self.set(moment)
        await asyncio.sleep(0)
