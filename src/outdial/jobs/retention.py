"""Removes expired data: old acts, exports, abandoned uploads, refused rows, idempotency keys, the log of the queue."""

from datetime import timedelta
from typing import Final

from outdial.clock import Clock
from outdial.db.queries import exports, import_refusals, imports, jobs
from outdial.db.session import Database
from outdial.domain.policies.undo import FORGOTTEN_AFTER

UPLOADS_KEPT: Final = timedelta(days=2)
REFUSALS_KEPT: Final = timedelta(days=30)
KEYS_KEPT: Final = timedelta(hours=24)
LOG_KEPT: Final = timedelta(days=30)
EVERY: Final = timedelta(minutes=10)
_BATCH_SIZE: Final = 100
_ACT_ROWS: Final = 5_000


class JobRetention:
    """A background task; any number of workers may run it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Remove everything that has expired; return how many items that were."""
        now, done = self._clock.now(), 0
        async with self._database.transaction() as connection:
            done += await jobs.delete_old_idempotency_keys(connection, before=now - KEYS_KEPT)
            done += await jobs.delete_queue_log(connection, before=now - LOG_KEPT)
        while True:
            async with self._database.transaction() as connection:
                forgotten = await jobs.forget_acts(connection, before=now - FORGOTTEN_AFTER, limit=_ACT_ROWS)
            done += forgotten
            if not forgotten:
                break
        while True:
            async with self._database.transaction() as connection:
                expired = await jobs.outdated_jobs(
                    connection,
                    now=now,
                    uploads_before=now - UPLOADS_KEPT,
                    refusals_before=now - REFUSALS_KEPT,
                    limit=_BATCH_SIZE,
                )
            for job in expired:
                await self._clear(job)
            done += len(expired)
            if not expired:
                return done

    async def _clear(self, job: jobs.OutdatedJob) -> None:
        now = self._clock.now()
        async with self._database.for_organization(job.organization_id) as connection:
            match job.kind:
                case "export":
                    await exports.expire_export(connection, export_id=job.id, now=now)
                    await exports.delete_export_chunks(connection, export_id=job.id)
                case "upload":
                    before = now - UPLOADS_KEPT
                    if await imports.abandon_upload(connection, import_id=job.id, now=now, before=before):
                        await imports.delete_import_chunks(connection, import_id=job.id)
                case _:
                    await import_refusals.delete_refusals(connection, import_id=job.id)
            await jobs.notify_jobs(connection, organization_id=job.organization_id)
