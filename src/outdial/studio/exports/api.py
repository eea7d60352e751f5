"""Routes of the API for exports."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from outdial.studio.exports import service as resource
from outdial.studio.exports.service import Export, NewExport
from outdial.studio.imports.api import CSV_ANSWER
from outdial.studio.web.context import AtWork, Workplace
from outdial.studio.web.paging import AskedPage, Page
from outdial.studio.web.preconditions import IdempotencyKey, created_once

router = APIRouter(prefix="/organizations/{organization_id}/exports", tags=["exports"])


@router.get("")
async def list_exports(at: AtWork, asked: AskedPage) -> Page[Export]:
    """List exports, the newest first."""
    async with at.transaction() as connection:
        return await resource.list_exports(connection, at, asked)


@router.post("", status_code=201, response_model=Export)
async def create_export(at: AtWork, request: Request, new: NewExport, key: IdempotencyKey = None) -> Response:
    """Let a CSV file be written in the background; fetch it once the export is completed."""
    at.require("operator")
    return await created_once(at, request, key, lambda c: resource.create_export(c, at, new))


@router.get("/{export_id}")
async def get_export(at: AtWork, export_id: UUID) -> Export:
    """Return an export: how it stands and how far it is."""
    async with at.transaction() as connection:
        return await resource.find_export(connection, at, export_id)


@router.post("/{export_id}/cancel")
async def cancel_export(at: AtWork, export_id: UUID) -> Export:
    """End an export that is not completed."""
    at.require("operator")
    async with at.transaction() as connection:
        return await resource.cancel_export(connection, at, export_id)


@router.get("/{export_id}/file", response_class=StreamingResponse, responses=CSV_ANSWER)
async def fetch_file(at: AtWork, export_id: UUID) -> Response:
    """Return the file of a completed export: RFC 4180, UTF-8; text that looks like a formula has a `'` in front."""
    return await file_answer(at, export_id)


async def file_answer(at: Workplace, export_id: UUID) -> Response:
    """Return the answer that sends the file of an export; raises NotFound and Conflict."""
    found, pieces = await resource.export_file(at, export_id)
    headers = {
        "content-disposition": f'attachment; filename="{found.file_name}"',
        "content-length": str(found.size),
        "cache-control": "no-store",
    }
    return StreamingResponse(pieces, media_type="text/csv", headers=headers)
