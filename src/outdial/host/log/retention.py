"""Delete old log entries in small steps, on one host of the environment at a time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from outdial.background import RepeatingTask
from outdial.clock import Clock
from outdial.db.queries.host import function_logs
from outdial.db.session import Connection, Database
from outdial.settings import SettingError

SETTING: Final = "OUTDIAL_LOG_RETENTION_DAYS"
DEFAULT_DAYS: Final = 7.0
_MOST_DAYS: Final = 3650

_PAUSE = timedelta(minutes=5)
_ROWS_PER_STEP = 5_000
# Arbitrary, but the same on every host.
_ADVISORY_LOCK_KEY = 5_464_813_023


def retention_of(env: Mapping[str, str]) -> timedelta:
    """Read OUTDIAL_LOG_RETENTION_DAYS. Raises SettingError for an invalid number."""
    raw = env.get(SETTING, "").strip()
    try:
        days = float(raw) if raw else DEFAULT_DAYS
        if 0 < days <= _MOST_DAYS:
            return timedelta(days=days)
    except (ValueError, OverflowError):
        pass
    raise SettingError(f"{SETTING} must be a number of days above 0, at most {_MOST_DAYS}, not {raw!r}")


class _Delete(Protocol):
    async def __call__(self, connection: Connection, *, before: datetime, limit: int) -> int: ...


class LogRetention:
    """Background task that deletes entries older than `keep`. Each step holds an advisory lock that all hosts share."""

    def __init__(
        self, database: Database, clock: Clock, keep: timedelta, *, rows_per_step: int = _ROWS_PER_STEP
    ) -> None:
        self._database = database
        self._clock = clock
        self._keep = keep
        self._rows_per_step = rows_per_step
        self._repeating = RepeatingTask("host.log_retention", self, _PAUSE)

    def start(self) -> None:
        self._repeating.start()

    async def stop(self) -> None:
        """Finish the current step, then stop."""
        await self._repeating.stop()

    async def run_once(self) -> int:
        """Delete all old entries and return their number. Does nothing while another host does it."""
        removed = await self._delete_old(function_logs.delete_old_invocations)
        return removed + await self._delete_old(function_logs.delete_old_lines)

    async def _delete_old(self, delete: _Delete) -> int:
        before = self._clock.now() - self._keep
        total = 0
        while True:
            async with self._database.transaction() as connection:
                if not await function_logs.lock_retention(connection, key=_ADVISORY_LOCK_KEY):
                    return total
                removed = await delete(connection, before=before, limit=self._rows_per_step)
            total += removed
            if removed < self._rows_per_step:
                return total
