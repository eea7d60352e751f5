"""Reports callbacks that have not been made within a minute of the time asked for."""

from datetime import timedelta
from typing import Final

from outdial.clock import Clock
from outdial.db.queries.dialing import callbacks
from outdial.db.session import Database
from outdial.dialer.callbacks.planning import ON_TIME
from outdial.log import log

REPORTED_EVERY: Final = timedelta(seconds=15)
PORTION: Final = 500


class LateCallbacks:
    """A background task: `run_once` stores and logs why callbacks are late, once for each."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Report the late callbacks of all organizations; return how many are new."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            late = await callbacks.report_late_callbacks(connection, due_before=now - ON_TIME, limit=PORTION, now=now)
        for each in late:
            log(
                "dialer.callback_late",
                level="warning",
                campaign_id=str(each.campaign_id),
                campaign_contact_id=str(each.id),
                callback_at=each.callback_at.isoformat(),
                reason=each.reason,
            )
        return len(late)
