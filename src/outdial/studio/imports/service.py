"""Imports as the API and the pages have them: created, filled with a file, previewed, started, followed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries import campaign_status, imports, jobs
from outdial.db.queue import enqueue
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import OPEN_TO_IMPORT
from outdial.domain.ids import new_id
from outdial.domain.jobs import ImportStatus
from outdial.studio.web.audit import record
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, RequestTooLarge, ResourceConflict, ResourceNotFound
from outdial.studio.web.paging import Page, PageRequest, paginate

LARGEST_FILE: Final = 1 << 30
PIECE: Final = 256 * 1024
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Region = Annotated[str | None, Field(pattern=r"^[A-Za-z]{2}$", description="Country of numbers without one, as US")]
Mapped = Annotated[
    dict[str, Annotated[str, Field(max_length=200)]],
    Field(max_length=20, description="Column of a field that is called otherwise", examples=[{"phone": "Handy"}]),
]


class NewImport(BaseModel):
    """An import to be made; its file is sent afterwards."""

    model_config = ConfigDict(extra="forbid")
    campaign_id: UUID
    file_name: Annotated[str, Field(min_length=1, max_length=300, pattern=r"\S", examples=["people.csv"])]
    size: Annotated[int | None, Field(ge=1, le=LARGEST_FILE, description="Bytes of the file, where known")] = None
    mapping: Mapped = {}
    default_region: Region = None


class ImportOptions(BaseModel):
    """How the file is to be read; what is left out is as the import was created with."""

    model_config = ConfigDict(extra="forbid")
    mapping: Mapped | None = None
    default_region: Region = None


class Import(BaseModel):
    """An import: `rows` are added, already there, or refused; `bytes_read` of `size` tells how far it is."""

    id: UUID
    campaign_id: UUID
    campaign_name: str
    file_name: str
    size: int | None
    bytes_stored: int
    bytes_read: int
    mapping: dict[str, str]
    default_region: str | None
    status: ImportStatus
    rows: int
    added: int
    already_there: int
    refused: int
    refused_by_kind: dict[str, int]
    notices: list[str]
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.finished_at is not None


class RefusedRow(BaseModel):
    """A row that did not go in: its line in the file, the phone as written or how the row begins, and why."""

    line: int
    value: str
    kind: str
    reason: str


async def create_import(connection: Connection, context: OrganizationContext, new: NewImport) -> Import:
    """Make an import that waits for its file; raises NotFound or Conflict for a campaign that takes no contacts."""
    await check_campaign(connection, context, new.campaign_id)
    now = context.studio.clock.now()
    import_id = new_id(now)
    await imports.create_import(
        connection,
        id=import_id,
        organization_id=context.organization_id,
        campaign_id=new.campaign_id,
        file_name=new.file_name.strip().replace("\0", ""),
        size=new.size,
        mapping=encode_json(new.mapping),
        default_region=_region(new.default_region),
        created_by=context.caller.user_id,
        now=now,
    )
    return await find_import(connection, context, import_id)


async def check_campaign(
    connection: Connection, context: OrganizationContext, campaign_id: UUID
) -> campaign_status.CampaignState:
    """Return the campaign; raises NotFound, and Conflict when it takes no contacts any more."""
    campaign = await campaign_status.campaign_status(connection, campaign_id=campaign_id)
    if campaign is None or campaign.organization_id != context.organization_id:
        raise ResourceNotFound("There is no such campaign in this organization")
    if campaign.status not in OPEN_TO_IMPORT:
        raise ResourceConflict(f"The campaign is {campaign.status} and takes no more contacts", status=campaign.status)
    return campaign


async def find_import(connection: Connection, context: OrganizationContext, import_id: UUID) -> Import:
    """Return an import of the organization; raises NotFound."""
    row = await imports.show_import(connection, import_id=import_id, organization_id=context.organization_id)
    if row is None:
        raise ResourceNotFound("There is no such import in this organization")
    return _import(row)


async def list_imports(
    connection: Connection, context: OrganizationContext, page: PageRequest, campaign_id: UUID | None = None
) -> Page[Import]:
    """Return a page of imports, the newest first."""
    after = page.key(tuple[Moment, UUID]) or (None, None)
    rows = await imports.list_imports(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        after_at=after[0],
        after_id=after[1],
        limit=page.limit + 1,
    )
    shown, following = paginate(rows, page.limit, lambda row: [row.created_at, row.id])
    return Page(items=[_import(row) for row in shown], next=following)


async def receive_file(
    context: OrganizationContext,
    import_id: UUID,
    body: AsyncIterator[bytes],
    *,
    offset: int = 0,
    total: int | None = None,
) -> Import:
    """Store a file, or the part of it that begins at `offset`, in pieces; the import is ready when `total` is there.

    Without `total` the body is the whole file. Each piece is a transaction, so that what has arrived stays when the
    connection breaks: `bytes_stored` says where to go on. Raises Conflict for a part that does not begin there, and for
    an import that has been started; InvalidInput for an empty file; TooLarge.
    """
    if total is not None and total > LARGEST_FILE:
        raise _too_large()
    async with context.transaction() as connection:
        found = await find_import(connection, context, import_id)
        if offset == 0:
            found = await _restart(connection, context, found, total)
        _check_offset(found, offset)
    async with aclosing(_pieces(body)) as pieces:  # type: ignore[type-var]  # an async generator
        async for piece in pieces:
            await _store(context, import_id, offset, piece)
            offset += len(piece)
    async with context.transaction() as connection:
        if offset == 0:
            raise InvalidInput("The file is empty", {"file": "choose a CSV file with a header row"})
        if total is None or offset >= total:
            await imports.finish_upload(connection, import_id=import_id, now=context.studio.clock.now())
        return await find_import(connection, context, import_id)


async def _restart(connection: Connection, context: OrganizationContext, found: Import, total: int | None) -> Import:
    restarted = await imports.restart_upload(
        connection,
        import_id=found.id,
        organization_id=context.organization_id,
        size=total,
        now=context.studio.clock.now(),
    )
    if restarted is None:
        raise ResourceConflict(f"The import is {found.status}: make another one for another file", status=found.status)
    await imports.delete_import_chunks(connection, import_id=found.id)
    return await find_import(connection, context, found.id)


def _check_offset(found: Import, offset: int) -> None:
    if found.status != ImportStatus.UPLOADING or found.bytes_stored != offset:
        raise ResourceConflict(
            f"{found.bytes_stored:,} bytes are there and the import is {found.status}: go on from there",
            status=found.status,
            bytes_stored=found.bytes_stored,
        )


async def _pieces(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    waiting = bytearray()
    async for received in body:
        waiting += received
        while len(waiting) >= PIECE:
            yield bytes(waiting[:PIECE])
            del waiting[:PIECE]
    if waiting:
        yield bytes(waiting)


async def _store(context: OrganizationContext, import_id: UUID, offset: int, piece: bytes) -> None:
    if offset + len(piece) > LARGEST_FILE:
        raise _too_large()
    async with context.transaction() as connection:
        chunks = await imports.advance_upload(
            connection, import_id=import_id, offset=offset, length=len(piece), now=context.studio.clock.now()
        )
        if chunks is None:
            raise ResourceConflict("Somebody else is sending this file, or has cancelled the import")
        await imports.store_import_chunk(
            connection,
            organization_id=context.organization_id,
            import_id=import_id,
            number=chunks - 1,
            content=piece,
        )


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(f"A file may have {LARGEST_FILE >> 20:,} MiB: split it, each part with the header row")


async def start_import(
    connection: Connection, context: OrganizationContext, import_id: UUID, how: ImportOptions
) -> Import:
    """Put the import into the queue; raises Conflict when its file is not there, or it has been started before."""
    found = await find_import(connection, context, import_id)
    await check_campaign(connection, context, found.campaign_id)
    mapping = found.mapping if how.mapping is None else how.mapping
    queued = await imports.queue_import(
        connection,
        import_id=import_id,
        organization_id=context.organization_id,
        mapping=encode_json(mapping),
        default_region=_region(how.default_region) or found.default_region,
        now=context.studio.clock.now(),
    )
    if queued is None:
        raise ResourceConflict(f"The import is {found.status}, and starts when its file is there", status=found.status)
    await enqueue(connection, "import", import_id)
    await jobs.notify_jobs(connection, organization_id=context.organization_id)
    return await find_import(connection, context, import_id)


async def cancel_import(connection: Connection, context: OrganizationContext, import_id: UUID) -> Import:
    """End an import; one that runs ends with the rows under way, and what has gone in stays. Raises Conflict."""
    found = await find_import(connection, context, import_id)
    if found.status in (ImportStatus.CANCELLING, ImportStatus.CANCELLED):
        return found
    cancelled = await imports.cancel_import(
        connection, import_id=import_id, organization_id=context.organization_id, now=context.studio.clock.now()
    )
    if cancelled is None:
        raise ResourceConflict(f"The import is {found.status} already", status=found.status)
    found = await find_import(connection, context, import_id)
    if found.status == ImportStatus.CANCELLED:
        await imports.delete_import_chunks(connection, import_id=import_id)
    details = {"import_id": import_id, "added": found.added}
    await record(connection, context, "cancel_import", "campaign", found.campaign_id, details)
    await jobs.notify_jobs(connection, organization_id=context.organization_id)
    return found


async def list_refusals(
    connection: Connection, context: OrganizationContext, import_id: UUID, page: PageRequest
) -> Page[RefusedRow]:
    """Return a page of the rows that were refused, in the order of the file; the first ten thousand are kept."""
    await find_import(connection, context, import_id)
    key = page.key(tuple[int])
    rows = await _refusals(connection, context, import_id, key[0] if key else 0, page.limit + 1)
    shown, following = paginate(rows, page.limit, lambda row: [row.line])
    return Page(items=[_refusal(row) for row in shown], next=following)


async def all_refusals(context: OrganizationContext, import_id: UUID) -> AsyncIterator[imports.RefusalRow]:
    """Give every refused row that is kept, some at a time."""
    line = 0
    while True:
        async with context.transaction() as connection:
            rows = await _refusals(connection, context, import_id, line, 1_000)
        for row in rows:
            yield row
        if len(rows) < 1_000:
            return
        line = rows[-1].line


async def _refusals(
    connection: Connection, context: OrganizationContext, import_id: UUID, after_line: int, limit: int
) -> list[imports.RefusalRow]:
    return await imports.list_refusals(
        connection, import_id=import_id, organization_id=context.organization_id, after_line=after_line, limit=limit
    )


def _refusal(row: imports.RefusalRow) -> RefusedRow:
    return RefusedRow(line=row.line, value=row.value, kind=row.kind, reason=row.reason)


def _region(region: str | None) -> str | None:
    return region.upper() if region else None


def _import(row: imports.ImportRow) -> Import:
    kept: Mapping[str, Any] = {name: getattr(row, name) for name in Import.model_fields if name not in _JSON}
    return Import(**kept, **{name: msgspec.json.decode(getattr(row, name)) for name in _JSON})


_JSON: Final = ("mapping", "refused_by_kind", "notices")
