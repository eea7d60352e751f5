"""Decides about contacts whose calls have ended without an analysis."""

from datetime import timedelta
from typing import Final

from outdial.clock import Clock
from outdial.db.queries.dialing import callbacks
from outdial.db.session import Database
from outdial.inbox.apply import decide_overdue
from outdial.provider import EventReader

PORTION = 256
RESPONSE_TIME: Final = timedelta(seconds=30)
"""What the provider knows of a call is in the ledger this long after the reconciler has begun to ask about it."""
UNASKED: Final = timedelta(days=1)
"""A hold that is over ends this much later at the latest, also if the reconciler has not asked about the call."""


class HeldContacts:
    """A background task: `run_once` decides about the contacts that have waited long enough for an analysis."""

    def __init__(self, database: Database, reader: EventReader, clock: Clock, *, retry_speed: float = 1.0) -> None:
        self._database = database
        self._reader = reader
        self._clock = clock
        self._retry_speed = retry_speed

    async def run_once(self) -> int:
        """Decide in portions; return how many contacts. What another transaction has locked waits for the next run."""
        total = 0
        while True:
            now = self._clock.now()
            async with self._database.transaction() as connection:
                ids = await callbacks.calls_to_decide(
                    connection,
                    now=now,
                    asked_before=now - RESPONSE_TIME,
                    unasked_before=now - UNASKED / self._retry_speed,
                    limit=PORTION,
                )
                decided = await decide_overdue(
                    connection, ids, reader=self._reader, now=now, retry_speed=self._retry_speed
                )
            total += decided
            if decided < PORTION:
                return total
