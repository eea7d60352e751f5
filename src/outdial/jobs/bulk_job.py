"""Acts on all contacts that a bulk job has selected. A run may be interrupted at any moment; another one follows.

Each portion is one transaction that changes its contacts, counts them and removes the portion. So the next run begins
with the first portion that is left, and nothing is done twice.
"""

import asyncio
from typing import Final
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import jobs
from outdial.db.queries.dialing import bulk_work
from outdial.db.session import Database
from outdial.domain.jobs import BulkJobStatus
from outdial.jobs.bulk_portion import work_on_portion
from outdial.jobs.import_job import DEAD_AFTER
from outdial.jobs.outcomes import MAX_RUNS, JobOvertaken, JobRunEnd
from outdial.log import log

MAX_FAILURES: Final = MAX_RUNS
"""So many errors at the same portion fail the job."""


class BulkJob:
    """Runs bulk jobs with the rights of an operator of their organization; `stopping` ends runs between portions."""

    def __init__(self, database: Database, clock: Clock, stopping: asyncio.Event) -> None:
        self._database = database
        self._clock = clock
        self._stopping = stopping

    async def run(self, bulk_job_id: UUID, organization_id: UUID) -> JobRunEnd:
        """Work on the portions that are left. Do nothing when the job has ended or another run has it."""
        now = self._clock.now()
        async with self._database.for_organization(organization_id) as connection:
            taken = await bulk_work.begin_bulk_job(
                connection, bulk_job_id=bulk_job_id, now=now, silent_since=now - DEAD_AFTER
            )
            if taken is None:
                await bulk_work.delete_portions(connection, bulk_job_id=bulk_job_id)
                return JobRunEnd.DONE
        failures = taken.failures
        try:
            while await self._work(taken):
                failures = 0
                if self._stopping.is_set():
                    await self._release(taken, failures=0)
                    return JobRunEnd.INTERRUPTED
        except JobOvertaken:
            async with self._database.for_organization(organization_id) as connection:
                await bulk_work.delete_portions(connection, bulk_job_id=bulk_job_id)
        except Exception as error:  # its message may quote a row: log the type only
            kind = type(error).__name__
            log("bulk_job.failed", level="error", bulk_job_id=str(taken.id), run=taken.runs, kind=kind)
            if failures + 1 < MAX_FAILURES:
                await self._release(taken, failures=1)
                return JobRunEnd.RETRY
            await self._finish(taken, BulkJobStatus.FAILED, f"The job failed ({kind}): request it again")
        else:
            await self._finish(taken, BulkJobStatus.COMPLETED)
        return JobRunEnd.DONE

    async def _work(self, run: bulk_work.BulkJobRun) -> bool:
        """Work on the next portion; return False when none was left."""
        now = self._clock.now()
        async with self._database.for_organization(run.organization_id) as connection:
            portion = await work_on_portion(connection, run, now)
            if portion is None:
                return False
            held = await bulk_work.record_portion(
                connection,
                bulk_job_id=run.id,
                run=run.runs,
                done=portion.done,
                left_out=portion.left_out,
                now=now,
            )
            if held is None:
                # The portion is rolled back: it belongs to the next run, or the job was cancelled.
                raise JobOvertaken
            await jobs.notify_jobs(connection, organization_id=run.organization_id)
        return True

    async def _release(self, run: bulk_work.BulkJobRun, *, failures: int) -> None:
        async with self._database.for_organization(run.organization_id) as connection:
            await bulk_work.release_bulk_job(
                connection, bulk_job_id=run.id, run=run.runs, failures=failures, now=self._clock.now()
            )

    async def _finish(self, run: bulk_work.BulkJobRun, status: BulkJobStatus, error: str | None = None) -> None:
        async with self._database.for_organization(run.organization_id) as connection:
            finished = await bulk_work.finish_bulk_job(
                connection, bulk_job_id=run.id, run=run.runs, status=status, error=error, now=self._clock.now()
            )
            await bulk_work.delete_portions(connection, bulk_job_id=run.id)
            if finished is not None:
                await jobs.notify_jobs(connection, organization_id=run.organization_id)
