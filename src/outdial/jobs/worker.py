"""Takes jobs from the queue and does them: any number of workers may run side by side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import PgqException, RetryRequested
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import QueueExecutionMode

from outdial.background import RepeatingTask
from outdial.clock import Clock
from outdial.db import jobs as db
from outdial.db.errors import QueueMissing
from outdial.db.queue import CHANNEL, queue_of
from outdial.db.session import Database
from outdial.jobs import retention, sweep
from outdial.jobs.export_job import ExportJob
from outdial.jobs.import_job import ImportJob
from outdial.jobs.outcomes import RunEnd
from outdial.log import log

AT_ONCE: Final = 4
POOL: Final = 3 * AT_ONCE
# A worker whose heartbeat has not come for so long is taken for dead, and its jobs go to another one.
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=30)
_LOOK_EVERY: Final = timedelta(seconds=5)
_AFTER_TROUBLE: Final = timedelta(seconds=5)
_AFTER_FAILURE_S: Final = 1.0


class Worker:
    """Does imports and exports, and beside them looks for lost jobs and clears away what is old.

    `database` logs in as outdial_jobs; `role` is what its connections assume where the login is the owner's.
    """

    def __init__(self, database: Database, clock: Clock, *, role: str | None = None, chunk_rows: int = 2_000) -> None:
        self._database, self._role = database, role
        self._stopping = asyncio.Event()
        self._imports = ImportJob(database, clock, self._stopping, chunk_rows=chunk_rows)
        self._exports = ExportJob(database, clock, self._stopping)
        self.sweeper = sweep.Sweeper(database, clock)
        self.retention = retention.Retention(database, clock)
        self._duties = (
            RepeatingTask("sweep", self.sweeper, sweep.EVERY),
            RepeatingTask("retention", self.retention, retention.EVERY),
        )
        self._manager: QueueManager | None = None
        self._task: asyncio.Task[None] | None = None

    async def run_once(self) -> None:
        """Do the jobs that wait now, and return when none is left."""
        async with self._managing() as manager:
            await manager.run(mode=QueueExecutionMode.drain, dequeue_timeout=timedelta(0), batch_size=AT_ONCE)

    async def start(self) -> None:
        """Do jobs from now on; raises QueueMissing when the database has no queue to take them from."""
        async with self._managing() as manager:
            try:
                await manager.verify_structure()
            except RuntimeError:
                raise QueueMissing from None
        self._task = asyncio.create_task(self._run(), name="jobs")
        for duty in self._duties:
            duty.start()

    async def stop(self) -> None:
        """Take no further job; those under way end with their chunk of rows, and another worker goes on with them."""
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()
        await asyncio.gather(*(duty.stop() for duty in self._duties))
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                async with self._managing() as self._manager:
                    if not self._stopping.is_set():
                        await self._serve(self._manager)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, PgqException) as error:
                log("jobs.lost_queue", level="warning", reason=type(error).__name__)
                await self._pause()

    async def _serve(self, manager: QueueManager) -> None:
        await manager.run(
            dequeue_timeout=_LOOK_EVERY,
            batch_size=1,
            max_concurrent_tasks=AT_ONCE,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            shutdown_on_listener_failure=True,
        )

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_AFTER_FAILURE_S):
                await self._stopping.wait()
        except TimeoutError:
            pass

    @asynccontextmanager
    async def _managing(self) -> AsyncIterator[QueueManager]:
        settings = {"application_name": "outdial:jobs-queue"} | ({"role": self._role} if self._role else {})
        connection = await asyncpg.connect(self._database.dsn, server_settings=settings)
        try:
            manager = QueueManager(queue_of(connection), channel=CHANNEL)
            manager.entrypoint("import")(self._do_import)
            manager.entrypoint("export")(self._do_export)
            yield manager
        finally:
            connection.terminate()

    async def _do_import(self, job: Job) -> None:
        await self._do(job, "import", self._imports)

    async def _do_export(self, job: Job) -> None:
        await self._do(job, "export", self._exports)

    async def _do(self, job: Job, kind: str, duty: ImportJob | ExportJob) -> None:
        job_id = UUID((job.payload or b"").decode())
        try:
            async with self._database.transaction() as connection:
                owner = await db.JOB_ORGANIZATION.one(connection, kind=kind, job_id=job_id)
            end = RunEnd.DONE if owner.id is None else await duty.run(job_id, owner.id)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # The database is away: the entry stays, or the sweep makes another one.
            log("job.failed", level="error", kind=kind, job_id=str(job_id), reason=type(error).__name__)
            end = RunEnd.TROUBLE
        match end:
            case RunEnd.INTERRUPTED:
                raise RetryRequested(delay=timedelta(0), reason="the worker stops")
            case RunEnd.TROUBLE:
                raise RetryRequested(delay=_AFTER_TROUBLE, reason="something broke")
