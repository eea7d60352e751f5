"""Imports a file that was uploaded: in runs that may be cut off at any moment, and are followed by another one.

A run begins at the first row again. The file is the same and importing adds nobody twice, so that costs time and no
more: rows and refusals are counted anew by each run. Contacts that went in cannot be counted so, for the next run finds
them there already: they are counted by all runs together, each chunk's in the transaction that brings them in.
"""

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from outdial.campaigns.errors import CampaignsError
from outdial.campaigns.importing.import_file import ImportProgress, import_contacts
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.campaigns.lifecycle import Actor
from outdial.clock import Clock
from outdial.db import events
from outdial.db import jobs as db
from outdial.db.session import Database, encode_json
from outdial.db.statements import Connection
from outdial.jobs.outcomes import MOST_RUNS, Interrupted, Overtaken, RunEnd
from outdial.jobs.stored_file import StoredFile
from outdial.log import log

KEPT_REFUSALS: Final = 10_000
SILENT_FOR: Final = timedelta(seconds=60)
"""A run that has written nothing for so long is taken for dead."""
TELL_EVERY: Final = timedelta(seconds=1)
_LONGEST_VALUE: Final = 300


class ImportJob:
    """Runs imports, with the rights of an operator of their organization; `stopping` ends runs between two chunks."""

    def __init__(self, database: Database, clock: Clock, stopping: asyncio.Event, *, chunk_rows: int = 2_000) -> None:
        self._database, self._clock, self._stopping = database, clock, stopping
        self._chunk_rows = chunk_rows

    async def run(self, import_id: UUID, organization_id: UUID) -> RunEnd:
        """Import the file from its first row on; does nothing for an import that is over or that another run has."""
        now = self._clock.now()
        async with self._database.for_organization(organization_id) as connection:
            silent_since = now - SILENT_FOR
            taken = await db.BEGIN_IMPORT.maybe(connection, import_id=import_id, now=now, silent_since=silent_since)
            if taken is None:
                await self._end_cancelled(connection, import_id, organization_id)
                return RunEnd.DONE
            await db.FORGET_REFUSALS.run(connection, import_id=import_id)
            await db.NOTIFY_JOBS.run(connection, organization_id=organization_id)
        return await _Run(self._database, self._clock, self._stopping, taken, self._chunk_rows).go()

    async def _end_cancelled(self, connection: Connection, import_id: UUID, organization_id: UUID) -> None:
        now = self._clock.now()
        ended = await db.END_CANCELLED_IMPORT.maybe(
            connection, import_id=import_id, now=now, silent_since=now - SILENT_FOR
        )
        if ended is not None:
            await db.DELETE_IMPORT_CHUNKS.run(connection, import_id=import_id)
            await db.NOTIFY_JOBS.run(connection, organization_id=organization_id)


class _Run:
    def __init__(
        self, database: Database, clock: Clock, stopping: asyncio.Event, taken: db.ImportRun, chunk_rows: int
    ) -> None:
        self._database, self._clock, self._stopping = database, clock, stopping
        self._taken, self._chunk_rows = taken, chunk_rows
        self._progress = ImportProgress(0, 0, 0, 0)
        self._refused: Counter[Refusal] = Counter()
        self._refusals: list[RefusedRow] = []
        self._kept = 0
        self._told_at = clock.now()

    async def go(self) -> RunEnd:
        """Run to an end, and say which."""
        try:
            notices = await self._import()
        except CampaignsError as error:
            await self._finish("failed", error=_sentence(error))
        except Overtaken:
            await self._finish("cancelled")
        except Interrupted:
            await self._release()
            return RunEnd.INTERRUPTED
        except Exception as error:  # what it says may hold a row of the file: only its kind is told
            kind = type(error).__name__
            log("import.failed", level="error", import_id=str(self._taken.id), run=self._taken.runs, kind=kind)
            if self._taken.runs < MOST_RUNS:
                await self._release()
                return RunEnd.TROUBLE
            await self._finish("failed", error=f"Something broke while the file was imported ({kind}): import it again")
        else:
            await self._finish("completed", notices=notices)
        return RunEnd.DONE

    async def _import(self) -> tuple[str, ...]:
        taken = self._taken
        report = await import_contacts(
            StoredFile(self._piece, asyncio.get_running_loop()),  # type: ignore[arg-type]  # it is read, and no more
            taken.campaign_id,
            self._transaction,
            clock=self._clock,
            default_region=taken.default_region,
            actor=Actor(taken.created_by),
            mapping=msgspec.json.decode(taken.mapping, type=dict[str, str]),
            on_progress=self._on_progress,
            on_refused=self._on_refused,
            on_added=self._on_added,
            chunk_rows=self._chunk_rows,
        )
        return tuple(report.notices)

    def _transaction(self) -> AbstractAsyncContextManager[Connection]:
        return self._database.for_organization(self._taken.organization_id)

    async def _piece(self, number: int) -> bytes | None:
        async with self._transaction() as connection:
            row = await db.IMPORT_CHUNK.maybe(connection, import_id=self._taken.id, number=number)
        return None if row is None else row.id

    def _on_progress(self, progress: ImportProgress) -> None:
        self._progress = progress

    def _on_refused(self, row: RefusedRow) -> None:
        self._refused[row.kind] += 1
        if self._kept + len(self._refusals) < KEPT_REFUSALS:
            self._refusals.append(row)

    async def _on_added(self, connection: Connection, added: int) -> None:
        if self._stopping.is_set():
            raise Interrupted
        now, progress = self._clock.now(), self._progress
        row = await db.RECORD_IMPORT.maybe(
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
            raise Overtaken
        await self._keep_refusals(connection)
        if now - self._told_at >= TELL_EVERY:
            self._told_at = now
            await self._tell(connection)

    async def _keep_refusals(self, connection: Connection) -> None:
        rows, self._refusals = self._refusals, []
        if not rows:
            return
        self._kept += len(rows)
        await db.KEEP_REFUSALS.run(
            connection,
            organization_id=self._taken.organization_id,
            import_id=self._taken.id,
            lines=[row.line for row in rows],
            # Postgres keeps no NUL.
            values=[row.value.replace("\0", "\ufffd")[:_LONGEST_VALUE] for row in rows],
            kinds=[row.kind.value for row in rows],
            reasons=[row.reason.replace("\0", "\ufffd") for row in rows],
        )

    async def _tell(self, connection: Connection) -> None:
        await events.NOTIFY_CAMPAIGNS.run(connection, ids=[self._taken.campaign_id])
        await db.NOTIFY_JOBS.run(connection, organization_id=self._taken.organization_id)

    async def _release(self) -> None:
        async with self._transaction() as connection:
            await db.RELEASE_IMPORT.run(
                connection, import_id=self._taken.id, run=self._taken.runs, now=self._clock.now()
            )

    async def _finish(self, status: str, *, error: str | None = None, notices: tuple[str, ...] = ()) -> None:
        async with self._transaction() as connection:
            finished = await db.FINISH_IMPORT.maybe(
                connection,
                import_id=self._taken.id,
                run=self._taken.runs,
                status=status,
                rows=self._progress.rows,
                refused=self._progress.refused,
                bytes_read=self._progress.bytes_read,
                refused_by_kind=encode_json({kind.value: count for kind, count in self._refused.items()}),
                notices=encode_json(notices),
                error=error,
                now=self._clock.now(),
            )
            if finished is None:
                return
            await self._keep_refusals(connection)
            await db.DELETE_IMPORT_CHUNKS.run(connection, import_id=self._taken.id)
            await self._tell(connection)


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
