"""Writes the results of a campaign to a file of this machine."""

import asyncio
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from zoneinfo import ZoneInfo

from outdial.campaigns.results.columns import RESULT_PHONES
from outdial.campaigns.results.read import ResultReader
from outdial.campaigns.selection import ContactSelection
from outdial.cli.finding import find_campaign_row
from outdial.db.session import Database
from outdial.jobs.tables import PIECE_BYTES, FileFormat, file_cells, open_table


async def write_results(
    database: Database,
    campaign: str,
    file: Path,
    *,
    file_format: FileFormat,
    selection: ContactSelection,
    include: Collection[str],
    zone: ZoneInfo,
) -> int:
    """Write the selected contacts; return how many. An existing `file` is replaced once the new one is complete."""
    partial = file.with_name(f"{file.name}.partial")
    number = 0
    try:
        with partial.open("wb") as target, ExitStack() as files:
            async with database.as_service() as connection:
                row = await find_campaign_row(connection, campaign)
                results = ResultReader(
                    connection,
                    organization_id=row.organization_id,
                    campaign_id=row.id,
                    selection=selection,
                    include=include,
                )
                header = (await results.open()).header
                prepare = file_cells(RESULT_PHONES, zone)
                table = files.enter_context(open_table(file_format, header))
                async for cells in results:
                    table.add(prepare(cells))
                    number += 1
                    if table.length >= PIECE_BYTES:
                        taken = table.take()
                        target.write(taken if table.is_text else b"")
            # After the transaction: finishing a large workbook takes longer than a transaction may be idle.
            await asyncio.to_thread(table.finish)
            for piece in table.pieces():
                target.write(piece)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return number
