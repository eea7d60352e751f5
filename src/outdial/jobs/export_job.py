"""Writes calls, contacts or the do-not-call list as CSV: one snapshot, read with a cursor, kept in pieces."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from outdial.clock import Clock
from outdial.db import jobs as db
from outdial.db.session import Database
from outdial.db.statements import Connection, Statement
from outdial.jobs.csv_cells import Cell, CsvText, PlainPhone
from outdial.jobs.import_job import SILENT_FOR
from outdial.jobs.outcomes import MOST_RUNS, Interrupted, Overtaken, RunEnd
from outdial.log import log

KEPT_FOR: Final = timedelta(days=7)
PIECE: Final = 256 * 1024
_PHONES: Final = frozenset({"phone", "from_number"})


class Filters(msgspec.Struct, frozen=True, omit_defaults=True):
    """What narrows an export; calls know all of them, contacts the campaign, the do-not-call list none."""

    campaign_id: UUID | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    statement: Statement[Any]
    row: type
    narrowed: Callable[[Filters], Mapping[str, object]]

    @property
    def columns(self) -> Sequence[str]:
        return [field.name for field in fields(self.row)]


KINDS: Final[Mapping[str, _Kind]] = {
    "contacts": _Kind(db.EXPORT_CONTACTS, db.ExportedContact, lambda filters: {"campaign_id": filters.campaign_id}),
    "calls": _Kind(
        db.EXPORT_CALLS,
        db.ExportedCall,
        lambda filters: {
            "campaign_id": filters.campaign_id,
            "outcome": filters.outcome,
            "since": filters.since,
            "until": filters.until,
        },
    ),
    "do_not_call": _Kind(db.EXPORT_DO_NOT_CALL, db.ExportedNumber, lambda _: {}),
}


class ExportJob:
    """Runs exports; `stopping` ends runs between two pieces of the file."""

    def __init__(self, database: Database, clock: Clock, stopping: asyncio.Event, *, piece: int = PIECE) -> None:
        self._database, self._clock, self._stopping, self._piece = database, clock, stopping, piece

    async def run(self, export_id: UUID, organization_id: UUID) -> RunEnd:
        """Write the file; does nothing for an export that is over or that another run has."""
        now = self._clock.now()
        async with self._database.for_organization(organization_id) as connection:
            taken = await db.BEGIN_EXPORT.maybe(connection, export_id=export_id, now=now, silent_since=now - SILENT_FOR)
            if taken is None:
                # It may have been cancelled after the run that wrote some of it had died.
                await _forget_cancelled(connection, export_id, organization_id)
                return RunEnd.DONE
            await db.DELETE_EXPORT_CHUNKS.run(connection, export_id=export_id)
            await db.NOTIFY_JOBS.run(connection, organization_id=organization_id)
        return await _Run(self._database, self._clock, self._stopping, taken, self._piece).go()


class _Run:
    def __init__(
        self, database: Database, clock: Clock, stopping: asyncio.Event, taken: db.ExportRun, piece: int
    ) -> None:
        self._database, self._clock, self._stopping = database, clock, stopping
        self._taken, self._piece = taken, piece
        self._kind = KINDS[taken.kind]
        self._text = CsvText(self._kind.columns)
        self._rows = self._size = self._pieces = 0

    async def go(self) -> RunEnd:
        """Run to an end, and say which."""
        try:
            await self._write()
        except Overtaken:
            async with self._database.for_organization(self._taken.organization_id) as connection:
                await _forget_cancelled(connection, self._taken.id, self._taken.organization_id)
        except Interrupted:
            await self._release()
            return RunEnd.INTERRUPTED
        except Exception as error:  # what it says may hold a row: only its kind is told
            kind = type(error).__name__
            log("export.failed", level="error", export_id=str(self._taken.id), run=self._taken.runs, kind=kind)
            if self._taken.runs < MOST_RUNS:
                await self._release()
                return RunEnd.TROUBLE
            await self._finish("failed", error=f"Something broke while the file was written ({kind}): export it again")
        else:
            await self._finish("completed")
        return RunEnd.DONE

    async def _write(self) -> None:
        async with self._database.for_organization(self._taken.organization_id) as reading:
            async for row in self._read(reading):
                self._text.add(self._cells(row))
                self._rows += 1
                if self._text.length >= self._piece:
                    await self._store()
        await self._store()

    def _read(self, connection: Connection) -> AsyncIterator[Any]:
        filters = msgspec.json.decode(self._taken.filters, type=Filters)
        return self._kind.statement.stream(
            connection, organization_id=self._taken.organization_id, **self._kind.narrowed(filters)
        )

    def _cells(self, row: Any) -> list[Cell]:
        return [
            PlainPhone(value) if name in _PHONES else value
            for name, value in zip(self._kind.columns, astuple(row), strict=True)
        ]

    async def _store(self) -> None:
        if self._stopping.is_set():
            raise Interrupted
        content = self._text.take()
        self._size += len(content)
        organization_id, export_id = self._taken.organization_id, self._taken.id
        async with self._database.for_organization(organization_id) as connection:
            row = await db.RECORD_EXPORT.maybe(
                connection,
                export_id=export_id,
                run=self._taken.runs,
                rows=self._rows,
                size=self._size,
                now=self._clock.now(),
            )
            if row is None:
                raise Overtaken
            await db.STORE_EXPORT_CHUNK.run(
                connection,
                organization_id=organization_id,
                export_id=export_id,
                number=self._pieces,
                content=content,
            )
        self._pieces += 1

    async def _release(self) -> None:
        async with self._database.for_organization(self._taken.organization_id) as connection:
            await db.RELEASE_EXPORT.run(
                connection, export_id=self._taken.id, run=self._taken.runs, now=self._clock.now()
            )

    async def _finish(self, status: str, *, error: str | None = None) -> None:
        now = self._clock.now()
        async with self._database.for_organization(self._taken.organization_id) as connection:
            finished = await db.FINISH_EXPORT.maybe(
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
                # Another run has taken over, and the pieces are its own by now, or the export was cancelled.
                await _forget_cancelled(connection, self._taken.id, self._taken.organization_id)
                return
            if status != "completed":
                await db.DELETE_EXPORT_CHUNKS.run(connection, export_id=self._taken.id)
            await db.NOTIFY_JOBS.run(connection, organization_id=self._taken.organization_id)


async def _forget_cancelled(connection: Connection, export_id: UUID, organization_id: UUID) -> None:
    """Remove the pieces of an export that was cancelled; one that a run has, or that is completed, keeps them."""
    export = await db.SHOW_EXPORT.maybe(connection, export_id=export_id, organization_id=organization_id)
    if export is not None and export.status == "cancelled":
        await db.DELETE_EXPORT_CHUNKS.run(connection, export_id=export_id)
