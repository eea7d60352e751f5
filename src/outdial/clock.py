"""The only place that reads the time: the system's clock, and one that tests and simulations move by hand."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where a process takes the time from."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...

    async def sleep_until(self, moment: datetime) -> None:
        """Return when `moment` has come; at once when it has passed."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        """Wait in real time until `moment`."""
        await asyncio.sleep(max(0.0, (moment - self.now()).total_seconds()))


class VirtualClock:
    """A clock that stands still until it is moved; sleeping moves it, so nothing ever waits."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the moment at which the clock stands, in UTC."""
        return self._now

    def set(self, moment: datetime) -> None:
        """Move to `moment`; a clock never goes back, so an earlier one changes nothing."""
        self._now = max(self._now, moment.astimezone(UTC))

    def advance(self, by: timedelta) -> None:
        """Move forward by `by`."""
        self.set(self._now + by)

    async def sleep_until(self, moment: datetime) -> None:
        """Jump to `moment` and let other tasks run once."""
        self.set(moment)
        await asyncio.sleep(0)
