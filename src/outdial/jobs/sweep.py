"""Finds lost jobs, which no run and no queue entry has, and queues them again."""

from datetime import timedelta
from typing import Final, cast

from outdial.clock import Clock
from outdial.db.queries import jobs
from outdial.db.queue import JobKind, enqueue
from outdial.db.session import Database
from outdial.jobs.import_job import DEAD_AFTER
from outdial.log import log

LOST_AFTER: Final = DEAD_AFTER + timedelta(seconds=30)
EVERY: Final = timedelta(seconds=60)
_BATCH_SIZE: Final = 100


class LostJobSweeper:
    """A background task. A job that is already in the queue is not queued twice."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Queue every job that looks lost; return how many."""
        before = self._clock.now() - LOST_AFTER
        async with self._database.transaction() as connection:
            lost = await jobs.lost_jobs(connection, before=before, limit=_BATCH_SIZE)
            for job in lost:
                log("job.found", level="warning", kind=job.kind, job_id=str(job.id))
                await enqueue(connection, cast("JobKind", job.kind), job.id)
        return len(lost)
