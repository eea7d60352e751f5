"""Completes uploads: a file that has arrived becomes ready, a workbook as the CSV of its sheets."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, cast
from uuid import UUID

import msgspec

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.contact_store import Transaction
from outdial.campaigns.importing.workbooks import ReadableFile, is_workbook, open_readable
from outdial.clock import Clock
from outdial.db.queries import imports
from outdial.db.queries.importing import uploads
from outdial.db.session import encode_json

CHUNK_BYTES: Final = 256 * 1024
SHEET_CHUNKS: Final = 100_000
"""The chunks of sheet n start at number n * SHEET_CHUNKS. A file of 1 GiB has 4,096."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSheet:
    """A sheet of an uploaded workbook: rows without the header, and bytes as CSV."""

    name: str
    rows: int
    bytes: int

    @property
    def chunks(self) -> int:
        """The number of its chunks."""
        return -(-self.bytes // CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class UploadReady:
    """The upload is complete and can be previewed."""


@dataclass(frozen=True, slots=True)
class UploadUnusable:
    """The file cannot be read and was removed; the import waits for another one."""

    reason: str


@dataclass(frozen=True, slots=True)
class UploadChanged:
    """Another upload has replaced the file, or the import was cancelled."""


UploadEnd = UploadReady | UploadUnusable | UploadChanged


def stored_sheets(text: str) -> list[StoredSheet]:
    """Decode the sheets of an import. Members can also write the column with SQL: anything else is no sheet."""
    try:
        return msgspec.json.decode(text, type=list[StoredSheet])
    except msgspec.ValidationError:
        return []


async def complete_upload(
    transaction: Transaction, *, organization_id: UUID, import_id: UUID, size: int, clock: Clock
) -> UploadEnd:
    """Make an upload of `size` bytes, all of which have arrived, ready to be previewed.

    The CSV of a workbook replaces it, and becomes ready, in one transaction. A process that dies before leaves the
    upload as it has arrived, and a worker calls this again.
    """
    async with transaction() as connection:
        first = await imports.import_chunk(connection, import_id=import_id, number=0)
        if first is None or not is_workbook(first):
            ready = await imports.finish_upload(connection, import_id=import_id, now=clock.now())
            return UploadChanged() if ready is None else UploadReady()
    with cast("BinaryIO", tempfile.TemporaryFile()) as workbook:
        number = 0
        while first is not None:
            workbook.write(first)
            number += 1
            async with transaction() as connection:
                first = await imports.import_chunk(connection, import_id=import_id, number=number)
        workbook.flush()
        try:
            readable = await open_readable(workbook)
        except UnusableFile as error:
            return await _reject(transaction, import_id=import_id, size=size, reason=str(error), clock=clock)
    with readable:
        return await _replace(
            transaction, readable, organization_id=organization_id, import_id=import_id, size=size, clock=clock
        )


async def _reject(
    transaction: Transaction, *, import_id: UUID, size: int, reason: str, clock: Clock
) -> UploadUnusable | UploadChanged:
    async with transaction() as connection:
        rejected = await uploads.reject_upload(
            connection, import_id=import_id, stored=size, error=reason, now=clock.now()
        )
        if rejected is None:
            return UploadChanged()
        await imports.delete_import_chunks(connection, import_id=import_id)
    return UploadUnusable(reason)


async def _replace(
    transaction: Transaction,
    readable: ReadableFile,
    *,
    organization_id: UUID,
    import_id: UUID,
    size: int,
    clock: Clock,
) -> UploadReady | UploadChanged:
    sheets = [StoredSheet(name=sheet.name, rows=sheet.rows, bytes=sheet.end - sheet.start) for sheet in readable.sheets]
    async with transaction() as connection:
        replaced = await uploads.replace_upload(
            connection,
            import_id=import_id,
            stored=size,
            bytes=sheets[0].bytes,
            chunks=sheets[0].chunks,
            sheets=encode_json([msgspec.to_builtins(sheet) for sheet in sheets]),
            now=clock.now(),
        )
        if replaced is None:
            return UploadChanged()
        await imports.delete_import_chunks(connection, import_id=import_id)
        for index, (sheet, stored) in enumerate(zip(readable.sheets, sheets, strict=True)):
            readable.file.seek(sheet.start)
            for number, piece in enumerate(_pieces(readable.file, stored.bytes), start=index * SHEET_CHUNKS):
                await imports.store_import_chunk(
                    connection, organization_id=organization_id, import_id=import_id, number=number, content=piece
                )
    return UploadReady()


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    while piece := file.read(min(CHUNK_BYTES, length)):
        length -= len(piece)
        yield piece


def first_chunk(sheets: Sequence[StoredSheet], sheet: StoredSheet | None) -> int:
    """Return the number of the first chunk of a sheet, or of a file that has none."""
    return 0 if sheet is None else sheets.index(sheet) * SHEET_CHUNKS
