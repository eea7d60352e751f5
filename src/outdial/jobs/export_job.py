"""Exports calls, contacts or the do-not-call list as CSV: one snapshot, read with a cursor, stored in chunks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from outdial.clock import Clock
from outdial.db.queries import calls, contacts, do_not_call, exports, jobs
from outdial.db.session import Connection, Database
from outdial.jobs.csv_cells import CsvBuffer, PlainPhone
from outdial.jobs.import_job import DEAD_AFTER
from outdial.jobs.outcomes import MAX_RUNS, JobInterrupted, JobOvertaken, JobRunEnd
from outdial.log import log

KEPT_FOR: Final = timedelta(days=7)
CHUNK_CHARACTERS: Final = 256 * 1024
_PHONES: Final = frozenset({"phone", "from_number"})


class StoredExportFilters(msgspec.Struct, frozen=True, omit_defaults=True):
    """Filters of an export. Calls support all of them, contacts the campaign, the do-not-call list none.

    `time_zone` is the zone of the times in every file.
    """

    campaign_id: UUID | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    time_zone: str = "UTC"


ExportedRow = contacts.ExportedContact | calls.ExportedCall | do_not_call.BlockedNumber


@dataclass(frozen=True, slots=True)
class _ExportKind:
    row: type[ExportedRow]
    read: Callable[[Connection, UUID, StoredExportFilters], AsyncIterator[ExportedRow]]

    @property
    def columns(self) -> Sequence[str]:
        return [field.name for field in fields(self.row)]


KINDS: Final[Mapping[str, _ExportKind]] = {
    "contacts": _ExportKind(
        contacts.ExportedContact,
        lambda connection, organization_id, filters: contacts.export_contacts(
            connection, organization_id=organization_id, campaign_id=filters.campaign_id
        ),
    ),
    "calls": _ExportKind(
        calls.ExportedCall,
        lambda connection, organization_id, filters: calls.export_calls(
            connection,
            organization_id=organization_id,
            campaign_id=filters.campaign_id,
            outcome=filters.outcome,
            since=filters.since,
            until=filters.until,
        ),
    ),
    "do_not_call": _ExportKind(
        do_not_call.BlockedNumber,
        lambda connection, organization_id, _: do_not_call.export_blocked_phones(
            connection, organization_id=organization_id
        ),
    ),
}


class ExportJob:
    """Runs exports. `stopping` ends runs between two chunks."""

    def __init__(
        self, database: Database, clock: Clock, stopping: asyncio.Event, *, chunk_size: int = CHUNK_CHARACTERS
    ) -> None:
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._chunk_size = chunk_size

    async def run(self, export_id: UUID, organization_id: UUID) -> JobRunEnd:
        """Write the file. Do nothing when the export has ended or another run has it."""
        now = self._clock.now()
        async with self._database.for_organization(organization_id) as connection:
            taken = await exports.begin_export(connection, export_id=export_id, now=now, silent_since=now - DEAD_AFTER)
            if taken is None:
                # The export may have been cancelled after a run died that had written chunks.
                await _delete_if_cancelled(connection, export_id, organization_id)
                return JobRunEnd.DONE
            await exports.delete_export_chunks(connection, export_id=export_id)
            await jobs.notify_jobs(connection, organization_id=organization_id)
        return await _ExportRun(
            database=self._database,
            clock=self._clock,
            stopping=self._stopping,
            taken=taken,
            chunk_size=self._chunk_size,
        ).go()


class _ExportRun:
    def __init__(
        self, database: Database, clock: Clock, stopping: asyncio.Event, taken: exports.ExportRun, chunk_size: int
    ) -> None:
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._taken = taken
        self._chunk_size = chunk_size
        self._kind = KINDS[taken.kind]
        self._text = CsvBuffer(self._kind.columns)
        self._rows = 0
        self._size = 0
        self._chunks = 0

    async def go(self) -> JobRunEnd:
        """Run until the job ends or is interrupted."""
        try:
            await self._write()
        except JobOvertaken:
            async with self._database.for_organization(self._taken.organization_id) as connection:
                await _delete_if_cancelled(connection, self._taken.id, self._taken.organization_id)
        except JobInterrupted:
            await self._release()
            return JobRunEnd.INTERRUPTED
        except Exception as error:  # its message may quote a row: log the type only
            kind = type(error).__name__
            log("export.failed", level="error", export_id=str(self._taken.id), run=self._taken.runs, kind=kind)
            if self._taken.runs < MAX_RUNS:
                await self._release()
                return JobRunEnd.RETRY
            await self._finish("failed", error=f"The export failed ({kind}): export again")
        else:
            await self._finish("completed")
        return JobRunEnd.DONE

    async def _write(self) -> None:
        filters = msgspec.json.decode(self._taken.filters, type=StoredExportFilters)
        zone = ZoneInfo(filters.time_zone)
        async with self._database.for_organization(self._taken.organization_id) as reading:
            async for row in self._kind.read(reading, self._taken.organization_id, filters):
                self._text.add(
                    PlainPhone(value)
                    if name in _PHONES
                    else value.astimezone(zone)
                    if isinstance(value, datetime)
                    else value
                    for name, value in zip(self._kind.columns, astuple(row), strict=True)
                )
                self._rows += 1
                if self._text.length >= self._chunk_size:
                    await self._store()
        await self._store()

    async def _store(self) -> None:
        if self._stopping.is_set():
            raise JobInterrupted
        content = self._text.take()
        self._size += len(content)
        organization_id, export_id = self._taken.organization_id, self._taken.id
        async with self._database.for_organization(organization_id) as connection:
            row = await exports.record_export(
                connection,
                export_id=export_id,
                run=self._taken.runs,
                rows=self._rows,
                size=self._size,
                now=self._clock.now(),
            )
            if row is None:
                raise JobOvertaken
            await exports.store_export_chunk(
                connection,
                organization_id=organization_id,
                export_id=export_id,
                number=self._chunks,
                content=content,
            )
        self._chunks += 1

    async def _release(self) -> None:
        async with self._database.for_organization(self._taken.organization_id) as connection:
            await exports.release_export(
                connection, export_id=self._taken.id, run=self._taken.runs, now=self._clock.now()
            )

    async def _finish(self, status: str, *, error: str | None = None) -> None:
        now = self._clock.now()
        async with self._database.for_organization(self._taken.organization_id) as connection:
            finished = await exports.finish_export(
                connection,
                export_id=self._taken.id,
                run=self._taken.runs,
                status=status,
                rows=self._rows,
                size=self._size,
                error=error,
                now=now,
                expires_at=now + KEPT_FOR if status == "completed" else None,
            )
            if finished is None:
                # Another run took over, and the chunks are its own, or the export was cancelled.
                await _delete_if_cancelled(connection, self._taken.id, self._taken.organization_id)
                return
            if status != "completed":
                await exports.delete_export_chunks(connection, export_id=self._taken.id)
            await jobs.notify_jobs(connection, organization_id=self._taken.organization_id)


async def _delete_if_cancelled(connection: Connection, export_id: UUID, organization_id: UUID) -> None:
    """Delete the chunks of the export if it was cancelled."""
    export = await exports.show_export(connection, export_id=export_id, organization_id=organization_id)
    if export is not None and export.status == "cancelled":
        await exports.delete_export_chunks(connection, export_id=export_id)
