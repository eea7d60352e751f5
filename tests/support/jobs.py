"""Imports and exports as the studio creates them, and workers that run them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.clock import Clock, VirtualClock
from outdial.db.queries import exports, imports
from outdial.db.queue import enqueue
from outdial.db.rows import required
from outdial.db.session import Connection, Database
from outdial.domain.ids import new_id
from outdial.jobs.tables import FileFormat
from outdial.jobs.worker import POOL_SIZE, JobWorker
from tests.support.factories import ERASURE_KEYS, NOW, Campaign
from tests.support.postgres import Scratch

PIECE = 256 * 1024


@asynccontextmanager
async def working(
    database: Scratch,
    clock: Clock | None = None,
    *,
    erasure_keys: ErasureKeys | None = ERASURE_KEYS,
    chunk_rows: int = 2_000,
) -> AsyncIterator[JobWorker]:
    """Yield a worker that is logged in as outdial_jobs."""
    pool = await Database.connect(database.dsn_for("outdial_jobs"), application_name="tests:jobs", max_size=POOL_SIZE)
    async with pool:
        yield JobWorker(pool, clock or VirtualClock(NOW), erasure_keys=erasure_keys, chunk_rows=chunk_rows)


async def store_import(connection: Connection, campaign: Campaign, content: bytes, *, queued: bool = True) -> UUID:
    """Create an import with its file, queued by default."""
    import_id = new_id(NOW)
    organization_id = campaign.tenant.organization_id
    async with connection.transaction():
        await imports.create_import(
            connection,
            id=import_id,
            organization_id=organization_id,
            campaign_id=campaign.id,
            file_name="contacts.csv",
            size=None,
            mapping="{}",
            default_region=None,
            created_by=None,
            now=NOW,
        )
        for number, start in enumerate(range(0, len(content), PIECE)):
            piece = content[start : start + PIECE]
            required(
                await imports.advance_upload(connection, import_id=import_id, offset=start, length=len(piece), now=NOW)
            )
            await imports.store_import_chunk(
                connection, organization_id=organization_id, import_id=import_id, number=number, content=piece
            )
        required(await imports.finish_upload(connection, import_id=import_id, now=NOW))
        if queued:
            required(
                await imports.queue_import(
                    connection,
                    import_id=import_id,
                    organization_id=organization_id,
                    mapping="{}",
                    zone_names="{}",
                    has_header=True,
                    default_region=None,
                    sheet=None,
                    bytes=len(content),
                    chunks=-(-len(content) // PIECE),
                    now=NOW,
                )
            )
            await enqueue(connection, "import", import_id)
    return import_id


async def store_export(
    connection: Connection,
    organization_id: UUID,
    kind: str,
    filters: str = "{}",
    *,
    file_format: FileFormat = "csv",
    include: Sequence[str] = (),
) -> UUID:
    """Create a queued export."""
    export_id = new_id(NOW)
    async with connection.transaction():
        await exports.create_export(
            connection,
            id=export_id,
            organization_id=organization_id,
            kind=kind,
            format=file_format,
            include=include,
            filters=filters,
            created_by=None,
            now=NOW,
        )
        await enqueue(connection, "export", export_id)
    return export_id


async def import_row(connection: Connection, import_id: UUID) -> imports.ImportRow:
    """Return the current row of an import."""
    organization_id = await connection.fetchval("select organization_id from imports where id = $1", import_id)
    return required(await imports.show_import(connection, import_id=import_id, organization_id=organization_id))


async def export_row(connection: Connection, export_id: UUID) -> exports.ExportRow:
    """Return the current row of an export."""
    organization_id = await connection.fetchval("select organization_id from exports where id = $1", export_id)
    return required(await exports.show_export(connection, export_id=export_id, organization_id=organization_id))


async def exported(connection: Connection, export_id: UUID) -> str:
    """Return the content of an export's file."""
    rows = await connection.fetch("select content from export_chunks where export_id = $1 order by number", export_id)
    return b"".join(row["content"] for row in rows).decode()
