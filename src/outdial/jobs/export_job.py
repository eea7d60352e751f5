"""Exports calls, contacts, results or the do-not-call list: one snapshot, read with a cursor, stored in chunks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from outdial.campaigns.errors import TooManyColumns
from outdial.campaigns.results.columns import RESULT_PHONES
from outdial.campaigns.results.read import ResultReader
from outdial.campaigns.selection import ContactSelection
from outdial.clock import Clock
from outdial.db.queries import contacts, do_not_call, exports, jobs
from outdial.db.rows import required
from outdial.db.session import Connection, Database
from outdial.jobs.import_job import DEAD_AFTER
from outdial.jobs.outcomes import MAX_RUNS, JobInterrupted, JobOvertaken, JobRunEnd, capitalized
from outdial.jobs.tables import FileFormat, file_cells, open_table
from outdial.log import log

KEPT_FOR: Final = timedelta(days=7)
CHUNK_CHARACTERS: Final = 256 * 1024
PHONE_LISTS_FROM: Final = 1_000_000_000
"""Number of the first chunk of an XLSX file's list of phones.

The file is compressed, so erasures, which search the chunks for a phone, would not find it there. No download reaches
these chunks.
"""

_HEARTBEAT_S: Final = DEAD_AFTER.total_seconds() / 4


class StoredExportFilters(ContactSelection, frozen=True, kw_only=True, omit_defaults=True):
    """Filters of an export. Each kind supports some of them.

    `time_zone` is the zone of the times in every file. `outcome` is that of a call, or in results the last one.
    """

    campaign_id: UUID | None = None
    is_reviewed: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    time_zone: str = "UTC"


ExportedRow = contacts.ExportedContact | exports.ExportedCall | do_not_call.BlockedNumber


@dataclass(frozen=True, slots=True)
class RowExport:
    """An export whose columns are those of a query."""

    row: type[ExportedRow]
    read: Callable[[Connection, UUID, StoredExportFilters], AsyncIterator[ExportedRow]]


def _read_contacts(
    connection: Connection, organization_id: UUID, filters: StoredExportFilters
) -> AsyncIterator[contacts.ExportedContact]:
    chosen = filters.parameters()
    return contacts.export_contacts(
        connection,
        organization_id=organization_id,
        campaign_id=filters.campaign_id,
        status=filters.status,
        last_outcome=filters.outcome,
        contact_ids=chosen["contact_ids"],
        first_phone=chosen["first_phone"],
        last_phone=chosen["last_phone"],
        name=chosen["name"],
        last_text=chosen["last_text"],
        external_id=chosen["external_id"],
        words=chosen["words"],
        digits=chosen["digits"],
    )


def _read_calls(
    connection: Connection, organization_id: UUID, filters: StoredExportFilters
) -> AsyncIterator[exports.ExportedCall]:
    chosen = filters.parameters()
    return exports.export_calls(
        connection,
        organization_id=organization_id,
        campaign_id=filters.campaign_id,
        status=filters.status,
        outcome=filters.outcome,
        is_reviewed=filters.is_reviewed,
        since=filters.since,
        until=filters.until,
        first_phone=chosen["first_phone"],
        last_phone=chosen["last_phone"],
        contact_ids=None,
        call_ids=chosen["contact_ids"],
        words=chosen["words"],
        digits=chosen["digits"],
    )


KINDS: Final[Mapping[str, RowExport]] = {
    "contacts": RowExport(
        contacts.ExportedContact,
        _read_contacts,
    ),
    "calls": RowExport(
        exports.ExportedCall,
        _read_calls,
    ),
    "do_not_call": RowExport(
        do_not_call.BlockedNumber,
        lambda connection, organization_id, _: do_not_call.export_blocked_phones(
            connection, organization_id=organization_id
        ),
    ),
}
RESULTS: Final = "results"

_PHONES: Final = frozenset({"phone", "from_number"})


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
        self._rows = 0
        self._size = 0
        self._chunks = 0
        self._phone_lists = 0

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
        except TooManyColumns as error:
            await self._finish("failed", error=capitalized(str(error)))
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
        taken = self._taken
        filters = msgspec.json.decode(taken.filters, type=StoredExportFilters)
        zone = ZoneInfo(filters.time_zone)
        with ExitStack() as files:
            async with self._database.for_organization(taken.organization_id) as reading:
                header, phones, rows = await _open(reading, taken, filters)
                prepare = file_cells(phones, zone)
                table = files.enter_context(open_table(cast("FileFormat", taken.format), header))
                async for cells in rows:
                    table.add(prepare(cells))
                    self._rows += 1
                    if table.length >= self._chunk_size:
                        await self._store(table.take(), is_file=table.is_text)
            # After the transaction: finishing a large workbook takes longer than a transaction may be idle.
            if not table.is_text:
                await self._store(table.take(), is_file=False)
            await self._keep_alive(asyncio.to_thread(table.finish))
            for piece in table.pieces():
                await self._store(piece, is_file=True)

    async def _keep_alive(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for the end of a long step, and show meanwhile that this run is alive."""
        working = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait([working], timeout=_HEARTBEAT_S))[0]:
                await self._store(b"", is_file=False)
            working.result()
        finally:
            # A thread cannot be cancelled, and its files may not be deleted under it.
            await asyncio.wait([working])

    async def _store(self, content: bytes, *, is_file: bool) -> None:
        """Store the progress with the next part of the file, or of its list of phones; empty for the progress only."""
        if self._stopping.is_set():
            raise JobInterrupted
        organization_id, export_id = self._taken.organization_id, self._taken.id
        self._size += len(content) if is_file else 0
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
            if not content:
                return
            number = self._chunks if is_file else PHONE_LISTS_FROM + self._phone_lists
            await exports.store_export_chunk(
                connection, organization_id=organization_id, export_id=export_id, number=number, content=content
            )
        if is_file:
            self._chunks += 1
        else:
            self._phone_lists += 1

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


async def _open(
    connection: Connection, taken: exports.ExportRun, filters: StoredExportFilters
) -> tuple[Sequence[str], Collection[int], AsyncIterator[list[Any]]]:
    """Return the header of an export, the positions of its phones, and its rows."""
    if taken.kind != RESULTS:
        kind = KINDS[taken.kind]
        found = kind.read(connection, taken.organization_id, filters)
        header = [field.name for field in fields(kind.row)]
        phones = [index for index, name in enumerate(header) if name in _PHONES]
        return header, phones, (list(astuple(row)) async for row in found)
    results = ResultReader(
        connection,
        organization_id=taken.organization_id,
        campaign_id=required(filters.campaign_id),
        selection=filters,
        include=taken.include,
    )
    return (await results.open()).header, RESULT_PHONES, aiter(results)


async def _delete_if_cancelled(connection: Connection, export_id: UUID, organization_id: UUID) -> None:
    """Delete the chunks of the export if it was cancelled."""
    export = await exports.show_export(connection, export_id=export_id, organization_id=organization_id)
    if export is not None and export.status == "cancelled":
        await exports.delete_export_chunks(connection, export_id=export_id)
