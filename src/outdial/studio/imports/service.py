"""Imports: create, upload, start, status and cancel."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final, assert_never
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from outdial.campaigns.importing import undo
from outdial.campaigns.importing.uploads import (
    CHUNK_BYTES,
    SHEET_CHUNKS,
    UploadChanged,
    UploadReady,
    UploadUnusable,
    complete_upload,
    stored_sheets,
)
from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.db.queries import campaign_status, import_refusals, imports, jobs
from outdial.db.queries.importing import uploads
from outdial.db.queue import enqueue
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import OPEN_TO_IMPORT
from outdial.domain.ids import new_id
from outdial.domain.jobs import ImportStatus
from outdial.studio.imports.reading import ColumnMapping, ImportOptions, chosen_sheet, reading_of, upper_region
from outdial.studio.view.format import sentence_case
from outdial.studio.view.payloads import decode_texts
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import CursorTime, Region
from outdial.studio.web.forms import file_too_large
from outdial.studio.web.paging import Page, PageRequest, paginate

MAX_FILE_BYTES: Final = 1 << 30


class NewImport(BaseModel):
    """An import to create; upload its file afterwards."""

    model_config = ConfigDict(extra="forbid")
    campaign_id: UUID
    file_name: Annotated[str, Field(min_length=1, max_length=300, pattern=r"\S", examples=["people.csv"])]
    size: Annotated[int | None, Field(ge=1, le=MAX_FILE_BYTES, description="File size in bytes, if known")] = None
    mapping: ColumnMapping = {}
    default_region: Region = None


class ImportSheet(BaseModel):
    """A visible sheet of an uploaded workbook with its number of rows, without the header."""

    name: str
    rows: int


class ImportRefusal(BaseModel):
    """A refused row: its line in the file, its phone cell (or the start of the row) and the reason."""

    line: int
    value: str
    kind: str
    reason: str


class Import(BaseModel):
    """An import. Each of `rows` was added, already there or refused; progress is `bytes_read` of `size`."""

    id: UUID
    campaign_id: UUID
    campaign_name: str
    file_name: str
    size: int | None
    bytes_stored: int
    bytes_read: int
    mapping: dict[str, str]
    zone_names: dict[str, str]
    has_header: bool
    default_region: str | None
    sheets: Annotated[list[ImportSheet], Field(description="The visible sheets of a workbook that have rows")]
    sheet: Annotated[str | None, Field(description="The sheet that the import reads, once it has been started")]
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
    undone_at: datetime | None
    removed: Annotated[int, Field(description="Contacts that undoing the import removed from the campaign")]

    @property
    def can_be_undone(self) -> bool:
        """Whether it is finished, added contacts and was not undone. It stays true after a call: undoing then fails."""
        return self.is_finished and self.added > 0 and self.undone_at is None

    @property
    def is_discarded(self) -> bool:
        """Whether it was cancelled before it read a row."""
        return self.status == ImportStatus.CANCELLED and self.started_at is None

    @property
    def is_open(self) -> bool:
        """Whether it has been started and is still waiting or at work."""
        return self.status in (ImportStatus.QUEUED, ImportStatus.RUNNING, ImportStatus.CANCELLING)

    @property
    def is_finished(self) -> bool:
        """Whether it has completed, failed or been cancelled."""
        return self.finished_at is not None


async def create_import(connection: Connection, context: OrganizationContext, new: NewImport) -> Import:
    """Create an import; raises ResourceNotFound, or ResourceConflict when the campaign accepts no contacts."""
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
        default_region=upper_region(new.default_region),
        created_by=context.caller.user_id,
        now=now,
    )
    return await find_import(connection, context, import_id)


async def check_campaign(
    connection: Connection, context: OrganizationContext, campaign_id: UUID
) -> campaign_status.CampaignState:
    """Return the campaign; raises ResourceNotFound, and ResourceConflict when it accepts no more contacts."""
    campaign = await campaign_status.campaign_status(connection, campaign_id=campaign_id)
    if campaign is None or campaign.organization_id != context.organization_id:
        raise ResourceNotFound("Campaign not found")
    if campaign.status not in OPEN_TO_IMPORT:
        raise ResourceConflict(
            f"This campaign is {campaign.status} and accepts no more contacts", status=campaign.status
        )
    return campaign


async def find_import(connection: Connection, context: OrganizationContext, import_id: UUID) -> Import:
    """Return an import of the organization; raises ResourceNotFound."""
    return _import(await find_import_row(connection, context, import_id))


async def find_import_row(connection: Connection, context: OrganizationContext, import_id: UUID) -> imports.ImportRow:
    """Return an import of the organization as it is stored; raises ResourceNotFound."""
    row = await imports.show_import(connection, import_id=import_id, organization_id=context.organization_id)
    if row is None:
        raise ResourceNotFound("Import not found")
    return row


async def list_imports(
    connection: Connection, context: OrganizationContext, page: PageRequest, campaign_id: UUID | None = None
) -> Page[Import]:
    """Return a page of imports, newest first."""
    after = page.key(tuple[CursorTime, UUID]) or (None, None)
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
    """Store a file, or the part of it that starts at `offset`; the import is ready once `total` bytes are stored.

    Without `total` the body is the whole file. Each chunk is stored in its own transaction, so an interrupted upload
    resumes at `bytes_stored`. A workbook is stored as CSV. Raises ResourceConflict for a part that does not start there
    and for a started import, InvalidInput for an empty file or a workbook that cannot be read, and RequestTooLarge.
    """
    if total is not None and total > MAX_FILE_BYTES:
        raise file_too_large(MAX_FILE_BYTES)
    async with context.transaction() as connection:
        found = await find_import(connection, context, import_id)
        if offset == 0:
            restarted = await imports.restart_upload(
                connection,
                import_id=found.id,
                organization_id=context.organization_id,
                size=total,
                now=context.studio.clock.now(),
            )
            if restarted is None:
                raise ResourceConflict(
                    f"The import is {found.status}: create a new one for another file", status=found.status
                )
            await imports.delete_import_chunks(connection, import_id=found.id)
            found = await find_import(connection, context, import_id)
        if found.status != ImportStatus.UPLOADING or found.bytes_stored != offset:
            raise ResourceConflict(
                f"The import is {found.status} with {found.bytes_stored:,} bytes stored: resume from there",
                status=found.status,
                bytes_stored=found.bytes_stored,
            )
    try:
        async with aclosing(_chunks(body)) as chunks:  # type: ignore[type-var]  # an async generator
            async for chunk in chunks:
                await _store(context, import_id, offset, chunk)
                offset += len(chunk)
    except ClientDisconnect:
        raise InvalidInput("The upload was interrupted: resume at bytes_stored") from None
    if offset == 0:
        raise InvalidInput("The file is empty", {"file": "select a CSV or XLSX file with a header row, or JSON lines"})
    if total is None or offset >= total:
        await _complete(context, import_id, offset)
    async with context.transaction() as connection:
        return await find_import(connection, context, import_id)


async def _complete(context: OrganizationContext, import_id: UUID, size: int) -> None:
    clock, changed = context.studio.clock, "Another upload of this file is in progress, or the import was cancelled"
    async with context.transaction() as connection:
        # A worker completes the upload if this process dies from here on.
        if await uploads.receive_upload(connection, import_id=import_id, stored=size, now=clock.now()) is None:
            raise ResourceConflict(changed)
    ended = await complete_upload(
        context.transaction, organization_id=context.organization_id, import_id=import_id, size=size, clock=clock
    )
    match ended:
        case UploadReady():
            return
        case UploadUnusable(reason):
            raise InvalidInput(sentence_case(reason), {"file": reason})
        case UploadChanged():
            raise ResourceConflict(changed)
        case _:
            assert_never(ended)


async def _chunks(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    buffer = bytearray()
    async for received in body:
        buffer += received
        while len(buffer) >= CHUNK_BYTES:
            yield bytes(buffer[:CHUNK_BYTES])
            del buffer[:CHUNK_BYTES]
    if buffer:
        yield bytes(buffer)


async def _store(context: OrganizationContext, import_id: UUID, offset: int, chunk: bytes) -> None:
    if offset + len(chunk) > MAX_FILE_BYTES:
        raise file_too_large(MAX_FILE_BYTES)
    async with context.transaction() as connection:
        chunks = await imports.advance_upload(
            connection, import_id=import_id, offset=offset, length=len(chunk), now=context.studio.clock.now()
        )
        if chunks is None:
            raise ResourceConflict("Another upload of this file is in progress, or the import was cancelled")
        await imports.store_import_chunk(
            connection,
            organization_id=context.organization_id,
            import_id=import_id,
            number=chunks - 1,
            content=chunk,
        )


async def start_import(
    connection: Connection, context: OrganizationContext, import_id: UUID, how: ImportOptions
) -> Import:
    """Queue the import; raises ResourceConflict when its file is not uploaded or it has already been started."""
    row = await find_import_row(connection, context, import_id)
    found = _import(row)
    await check_campaign(connection, context, found.campaign_id)
    reading = reading_of(row, how)
    sheet, first = chosen_sheet(row, how.sheet)
    queued = await imports.queue_import(
        connection,
        import_id=import_id,
        organization_id=context.organization_id,
        mapping=encode_json(reading.mapping),
        zone_names=encode_json(reading.zone_names),
        has_header=reading.has_header,
        default_region=reading.default_region,
        sheet=None if sheet is None else sheet.name,
        bytes=found.bytes_stored if sheet is None else sheet.bytes,
        chunks=row.chunks if sheet is None else sheet.chunks,
        now=context.studio.clock.now(),
    )
    if queued is None:
        raise ResourceConflict(
            f"The import is {found.status}. It can be started once its file is uploaded", status=found.status
        )
    if len(found.sheets) > 1:
        await _keep_sheet(connection, import_id, first)
    await enqueue(connection, "import", import_id)
    await jobs.notify_jobs(connection, organization_id=context.organization_id)
    return await find_import(connection, context, import_id)


async def _keep_sheet(connection: Connection, import_id: UUID, first: int) -> None:
    """Leave only the sheet that starts at chunk `first`, as the file that the run reads."""
    await uploads.delete_chunks_outside(connection, import_id=import_id, first=first, following=first + SHEET_CHUNKS)
    if first:
        await uploads.copy_chunks_to_start(connection, import_id=import_id, first=first)
        await uploads.delete_chunks_outside(connection, import_id=import_id, first=0, following=first)


async def cancel_import(connection: Connection, context: OrganizationContext, import_id: UUID) -> Import:
    """Cancel an import. Contacts added so far stay in the campaign. Raises ResourceConflict when it has finished."""
    found = await find_import(connection, context, import_id)
    if found.status in (ImportStatus.CANCELLING, ImportStatus.CANCELLED):
        return found
    cancelled = await imports.cancel_import(
        connection, import_id=import_id, organization_id=context.organization_id, now=context.studio.clock.now()
    )
    if cancelled is None:
        raise ResourceConflict(f"The import is already {found.status}", status=found.status)
    found = await find_import(connection, context, import_id)
    if found.status == ImportStatus.CANCELLED:
        await imports.delete_import_chunks(connection, import_id=import_id)
    details = {"import_id": import_id, "added": found.added}
    await record_audit(
        connection,
        context=context,
        action="cancel_import",
        subject_type="campaign",
        subject_id=found.campaign_id,
        details=details,
    )
    await jobs.notify_jobs(connection, organization_id=context.organization_id)
    return found


async def undo_import(context: OrganizationContext, import_id: UUID) -> Import:
    """Remove the contacts that an import added.

    Raises ResourceConflict if one was called, while the import runs, and under legal hold.
    """
    async with context.transaction() as connection:
        found = await find_import(connection, context, import_id)
    if found.undone_at is not None:
        return found
    if not found.is_finished:
        raise ResourceConflict(f"The import is {found.status}: cancel it first", status=found.status)
    now = context.studio.clock.now()
    match await undo.undo_import(context.transaction, found.campaign_id, import_id, context.actor, now):
        case (undo.AlreadyCalled() | undo.UndoHeld()) as refused:
            raise ResourceConflict(sentence_case(refused.reason), status=found.status)
        case NotFound() | Forbidden():
            raise ResourceNotFound("Campaign not found")
    async with context.transaction() as connection:
        await jobs.notify_jobs(connection, organization_id=context.organization_id)
        return await find_import(connection, context, import_id)


async def list_refused_rows(
    connection: Connection, context: OrganizationContext, import_id: UUID, page: PageRequest
) -> Page[ImportRefusal]:
    """Return a page of the refused rows, in file order. Only the first ten thousand are kept."""
    await find_import(connection, context, import_id)
    key = page.key(tuple[int])
    rows = await import_refusals.list_refusals(
        connection,
        import_id=import_id,
        organization_id=context.organization_id,
        after_line=key[0] if key else 0,
        limit=page.limit + 1,
    )
    shown, following = paginate(rows, page.limit, lambda row: [row.line])
    return Page(items=[ImportRefusal.model_validate(row, from_attributes=True) for row in shown], next=following)


async def import_header(connection: Connection, context: OrganizationContext, import_id: UUID) -> list[str]:
    """Return the names of the file's columns; none if the import has not finished."""
    header = await imports.import_header(connection, import_id=import_id, organization_id=context.organization_id)
    return msgspec.json.decode(header or "[]", type=list[str])


async def iterate_refused_rows(
    context: OrganizationContext, import_id: UUID
) -> AsyncIterator[import_refusals.WholeRefusal]:
    """Yield every stored refused row with its cells, reading 200 at a time: each may have 64 KiB."""
    line = 0
    while True:
        async with context.transaction() as connection:
            rows = await import_refusals.list_whole_refusals(
                connection,
                import_id=import_id,
                organization_id=context.organization_id,
                after_line=line,
                limit=200,
            )
        for row in rows:
            yield row
        if len(rows) < 200:
            return
        line = rows[-1].line


def _import(row: imports.ImportRow) -> Import:
    kept: Mapping[str, Any] = {name: getattr(row, name) for name in Import.model_fields if name not in _JSON}
    # Members can also write the mapping with SQL.
    return Import(
        **kept,
        mapping=decode_texts(row.mapping),
        zone_names=decode_texts(row.zone_names),
        sheets=[ImportSheet(name=sheet.name, rows=sheet.rows) for sheet in stored_sheets(row.sheets)],
        refused_by_kind=msgspec.json.decode(row.refused_by_kind),
        notices=msgspec.json.decode(row.notices),
    )


_JSON: Final = ("mapping", "zone_names", "sheets", "refused_by_kind", "notices")
