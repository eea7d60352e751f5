"""Removes what is old from the log, a little at a time, on one host of the environment at a time."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from outdial.background import RepeatingTask
from outdial.clock import Clock
from outdial.db import host_logs as db
from outdial.db.session import Database
from outdial.db.statements import Statement
from outdial.settings import SettingError

SETTING: Final = "OUTDIAL_LOG_RETENTION_DAYS"
DEFAULT_DAYS: Final = 7.0

_PAUSE = timedelta(minutes=5)
_ROWS_A_STEP = 5_000
# Any number will do, as long as every host uses the same one.
_LOCK = 5_464_813_023


def retention_of(env: Mapping[str, str]) -> timedelta:
    """Return how long the log is kept, as OUTDIAL_LOG_RETENTION_DAYS says; raise SettingError for what is no span."""
    raw = env.get(SETTING, "").strip()
    try:
        days = float(raw) if raw else DEFAULT_DAYS
        if days > 0:
            return timedelta(days=days)
    except (ValueError, OverflowError):
        pass
    raise SettingError(f"{SETTING} must be a number of days above 0, not {raw!r}")


class LogRetention:
    """The duty that removes entries older than `keep`; each step is a transaction that holds a lock of all hosts."""

    def __init__(self, database: Database, clock: Clock, keep: timedelta, *, rows_a_step: int = _ROWS_A_STEP) -> None:
        self._database, self._clock, self._keep, self._rows_a_step = database, clock, keep, rows_a_step
        self._removals = RepeatingTask("host.log_retention", self, _PAUSE)

    def start(self) -> None:
        """Begin to remove in the background."""
        self._removals.start()

    async def stop(self) -> None:
        """Let the step under way end."""
        await self._removals.stop()

    async def run_once(self) -> int:
        """Remove all that is too old, unless another host is at it; return how many entries went."""
        removed = await self._remove_all(db.REMOVE_OLD_INVOCATIONS)
        return removed + await self._remove_all(db.REMOVE_OLD_LINES)

    async def _remove_all(self, statement: Statement[Any]) -> int:
        before, total = self._clock.now() - self._keep, 0
        while True:
            async with self._database.transaction() as connection:
                if not (await db.ONLY_RETENTION.one(connection, key=_LOCK)).taken:
                    return total
                removed = await statement.run(connection, before=before, limit=self._rows_a_step)
            total += removed
            if removed < self._rows_a_step:
                return total
