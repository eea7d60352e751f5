"""Runs jobs from the queue. Any number of workers may run at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, assert_never
from uuid import UUID

import asyncpg
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import PgqException, RetryRequested
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import QueueExecutionMode

from outdial.background import RepeatingTask
from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.campaigns.results import report
from outdial.clock import Clock
from outdial.db.connect import connect_as
from outdial.db.errors import DatabaseError, QueueMissing
from outdial.db.queries import jobs
from outdial.db.queue import CHANNEL, queue_of
from outdial.db.session import Database
from outdial.dialer.forecasting.record import EVERY as FORECASTS_EVERY
from outdial.dialer.forecasting.record import ForecastRecorder
from outdial.jobs import data_retention, erasing, retention, screening_retention, sweep
from outdial.jobs.bulk_job import BulkJob
from outdial.jobs.export_job import ExportJob
from outdial.jobs.import_job import ImportJob
from outdial.jobs.outcomes import JobRunEnd
from outdial.log import log
from outdial.process import wait_for_event

MAX_CONCURRENT_JOBS: Final = 4
POOL_SIZE: Final = 3 * MAX_CONCURRENT_JOBS
# A worker without a heartbeat for this long counts as dead, and its jobs go to another one.
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=30)
_POLL_INTERVAL: Final = timedelta(seconds=5)
_RETRY_DELAY: Final = timedelta(seconds=5)
_RECONNECT_DELAY_S: Final = 1.0


class JobWorker:
    """Runs imports, exports and bulk jobs, queues lost jobs again, and does the repeating tasks.

    `database` logs in as outdial_jobs, or as the owner, whose connections assume `role`.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        role: str | None = None,
        erasure_keys: ErasureKeys | None = None,
        forecasts: ForecastRecorder | None = None,
        chunk_rows: int = 2_000,
    ) -> None:
        self._database = database
        self._role = role
        self._stopping = asyncio.Event()
        self._imports = ImportJob(database, clock, self._stopping, erasure_keys=erasure_keys, chunk_rows=chunk_rows)
        self._exports = ExportJob(database, clock, self._stopping)
        self._bulk_jobs = BulkJob(database, clock, self._stopping)
        self.sweeper = sweep.LostJobSweeper(database, clock)
        self.retention = retention.JobRetention(database, clock)
        self.data_retention = data_retention.DataRetention(database, clock)
        self.erasures = erasing.ErasureSweeper(database, clock)
        self.screening = screening_retention.ScreeningRetention(database, clock)
        self.reports = report.ReportWriter(database, clock)
        self._tasks = (
            RepeatingTask("sweep", self.sweeper, sweep.EVERY),
            RepeatingTask("retention", self.retention, retention.EVERY),
            RepeatingTask("data_retention", self.data_retention, data_retention.EVERY),
            RepeatingTask("erasures", self.erasures, erasing.EVERY),
            RepeatingTask("screening", self.screening, screening_retention.EVERY),
            RepeatingTask("reports", self.reports, report.EVERY),
            *([] if forecasts is None else [RepeatingTask("forecasts", forecasts, FORECASTS_EVERY)]),
        )
        self._manager: QueueManager | None = None
        self._task: asyncio.Task[None] | None = None

    async def run_once(self) -> None:
        """Run the jobs that are queued now; return when none is left."""
        async with self._queue_manager() as manager:
            await manager.run(
                mode=QueueExecutionMode.drain, dequeue_timeout=timedelta(0), batch_size=MAX_CONCURRENT_JOBS
            )

    async def start(self) -> None:
        """Run jobs in the background; raises QueueMissing when the database has no queue."""
        async with self._queue_manager() as manager:
            try:
                await manager.verify_structure()
            except RuntimeError:
                raise QueueMissing from None
        self._task = asyncio.create_task(self._run(), name="jobs")
        for task in self._tasks:
            task.start()

    async def stop(self) -> None:
        """Take no further job. Running jobs stop after their current chunk, and another worker continues them."""
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()
        await asyncio.gather(*(task.stop() for task in self._tasks))
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                async with self._queue_manager() as self._manager:
                    if not self._stopping.is_set():
                        await self._manager.run(
                            dequeue_timeout=_POLL_INTERVAL,
                            batch_size=1,
                            max_concurrent_tasks=MAX_CONCURRENT_JOBS,
                            heartbeat_timeout=HEARTBEAT_TIMEOUT,
                            shutdown_on_listener_failure=True,
                        )
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DatabaseError, PgqException) as error:
                log("jobs.lost_queue", level="warning", reason=type(error).__name__)
                await wait_for_event(self._stopping, _RECONNECT_DELAY_S)

    @asynccontextmanager
    async def _queue_manager(self) -> AsyncIterator[QueueManager]:
        connection = await connect_as(self._database.dsn, self._role, application_name="outdial:jobs-queue")
        try:
            manager = QueueManager(queue_of(connection), channel=CHANNEL)

            @manager.entrypoint("import")
            async def run_import(job: Job) -> None:
                await self._run_job(job, "import", self._imports)

            @manager.entrypoint("export")
            async def run_export(job: Job) -> None:
                await self._run_job(job, "export", self._exports)

            @manager.entrypoint("bulk")
            async def run_bulk(job: Job) -> None:
                await self._run_job(job, "bulk", self._bulk_jobs)

            yield manager
        finally:
            connection.terminate()

    async def _run_job(self, job: Job, kind: str, runner: ImportJob | ExportJob | BulkJob) -> None:
        job_id = UUID((job.payload or b"").decode())
        try:
            async with self._database.transaction() as connection:
                owner = await jobs.job_organization(connection, kind=kind, job_id=job_id)
            end = JobRunEnd.DONE if owner is None else await runner.run(job_id, owner)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # The database is unavailable. The entry stays in the queue, or the sweeper adds another one.
            log("job.failed", level="error", kind=kind, job_id=str(job_id), reason=type(error).__name__)
            end = JobRunEnd.RETRY
        match end:
            case JobRunEnd.DONE:
                return
            case JobRunEnd.INTERRUPTED:
                raise RetryRequested(delay=timedelta(0), reason="the worker is stopping")
            case JobRunEnd.RETRY:
                raise RetryRequested(delay=_RETRY_DELAY, reason="an error occurred")
            case _:
                assert_never(end)
