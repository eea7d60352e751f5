"""Imports a CSV file of contacts into a campaign: streamed, so that memory does not grow with the file."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from outdial.campaigns.errors import CampaignsError, UnknownRegion
from outdial.campaigns.importing.columns import Columns, find_columns
from outdial.campaigns.importing.contact_rows import Chunk, ContactReader, Repeated, read_chunks
from outdial.campaigns.importing.contact_store import ContactStore, OnAdded, Stored, Transaction
from outdial.campaigns.importing.csv_rows import CsvRows
from outdial.campaigns.importing.first_lines import FirstLines
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.campaigns.lifecycle import Actor
from outdial.clock import Clock
from outdial.domain.phone import InvalidPhone, parse_phone

KEPT_REFUSALS = 1_000
"""Refused rows that a report holds; `on_refused` is told of each."""

_ANY_NUMBER = "+14155552671"


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import has come; every row so far is added, already there, or refused."""

    added: int
    already_there: int
    refused: int
    bytes_read: int

    @property
    def rows(self) -> int:
        """Rows with anything in them, without the header."""
        return self.added + self.already_there + self.refused


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import came to: `refused` counts by kind, `first_refused` are the first KEPT_REFUSALS in file order."""

    added: int
    already_there: int
    blank: int
    refused: Mapping[Refusal, int]
    first_refused: Sequence[RefusedRow]
    variables: Sequence[str]
    notices: Sequence[str]

    @property
    def rows(self) -> int:
        """Rows with anything in them, without the header."""
        return self.added + self.already_there + self.refused_rows

    @property
    def refused_rows(self) -> int:
        """All rows that were refused."""
        return sum(self.refused.values())


async def import_contacts(
    file: BinaryIO,
    campaign_id: UUID,
    transaction: Transaction,
    *,
    clock: Clock,
    default_region: str | None,
    actor: Actor,
    mapping: Mapping[str, str] | None = None,
    on_progress: Callable[[ImportProgress], None] | None = None,
    on_refused: Callable[[RefusedRow], None] | None = None,
    on_added: OnAdded | None = None,
    chunk_rows: int = 2_000,
) -> ImportReport:
    """Put the contacts of a CSV `file` into a campaign, a chunk per transaction, and report on every row.

    `transaction` opens a transaction with the rights of `actor`, in whose name the audit log gets one entry. Numbers
    without a country code are of `default_region` (ISO 3166, as US). `mapping` names the column of a known field, as
    {"phone": "Handy"}. The file is read once, from where it stands, in a thread while the chunk before is stored; it is
    neither sought nor closed. `on_refused` and `on_progress` are called after each chunk, `on_added` within its
    transaction: what it raises ends the import, and nothing of that chunk has gone in.

    Importing a file again adds nobody twice, and refreshes the variables of contacts that still wait. Raises
    UnusableFile, UnknownRegion and CampaignNotFound before anything is stored; CampaignClosed also later, when the
    campaign is cancelled meanwhile: what had gone in stays.
    """
    _check_region(default_region)
    rows = await asyncio.to_thread(CsvRows, file)
    columns = find_columns(rows.header, mapping)
    store = ContactStore(transaction, campaign_id, clock, on_added)
    await store.check()
    tally, places = _Tally(on_progress, on_refused), _Places(store)
    try:
        with closing(FirstLines()) as first_lines:
            chunks = read_chunks(rows, ContactReader(columns, default_region), first_lines, chunk_rows)
            async with aclosing(_read_ahead(chunks)) as ahead:
                async for chunk in ahead:
                    tally.count(chunk, await places.fill(chunk))
    except CampaignsError:
        await store.record(actor, tally.counts | {"stopped": True})
        raise
    await store.record(actor, tally.counts)
    return tally.report(rows, columns)


async def _read_ahead(chunks: Iterator[Chunk]) -> AsyncGenerator[Chunk, None]:
    # Reading is our work and storing is Postgres's: overlapped, they take as long as the longer one.
    reading = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
    try:
        while (chunk := await asyncio.shield(reading)) is not None:
            reading = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
            yield chunk
    finally:
        await asyncio.wait([reading])


class _Places:
    """Stores chunks; a row that the database refuses gives its number to the next row that has it."""

    def __init__(self, store: ContactStore) -> None:
        self._store = store
        # The line of each such row, with the line that has taken its place.
        self._taken_by: dict[int, int | None] = {}

    async def fill(self, chunk: Chunk) -> Stored:
        stored = await self._store.store(chunk.contacts)
        self._taken_by |= dict.fromkeys(_refused_by_database(stored))
        for repeated in chunk.repeated:
            stored += await self._fill_one(repeated)
        return stored

    async def _fill_one(self, repeated: Repeated) -> Stored:
        contact, first = repeated.contact, self._taken_by.get(repeated.first, repeated.first)
        if first is not None:
            reason = f"has the number of line {first}"
            return Stored(0, 0, [RefusedRow(contact.line, contact.written, Refusal.DUPLICATE, reason)])
        stored = await self._store.store([contact])
        if not _refused_by_database(stored):
            self._taken_by[repeated.first] = contact.line
        return stored


def _refused_by_database(stored: Stored) -> list[int]:
    return [row.line for row in stored.refused if row.kind is Refusal.DATABASE]


class _Tally:
    def __init__(
        self, on_progress: Callable[[ImportProgress], None] | None, on_refused: Callable[[RefusedRow], None] | None
    ) -> None:
        self._on_progress, self._on_refused = on_progress, on_refused
        self._added = self._already_there = 0
        self._refused: Counter[Refusal] = Counter()
        self._first_refused: list[RefusedRow] = []

    def count(self, chunk: Chunk, stored: Stored) -> None:
        self._added += stored.added
        self._already_there += stored.already_there
        for row in sorted(chunk.refused + stored.refused, key=lambda row: row.line):
            self._refused[row.kind] += 1
            if len(self._first_refused) < KEPT_REFUSALS:
                self._first_refused.append(row)
            if self._on_refused is not None:
                self._on_refused(row)
        if self._on_progress is not None:
            refused = self._refused.total()
            self._on_progress(ImportProgress(self._added, self._already_there, refused, chunk.bytes_read))

    @property
    def counts(self) -> dict[str, object]:
        return {"added": self._added, "already_there": self._already_there, "refused": self._refused.total()}

    def report(self, rows: CsvRows, columns: Columns) -> ImportReport:
        return ImportReport(
            added=self._added,
            already_there=self._already_there,
            blank=rows.blank,
            refused=dict(self._refused),
            first_refused=tuple(self._first_refused),
            variables=tuple(name for name, _ in columns.variables),
            notices=rows.notices,
        )


def _check_region(default_region: str | None) -> None:
    if isinstance(answer := parse_phone(_ANY_NUMBER, default_region), InvalidPhone):
        raise UnknownRegion(answer.reason)
