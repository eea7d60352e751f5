"""Applies pending stored events: those of failed flushes, of the reconciler and of replays."""

from datetime import datetime, timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import events
from outdial.db.session import Connection, Database, LockNotAvailable
from outdial.inbox.apply import apply
from outdial.inbox.deliveries import EventDelivery
from outdial.inbox.receive import pause_accounts
from outdial.log import log
from outdial.provider import EventReader

BATCH = 256
TRIES = 8
FIRST_DELAY = timedelta(seconds=2)
LOCKED_DELAY = timedelta(seconds=5)
"""Delay of an event whose call another transaction has locked. It does not count as a try."""


class EventApplier:
    """A background task: `run_once` applies the due events and returns their number."""

    def __init__(
        self, database: Database, reader: EventReader, clock: Clock, *, check_after: timedelta, retry_speed: float = 1.0
    ) -> None:
        self._database = database
        self._reader = reader
        self._clock = clock
        self._check_after = check_after
        self._retry_speed = retry_speed

    async def run_once(self) -> int:
        """Apply all due events in batches. An event that fails alone is retried later, and finally quarantined."""
        total = 0
        while taken := await self._apply_batch():
            total += taken
        return total

    async def _apply_batch(self) -> int:
        now = self._clock.now()
        rows: list[events.PendingEvent] = []
        try:
            try:
                async with self._database.transaction() as connection:
                    if await events.become_applier(connection):
                        rows = await events.pending_events(connection, now=now, limit=BATCH)
                    accounts = await self._apply(connection, rows, now)
            except LockNotAvailable:
                # Apply the events whose calls no other transaction has locked, and defer the others.
                async with self._database.transaction() as connection:
                    is_applier = await events.become_applier(connection)
                    accounts = await self._apply(connection, rows if is_applier else [], now, skip_locked=True)
        except Exception as error:
            if not rows:
                raise
            log("applier.batch_failed", level="warning", events=len(rows), reason=repr(error))
            for row in rows:
                await self._apply_alone(row, now)
            return len(rows)
        await pause_accounts(self._database, accounts, now)
        return len(rows)

    async def _apply_alone(self, row: events.PendingEvent, now: datetime) -> None:
        try:
            async with self._database.transaction() as connection:
                is_applier = await events.become_applier(connection)
                taken = await events.pending_event(connection, id=row.id) if is_applier else []
                accounts = await self._apply(connection, taken, now)
        except LockNotAvailable:
            async with self._database.transaction() as connection:
                await events.defer_events(connection, ids=[row.id], next_try_at=now + LOCKED_DELAY)
            return
        except Exception as error:
            is_last = row.tries + 1 >= TRIES
            log("applier.event_failed", level="error" if is_last else "warning", event_id=row.id, tries=row.tries + 1)
            async with self._database.transaction() as connection:
                await events.postpone_event(
                    connection,
                    id=row.id,
                    status="quarantined" if is_last else "pending",
                    error=repr(error),
                    next_try_at=now + FIRST_DELAY * 2**row.tries,
                )
            return
        await pause_accounts(self._database, accounts, now)

    async def _apply(
        self, connection: Connection, rows: list[events.PendingEvent], now: datetime, *, skip_locked: bool = False
    ) -> dict[UUID, str]:
        if not rows:
            return {}
        deliveries = [EventDelivery(row.credential, self._reader.read_event(row.body), row.body, now) for row in rows]
        applied = await apply(
            connection,
            deliveries,
            reader=self._reader,
            now=now,
            check_after=self._check_after,
            retry_speed=self._retry_speed,
            skip_locked=skip_locked,
        )
        results = list(zip(rows, applied.verdicts, strict=True))
        done = [(row, verdict) for row, verdict in results if verdict.status != "pending"]
        await events.mark_events(
            connection,
            now=now,
            ids=[row.id for row, _ in done],
            statuses=[verdict.status for _, verdict in done],
            organization_ids=[verdict.organization_id for _, verdict in done],
            call_ids=[verdict.call_id for _, verdict in done],
            errors=[verdict.error for _, verdict in done],
            are_erased=[verdict.is_erased for _, verdict in done],
        )
        if len(done) < len(results):
            locked = [row.id for row, verdict in results if verdict.status == "pending"]
            await events.defer_events(connection, ids=locked, next_try_at=now + LOCKED_DELAY)
            log("applier.calls_locked", level="warning", events=len(rows), set_aside=len(locked))
        return applied.accounts
