"""Routes of the API for exports."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from outdial.studio.exports import service as resource
from outdial.studio.exports.service import Export, NewExport
from outdial.studio.imports.api import CSV_RESPONSE
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IdempotencyKey, idempotent_response

router = APIRouter(prefix="/organizations/{organization_id}/exports", tags=["exports"])


@router.get("")
async def list_exports(context: CurrentOrganization, page: PageQuery) -> Page[Export]:
    """List exports, the newest first."""
    async with context.transaction() as connection:
        return await resource.list_exports(connection, context, page)


@router.post("", status_code=201, response_model=Export)
async def create_export(
    context: CurrentOrganization, request: Request, new: NewExport, key: IdempotencyKey = None
) -> Response:
    """Let a CSV file be written in the background; fetch it once the export is completed."""
    context.require("operator")
    return await idempotent_response(context, request, key, lambda c: resource.create_export(c, context, new))


@router.get("/{export_id}")
async def get_export(context: CurrentOrganization, export_id: UUID) -> Export:
    """Return an export: how it stands and how far it is."""
    async with context.transaction() as connection:
        return await resource.find_export(connection, context, export_id)


@router.post("/{export_id}/cancel")
async def cancel_export(context: CurrentOrganization, export_id: UUID) -> Export:
    """End an export that is not completed."""
    context.require("operator")
    async with context.transaction() as connection:
        return await resource.cancel_export(connection, context, export_id)


@router.get("/{export_id}/file", response_class=StreamingResponse, responses=CSV_RESPONSE)
async def fetch_file(context: CurrentOrganization, export_id: UUID) -> Response:
    """Return the file of a completed export: RFC 4180, UTF-8; text that looks like a formula has a `'` in front."""
    return await export_file_response(context, export_id)


async def export_file_response(context: OrganizationContext, export_id: UUID) -> Response:
    """Return the answer that sends the file of an export; raises NotFound and Conflict."""
    found, pieces = await resource.export_file(context, export_id)
    headers = {
        "content-disposition": f'attachment; filename="{found.file_name}"',
        "content-length": str(found.size),
        "cache-control": "no-store",
    }
    return StreamingResponse(pieces, media_type="text/csv", headers=headers)
