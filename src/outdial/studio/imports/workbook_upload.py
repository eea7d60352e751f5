"""Stores an uploaded XLSX workbook as CSV, so that previews and runs read it as they read any file."""

import tempfile
from collections.abc import Iterator
from typing import BinaryIO, cast
from uuid import UUID

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.workbooks import as_csv, is_workbook
from outdial.db.queries import imports
from outdial.db.rows import required
from outdial.db.session import Connection
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict

_PIECE_BYTES = 256 * 1024


async def convert_workbook(context: OrganizationContext, import_id: UUID, size: int) -> None:
    """Replace the uploaded file of `size` bytes with the CSV of its first visible sheet, if it is a workbook.

    Raises InvalidInput for one that cannot be read, and removes it: the import then waits for another file.
    """
    async with context.transaction() as connection:
        first = await imports.import_chunk(connection, import_id=import_id, number=0)
    if first is None or not is_workbook(first):
        return
    with cast("BinaryIO", tempfile.TemporaryFile()) as workbook:
        number = 0
        while first is not None:
            workbook.write(first)
            number += 1
            async with context.transaction() as connection:
                first = await imports.import_chunk(connection, import_id=import_id, number=number)
        workbook.flush()
        try:
            converted = await as_csv(workbook)
        except UnusableFile as error:
            async with context.transaction() as connection:
                await _empty(connection, context, import_id, size)
            problem = sentence_case(str(error))
            raise InvalidInput(problem, {"file": str(error)}) from None
    with converted:
        async with context.transaction() as connection:
            await _empty(connection, context, import_id, size)
            offset = 0
            for piece in _pieces(converted):
                chunks = await imports.advance_upload(
                    connection,
                    import_id=import_id,
                    offset=offset,
                    length=len(piece),
                    now=context.studio.clock.now(),
                )
                await imports.store_import_chunk(
                    connection,
                    organization_id=context.organization_id,
                    import_id=import_id,
                    number=required(chunks) - 1,
                    content=piece,
                )
                offset += len(piece)


async def _empty(connection: Connection, context: OrganizationContext, import_id: UUID, size: int) -> None:
    emptied = await imports.replace_upload(
        connection,
        import_id=import_id,
        organization_id=context.organization_id,
        stored=size,
        now=context.studio.clock.now(),
    )
    if emptied is None:
        raise ResourceConflict("Another upload of this file is in progress, or the import was cancelled")
    await imports.delete_import_chunks(connection, import_id=import_id)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece
