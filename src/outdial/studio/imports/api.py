"""API routes for imports."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from outdial.campaigns.importing.refusals import REFUSED_COLUMNS, unescape_cell
from outdial.jobs.csv_cells import CsvBuffer
from outdial.studio.imports import previews
from outdial.studio.imports import service as imports
from outdial.studio.imports.previews import ImportPreview
from outdial.studio.imports.reading import ImportOptions
from outdial.studio.imports.service import Import, ImportRefusal, NewImport
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IdempotencyKey, idempotent_response
from outdial.studio.web.uploads import FILE_BODY, uploaded_file

router = ApiRouter(prefix="/organizations/{organization_id}/imports", tags=["imports"])
_RANGE: Final = re.compile(r"bytes (\d{1,12})-(\d{1,12})/(\d{1,12})")
CSV_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A CSV file"}
}


@router.get("")
async def list_imports(
    context: CurrentOrganization,
    page: PageQuery,
    campaign_id: Annotated[UUID | None, Query(description="Filter by campaign")] = None,
) -> Page[Import]:
    """List imports, newest first."""
    async with context.transaction() as connection:
        return await imports.list_imports(connection, context, page, campaign_id)


@router.post("", status_code=201, response_model=Import)
async def create_import(
    context: CurrentOrganization, request: Request, new: NewImport, key: IdempotencyKey = None
) -> Response:
    """Create an import. Then upload its file, check the preview and start it."""
    context.require("operator")
    return await idempotent_response(context, request, key, lambda c: imports.create_import(c, context, new))


@router.get("/{import_id}")
async def get_import(context: CurrentOrganization, import_id: UUID) -> Import:
    """Return an import with its status and progress."""
    async with context.transaction() as connection:
        return await imports.find_import(connection, context, import_id)


@router.put("/{import_id}/file", openapi_extra=FILE_BODY)
async def upload_import_file(
    context: CurrentOrganization,
    import_id: UUID,
    request: Request,
    content_range: Annotated[
        str | None,
        Header(
            description="For uploads in parts, such as `bytes 0-1048575/5000000`. Each part starts at the import's "
            "`bytes_stored`. Without this header, the body is the whole file.",
            max_length=100,
        ),
    ] = None,
) -> Import:
    """Upload the CSV, XLSX or JSON lines file, whole or in parts. An interrupted upload resumes at `bytes_stored`.

    The visible sheets of a workbook are stored as CSV: `size` is then that of the first one, and a line is a row.
    `sheets` lists them; preview and start read the first one unless `sheet` names another.

    Send the file as the body, or as the part `file` of a form.
    """
    context.require("operator")
    offset, total = 0, None
    if content_range is not None:
        found = _RANGE.fullmatch(content_range.strip())
        if found is None or not int(found[1]) <= int(found[2]) < int(found[3]):
            raise InvalidInput("Invalid Content-Range", {"content-range": "use the format bytes 0-1048575/5000000"})
        offset, total = int(found[1]), int(found[3])
    async with uploaded_file(request, imports.MAX_FILE_BYTES) as chunks:
        return await imports.receive_file(context, import_id, chunks, offset=offset, total=total)


@router.post("/{import_id}/preview")
async def preview_import(
    context: CurrentOrganization, import_id: UUID, options: ImportOptions | None = None
) -> ImportPreview:
    """Preview the import from the first thousand rows of the file. Stores nothing."""
    context.require("operator")
    return await previews.preview_import(context, import_id, options or ImportOptions())


@router.post("/{import_id}/start")
async def start_import(context: CurrentOrganization, import_id: UUID, options: ImportOptions | None = None) -> Import:
    """Start the import in the background."""
    context.require("operator")
    async with context.transaction() as connection:
        return await imports.start_import(connection, context, import_id, options or ImportOptions())


@router.post("/{import_id}/cancel")
async def cancel_import(context: CurrentOrganization, import_id: UUID) -> Import:
    """Cancel an import. Contacts added so far stay in the campaign."""
    context.require("operator")
    async with context.transaction() as connection:
        return await imports.cancel_import(connection, context, import_id)


@router.post("/{import_id}/undo")
async def undo_import(context: CurrentOrganization, import_id: UUID) -> Import:
    """Remove the contacts that a finished import added. Returns 409 once one of them has been called.

    Contacts that the import created also leave the organization, unless they have been changed or used since.
    """
    context.require("operator")
    return await imports.undo_import(context, import_id)


@router.get("/{import_id}/refusals")
async def list_refused_rows(context: CurrentOrganization, import_id: UUID, page: PageQuery) -> Page[ImportRefusal]:
    """List the refused rows, in file order."""
    async with context.transaction() as connection:
        return await imports.list_refused_rows(connection, context, import_id, page)


@router.get("/{import_id}/refusals.csv", response_class=StreamingResponse, responses=CSV_RESPONSE)
async def download_refused_rows(context: CurrentOrganization, import_id: UUID) -> Response:
    """Download the refused rows as a CSV file with their cells and reasons. It can be corrected and imported again."""
    return await refused_rows_response(context, import_id)


async def preview_refused_rows(context: OrganizationContext, import_id: UUID, options: ImportOptions) -> Response:
    """Return the response that downloads the rows that a preview refuses; raises what `preview_import` raises."""
    checked = await previews.check_first_rows(context, import_id, options)
    header = [unescape_cell(column) for column in checked.preview.file_header]
    text = CsvBuffer([*REFUSED_COLUMNS, *header])
    for row in checked.refused:
        text.add([row.line, row.kind.value, row.reason, *map(unescape_cell, row.cells)])
    return Response(text.take(), media_type="text/csv", headers=_file_headers(import_id))


async def refused_rows_response(context: OrganizationContext, import_id: UUID) -> Response:
    """Return the response that downloads the refused rows; raises ResourceNotFound."""
    async with context.transaction() as connection:
        await imports.find_import(connection, context, import_id)
        header = await imports.import_header(connection, context, import_id)
    rows = _refused_rows_csv(context, import_id, header)
    return StreamingResponse(rows, media_type="text/csv", headers=_file_headers(import_id))


def _file_headers(import_id: UUID) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="rows-to-fix-{import_id}.csv"', "cache-control": "no-store"}


async def _refused_rows_csv(
    context: OrganizationContext, import_id: UUID, header: Sequence[str]
) -> AsyncIterator[bytes]:
    # Without a header, the import is still running or older than the column that keeps it.
    text = CsvBuffer([*REFUSED_COLUMNS, *(list(map(unescape_cell, header)) or ["value"])])
    async for row in imports.iterate_refused_rows(context, import_id):
        cells = msgspec.json.decode(row.cells, type=list[str]) if header else [row.value]
        text.add([row.line, row.kind, row.reason, *map(unescape_cell, cells)])
        if text.length > 64 * 1024:
            yield text.take()
    yield text.take()
