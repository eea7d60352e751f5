"""Imports an uploaded file. A run may be interrupted at any moment; another one follows.

Each run starts at the first row. The file is the same and a contact is added once, so that costs only time. Each run
counts rows and refusals from zero. Added contacts are counted across runs, because the next run finds them already
present: the transaction that adds a chunk also raises the count.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.campaigns.errors import CampaignsError
from outdial.campaigns.importing.import_file import ImportProgress, import_contacts
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.campaigns.importing.uploads import complete_upload
from outdial.campaigns.lifecycle import Actor
from outdial.clock import Clock
from outdial.db.queries import batches, import_refusals, imports, jobs
from outdial.db.queries.importing import uploads
from outdial.db.session import Connection, Database, encode_json
from outdial.jobs.outcomes import MAX_RUNS, JobInterrupted, JobOvertaken, JobRunEnd, capitalized
from outdial.jobs.stored_file import StoredFile
from outdial.log import log

MAX_STORED_REFUSALS: Final = 10_000
DEAD_AFTER: Final = timedelta(seconds=60)
"""A run that has written nothing for this long counts as dead."""
NOTIFY_EVERY: Final = timedelta(seconds=1)
_MAX_VALUE_LENGTH: Final = 300


class ImportJob:
    """Runs imports with the rights of an operator of their organization. `stopping` ends runs between two chunks."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        stopping: asyncio.Event,
        *,
        erasure_keys: ErasureKeys | None = None,
        chunk_rows: int = 2_000,
    ) -> None:
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._erasure_keys = erasure_keys
        self._chunk_rows = chunk_rows

    async def run(self, import_id: UUID, organization_id: UUID) -> JobRunEnd:
        """Import the file from its first row, or complete its upload when the process that received it has died.

        Do nothing when the import has ended or another run has it.
        """
        now = self._clock.now()
        async with self._database.for_organization(organization_id) as connection:
            silent_since = now - DEAD_AFTER
            taken = await imports.begin_import(connection, import_id=import_id, now=now, silent_since=silent_since)
            if taken is not None:
                await import_refusals.delete_refusals(connection, import_id=import_id)
                await jobs.notify_jobs(connection, organization_id=organization_id)
            elif await imports.end_cancelled_import(
                connection, import_id=import_id, now=now, silent_since=silent_since
            ):
                await imports.delete_import_chunks(connection, import_id=import_id)
                await jobs.notify_jobs(connection, organization_id=organization_id)
            received = await uploads.received_upload(connection, import_id=import_id)
        if received is not None:
            await complete_upload(
                lambda: self._database.for_organization(organization_id),
                organization_id=organization_id,
                import_id=import_id,
                size=received,
                clock=self._clock,
            )
            async with self._database.for_organization(organization_id) as connection:
                await jobs.notify_jobs(connection, organization_id=organization_id)
        if taken is None:
            return JobRunEnd.DONE
        return await _ImportRun(
            database=self._database,
            clock=self._clock,
            stopping=self._stopping,
            taken=taken,
            erasure_keys=self._erasure_keys,
            chunk_rows=self._chunk_rows,
        ).go()


