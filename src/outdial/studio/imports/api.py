"""Routes of the API for imports."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from outdial.jobs.csv_cells import CsvBuffer
from outdial.studio.imports import service as resource
from outdial.studio.imports.previews import ImportPreview, preview_import
from outdial.studio.imports.service import Import, ImportOptions, NewImport, RefusedRow
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IdempotencyKey, idempotent_response

router = APIRouter(prefix="/organizations/{organization_id}/imports", tags=["imports"])
_RANGE: Final = re.compile(r"bytes (\d{1,12})-(\d{1,12})/(\d{1,12})")
_FILE: Final = {"content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}, "required": True}
CSV_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A CSV file"}
}


@router.get("")
async def list_imports(
    context: CurrentOrganization,
    page: PageQuery,
    campaign_id: Annotated[UUID | None, Query(description="Only imports into this campaign")] = None,
) -> Page[Import]:
    """List imports, the newest first."""
    async with context.transaction() as connection:
        return await resource.list_imports(connection, context, page, campaign_id)


@router.post("", status_code=201, response_model=Import)
async def create_import(
    context: CurrentOrganization, request: Request, new: NewImport, key: IdempotencyKey = None
) -> Response:
    """Make an import. Send its file next, look at the preview, then start it."""
    context.require("operator")
    return await idempotent_response(context, request, key, lambda c: resource.create_import(c, context, new))


@router.get("/{import_id}")
async def get_import(context: CurrentOrganization, import_id: UUID) -> Import:
    """Return an import: how it stands and how far it is."""
    async with context.transaction() as connection:
        return await resource.find_import(connection, context, import_id)


@router.put("/{import_id}/file", openapi_extra={"requestBody": _FILE})
async def send_file(
    context: CurrentOrganization,
    import_id: UUID,
    request: Request,
    content_range: Annotated[
        str | None,
        Header(
            description="`bytes 0-1048575/5000000`: a part of the file, which begins where the one before ended: "
            "`bytes_stored` of the import tells. Without this header the body is the whole file.",
            max_length=100,
        ),
    ] = None,
) -> Import:
    """Send the CSV file, in one go or in parts; what has arrived of a broken request stays."""
    context.require("operator")
    first, total = _range(content_range)
    return await resource.receive_file(context, import_id, _body(request), offset=first, total=total)


@router.post("/{import_id}/preview")
async def preview(context: CurrentOrganization, import_id: UUID, how: ImportOptions | None = None) -> ImportPreview:
    """Tell what an import of the file would do, from its first thousand rows, without storing anything."""
    context.require("operator")
    how = how or ImportOptions()
    return await preview_import(context, import_id, how.mapping, how.default_region)


@router.post("/{import_id}/start")
async def start_import(context: CurrentOrganization, import_id: UUID, how: ImportOptions | None = None) -> Import:
    """Let the import begin in the background."""
    context.require("operator")
    async with context.transaction() as connection:
        return await resource.start_import(connection, context, import_id, how or ImportOptions())


@router.post("/{import_id}/cancel")
async def cancel_import(context: CurrentOrganization, import_id: UUID) -> Import:
    """End an import; contacts that have gone in stay."""
    context.require("operator")
    async with context.transaction() as connection:
        return await resource.cancel_import(connection, context, import_id)


@router.get("/{import_id}/refusals")
async def list_refusals(context: CurrentOrganization, import_id: UUID, page: PageQuery) -> Page[RefusedRow]:
    """List the rows that were refused, in the order of the file."""
    async with context.transaction() as connection:
        return await resource.list_refusals(connection, context, import_id, page)


@router.get("/{import_id}/refusals.csv", response_class=StreamingResponse, responses=CSV_RESPONSE)
async def refusals_file(context: CurrentOrganization, import_id: UUID) -> Response:
    """Return the refused rows as a CSV file."""
    return await refused_rows_response(context, import_id)


async def refused_rows_response(context: OrganizationContext, import_id: UUID) -> Response:
    """Return the answer that sends the refused rows as a file; raises NotFound."""
    async with context.transaction() as connection:
        await resource.find_import(connection, context, import_id)
    headers = {"content-disposition": f'attachment; filename="refused-{import_id}.csv"', "cache-control": "no-store"}
    return StreamingResponse(_refusals(context, import_id), media_type="text/csv", headers=headers)


async def _refusals(context: OrganizationContext, import_id: UUID) -> AsyncIterator[bytes]:
    text = CsvBuffer(["line", "value", "kind", "reason"])
    async for row in resource.all_refusals(context, import_id):
        text.add([row.line, row.value, row.kind, row.reason])
        if text.length > 64 * 1024:
            yield text.take()
    yield text.take()


def _range(header: str | None) -> tuple[int, int | None]:
    if header is None:
        return 0, None
    found = _RANGE.fullmatch(header.strip())
    if found is None or not int(found[1]) <= int(found[2]) < int(found[3]):
        raise InvalidInput("Content-Range cannot be read", {"content-range": "as bytes 0-1048575/5000000"})
    return int(found[1]), int(found[3])


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for received in request.stream():
            yield received
    except ClientDisconnect:
        raise InvalidInput("The file did not arrive in full: go on where bytes_stored says") from None
