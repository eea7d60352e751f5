"""API routes for exports."""

from typing import Any, Final
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from outdial.jobs.tables import MEDIA_TYPES
from outdial.studio.exports import service as exports
from outdial.studio.exports.service import Export, NewExport
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IdempotencyKey, idempotent_response

_FILE_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            MEDIA_TYPES["csv"]: {"schema": {"type": "string"}},
            MEDIA_TYPES["jsonl"]: {"schema": {"type": "string"}},
            MEDIA_TYPES["xlsx"]: {"schema": {"type": "string", "format": "binary"}},
        },
        "description": "The file",
    }
}

router = ApiRouter(prefix="/organizations/{organization_id}/exports", tags=["exports"])


@router.get("")
async def list_exports(context: CurrentOrganization, page: PageQuery) -> Page[Export]:
    """List exports, newest first."""
    async with context.transaction() as connection:
        return await exports.list_exports(connection, context, page)


@router.post("", status_code=201, response_model=Export)
async def create_export(
    context: CurrentOrganization, request: Request, new: NewExport, key: IdempotencyKey = None
) -> Response:
    """Create a file in the background: CSV, XLSX or JSON lines. Download it once the export is completed.

    Results have one row per contact of a campaign: the contact, its status, its last call, the analysis of its last
    conversation, and a column for each custom analysis field and each variable.
    """
    context.require("operator")
    return await idempotent_response(context, request, key, lambda c: exports.create_export(c, context, new))


@router.get("/{export_id}")
async def get_export(context: CurrentOrganization, export_id: UUID) -> Export:
    """Return an export with its status and progress."""
    async with context.transaction() as connection:
        return await exports.find_export(connection, context, export_id)


@router.post("/{export_id}/cancel")
async def cancel_export(context: CurrentOrganization, export_id: UUID) -> Export:
    """Cancel an export that has not completed."""
    context.require("operator")
    async with context.transaction() as connection:
        return await exports.cancel_export(connection, context, export_id)


@router.get("/{export_id}/file", response_class=StreamingResponse, responses=_FILE_RESPONSE)
async def download_export(context: CurrentOrganization, export_id: UUID) -> Response:
    """Download a completed export. CSV: RFC 4180, UTF-8, cells that look like formulas are prefixed with `'`."""
    return await export_file_response(context, export_id)


async def export_file_response(context: OrganizationContext, export_id: UUID) -> Response:
    """Return the response that downloads an export; raises ResourceNotFound and ResourceConflict."""
    found, chunks = await exports.export_file(context, export_id)
    headers = {
        "content-disposition": f'attachment; filename="{found.file_name}"',
        "content-length": str(found.size),
        "cache-control": "no-store",
    }
    return StreamingResponse(chunks, media_type=MEDIA_TYPES[found.format], headers=headers)