class _ImportRun:
    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        stopping: asyncio.Event,
        taken: imports.ImportRun,
        erasure_keys: ErasureKeys | None,
        chunk_rows: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._taken = taken
        self._erasure_keys = erasure_keys
        self._chunk_rows = chunk_rows
        self._progress = ImportProgress(0, 0, 0, 0)
        self._refused: Counter[Refusal] = Counter()
        self._refusals: list[RefusedRow] = []
        self._header: list[str] = []
        self._stored = 0
        self._notified_at = clock.now()

    async def go(self) -> JobRunEnd:
        """Run until the job ends or is interrupted."""
        taken = self._taken
        try:
            report = await import_contacts(
                StoredFile(self._chunk, asyncio.get_running_loop()),  # type: ignore[arg-type]  # it is only read
                taken.campaign_id,
                self._transaction,
                clock=self._clock,
                default_region=taken.default_region,
                actor=Actor(taken.created_by),
                mapping=msgspec.json.decode(taken.mapping, type=dict[str, str]),
                zone_names=msgspec.json.decode(taken.zone_names, type=dict[str, str]),
                has_header=taken.has_header,
                erasure_keys=self._erasure_keys,
                import_id=taken.id,
                on_header=self._on_header,
                on_progress=self._on_progress,
                on_refused=self._on_refused,
                on_added=self._on_added,
                chunk_rows=self._chunk_rows,
            )
        except CampaignsError as error:
            await self._finish("failed", error=capitalized(str(error)))
        except JobOvertaken:
            await self._finish("cancelled")
        except JobInterrupted:
            await self._release()
            return JobRunEnd.INTERRUPTED
        except Exception as error:  # its message may quote a row of the file: log the type only
            kind = type(error).__name__
            log("import.failed", level="error", import_id=str(taken.id), run=taken.runs, kind=kind)
            if taken.runs < MAX_RUNS:
                await self._release()
                return JobRunEnd.RETRY
            await self._finish("failed", error=f"The import failed ({kind}): import the file again")
        else:
            await self._finish("completed", notices=tuple(report.notices))
        return JobRunEnd.DONE

    def _transaction(self) -> AbstractAsyncContextManager[Connection]:
        return self._database.for_organization(self._taken.organization_id)

    async def _chunk(self, number: int) -> bytes | None:
        async with self._transaction() as connection:
            return await imports.import_chunk(connection, import_id=self._taken.id, number=number)

    def _on_header(self, header: Sequence[str]) -> None:
        self._header = [_storable(name) for name in header]

    def _on_progress(self, progress: ImportProgress) -> None:
        self._progress = progress

    def _on_refused(self, row: RefusedRow) -> None:
        self._refused[row.kind] += 1
        if self._stored + len(self._refusals) < MAX_STORED_REFUSALS:
            self._refusals.append(row)

    async def _on_added(self, connection: Connection, added: int) -> None:
        if self._stopping.is_set():
            raise JobInterrupted
        now, progress = self._clock.now(), self._progress
        row = await imports.record_import(
            connection,
            import_id=self._taken.id,
            run=self._taken.runs,
            added=added,
            rows=progress.rows,
            refused=progress.refused,
            bytes_read=progress.bytes_read,
            now=now,
        )
        if row is None:
            raise JobOvertaken
        await self._store_refusals(connection)
        if now - self._notified_at >= NOTIFY_EVERY:
            self._notified_at = now
            await self._notify(connection)

    async def _store_refusals(self, connection: Connection) -> None:
        rows, self._refusals = self._refusals, []
        if not rows:
            return
        self._stored += len(rows)
        await import_refusals.insert_refusals(
            connection,
            organization_id=self._taken.organization_id,
            import_id=self._taken.id,
            lines=[row.line for row in rows],
            values=[_storable(row.value)[:_MAX_VALUE_LENGTH] for row in rows],
            kinds=[row.kind.value for row in rows],
            reasons=[_storable(row.reason) for row in rows],
            cells=[encode_json([_storable(cell) for cell in row.cells]) for row in rows],
        )

    async def _notify(self, connection: Connection) -> None:
        await batches.notify_campaigns(connection, ids=[self._taken.campaign_id])
        await jobs.notify_jobs(connection, organization_id=self._taken.organization_id)

    async def _release(self) -> None:
        async with self._transaction() as connection:
            await imports.release_import(
                connection, import_id=self._taken.id, run=self._taken.runs, now=self._clock.now()
            )

    async def _finish(self, status: str, *, error: str | None = None, notices: tuple[str, ...] = ()) -> None:
        async with self._transaction() as connection:
            finished = await imports.finish_import(
                connection,
                import_id=self._taken.id,
                run=self._taken.runs,
                status=status,
                rows=self._progress.rows,
                refused=self._progress.refused,
                bytes_read=self._progress.bytes_read,
                refused_by_kind=encode_json({kind.value: count for kind, count in self._refused.items()}),
                notices=encode_json(notices),
                header=encode_json(self._header),
                error=error,
                now=self._clock.now(),
            )
            if finished is None:
                return
            await self._store_refusals(connection)
            await imports.delete_import_chunks(connection, import_id=self._taken.id)
            await self._notify(connection)


def _storable(text: str) -> str:
    # Postgres cannot store NUL.
    return text.replace("\0", "\ufffd")
