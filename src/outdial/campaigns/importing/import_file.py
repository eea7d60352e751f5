"""Imports a file of contacts into a campaign. It streams the file, so memory does not grow with its size."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.campaigns.errors import CampaignsError
from outdial.campaigns.importing.columns import Columns, find_columns
from outdial.campaigns.importing.contact_rows import Chunk, ContactReader, read_chunks
from outdial.campaigns.importing.contact_store import ContactStore, OnAdded, Stored, Transaction, erased_row
from outdial.campaigns.importing.file_rows import FileRows, open_rows
from outdial.campaigns.importing.first_lines import FirstLines
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.campaigns.lifecycle import Actor
from outdial.clock import Clock

KEPT_REFUSALS = 1_000
"""Maximum refused rows in a report. `on_refused` receives all of them."""


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """Progress of an import. Every row so far was added, already there, or refused."""

    added: int
    already_there: int
    refused: int
    bytes_read: int

    @property
    def rows(self) -> int:
        """The number of non-blank rows, without the header."""
        return self.added + self.already_there + self.refused


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import. `refused` counts by kind; `first_refused` has the first KEPT_REFUSALS in file order."""

    added: int
    already_there: int
    blank: int
    refused: Mapping[Refusal, int]
    first_refused: Sequence[RefusedRow]
    variables: Sequence[str]
    notices: Sequence[str]

    @property
    def rows(self) -> int:
        """The number of non-blank rows, without the header."""
        return self.added + self.already_there + self.refused_rows

    @property
    def refused_rows(self) -> int:
        """The number of refused rows."""
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
    zone_names: Mapping[str, str] | None = None,
    has_header: bool = True,
    erasure_keys: ErasureKeys | None = None,
    import_id: UUID | None = None,
    on_header: Callable[[Sequence[str]], None] | None = None,
    on_progress: Callable[[ImportProgress], None] | None = None,
    on_refused: Callable[[RefusedRow], None] | None = None,
    on_added: OnAdded | None = None,
    chunk_rows: int = 2_000,
) -> ImportReport:
    """Add the contacts of a CSV or JSON lines `file` to a campaign, a chunk per transaction, and report on every row.

    `transaction` opens a transaction with the rights of `actor`, and the audit log gets one entry for `actor`. Numbers
    without a country code belong to `default_region` (ISO 3166, such as US). `mapping` gives the column of a field,
    such as {"phone": "Handy"}, and `zone_names` the time zone of a name in the file, such as {"Eastern":
    "America/New_York"}. Without `has_header`, the first row of a CSV file is a contact. An import with an `import_id`
    can be undone. The file is read from its current position, in a thread while the previous chunk is stored; it must
    be seekable and is not closed. `on_header` is called once, before anything is stored, with the names of all columns.
    `on_refused` and `on_progress` are called after each chunk. `on_added` is called within its transaction: if it
    raises, the chunk is rolled back and the import ends.

    `erasure_keys` recognize erased phones, which are refused. Importing a file again adds no contact twice and
    refreshes the variables of pending contacts. Raises UnusableFile, UnknownRegion, CampaignNotFound and
    ErasureKeyMissing before anything is stored. Raises CampaignClosed also later, if the campaign is cancelled in the
    meantime; contacts added so far stay.
    """
    rows = await asyncio.to_thread(open_rows, file, has_header=has_header)
    columns = find_columns(rows.header, mapping)
    store = ContactStore(
        transaction, campaign_id, clock, erasure_keys=erasure_keys, import_id=import_id, on_added=on_added
    )
    columns = columns.keep_names(await store.check())
    reader = ContactReader(columns, default_region, clock.now(), zone_names or {})
    if on_header is not None:
        on_header(rows.header)
    tally, places = _Tally(on_progress, on_refused), _Places(store)
    try:
        with closing(FirstLines()) as first_lines:
            chunks = read_chunks(rows, reader, first_lines, chunk_rows)
            async with aclosing(_read_ahead(chunks)) as ahead:
                async for chunk in ahead:
                    tally.count(await places.fill(chunk), chunk.bytes_read)
    except CampaignsError:
        await store.record(actor, tally.counts | {"stopped": True})
        raise
    await store.record(actor, tally.counts)
    return tally.report(rows, columns)


async def _read_ahead(chunks: Iterator[Chunk]) -> AsyncGenerator[Chunk, None]:
    # Reading uses our CPU and storing uses Postgres's: overlapped, they take as long as the slower one.
    reading = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
    try:
        while (chunk := await asyncio.shield(reading)) is not None:
            reading = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
            yield chunk
    finally:
        await asyncio.wait([reading])


class _Places:
    """Stores chunks. If the database rejects a row, the next row with the same number takes its place."""

    def __init__(self, store: ContactStore) -> None:
        self._store = store
        # The line of each rejected row, with the line that took its place.
        self._taken_by: dict[int, int | None] = {}
        self._erased_lines: set[int] = set()

    async def fill(self, chunk: Chunk) -> Stored:
        """Store a chunk; return the result, with the rows of the chunk that were refused before."""
        refused = await self._store.without_cells_of_erased(chunk.refused)
        stored = await self._store.store(chunk.contacts)
        self._taken_by |= dict.fromkeys(_refused_by_database(stored))
        self._erased_lines |= {row.line for row in stored.refused if row.kind is Refusal.ERASED}
        for repeated in chunk.repeated:
            if repeated.first in self._erased_lines:
                stored += Stored(0, 0, [erased_row(repeated.contact.line)])
                continue
            contact, first = repeated.contact, self._taken_by.get(repeated.first, repeated.first)
            if first is not None:
                reason = f"has the same number as line {first}"
                stored += Stored(0, 0, [contact.refuse(Refusal.DUPLICATE, reason)])
                continue
            substitute = await self._store.store([contact])
            if not _refused_by_database(substitute):
                self._taken_by[repeated.first] = contact.line
            stored += substitute
        return stored + Stored(0, 0, refused)


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

    def count(self, stored: Stored, bytes_read: int) -> None:
        self._added += stored.added
        self._already_there += stored.already_there
        for row in sorted(stored.refused, key=lambda row: row.line):
            self._refused[row.kind] += 1
            if len(self._first_refused) < KEPT_REFUSALS:
                self._first_refused.append(row)
            if self._on_refused is not None:
                self._on_refused(row)
        if self._on_progress is not None:
            refused = self._refused.total()
            self._on_progress(ImportProgress(self._added, self._already_there, refused, bytes_read))

    @property
    def counts(self) -> dict[str, object]:
        return {"added": self._added, "already_there": self._already_there, "refused": self._refused.total()}

    def report(self, rows: FileRows, columns: Columns) -> ImportReport:
        return ImportReport(
            added=self._added,
            already_there=self._already_there,
            blank=rows.blank,
            refused=dict(self._refused),
            first_refused=tuple(self._first_refused),
            variables=tuple(name for name, _ in columns.variables),
            notices=rows.notices + columns.notices,
        )
