"""Finds jobs that nobody is doing, and puts them into the queue again."""

from datetime import timedelta
from typing import Final, cast

from outdial.clock import Clock
from outdial.db import jobs as db
from outdial.db.queue import JobKind, enqueue
from outdial.db.session import Database
from outdial.jobs.import_job import SILENT_FOR
from outdial.log import log

LOST_AFTER: Final = SILENT_FOR + timedelta(seconds=30)
EVERY: Final = timedelta(seconds=60)
_AT_ONCE: Final = 100


class Sweeper:
    """A background duty. A job that only waits long is in the queue already, and is not put there twice."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def run_once(self) -> int:
        """Put every lost job into the queue; return how many looked lost."""
        before = self._clock.now() - LOST_AFTER
        async with self._database.transaction() as connection:
            lost = await db.LOST_JOBS.all(connection, before=before, limit=_AT_ONCE)
            for job in lost:
                log("job.found", level="warning", kind=job.kind, job_id=str(job.id))
                await enqueue(connection, cast("JobKind", job.kind), job.id)
        return len(lost)
