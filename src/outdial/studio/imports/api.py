"""Routes of the API for imports."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from outdial.jobs.csv_cells import CsvText
from outdial.studio.imports import service as resource
from outdial.studio.imports.previews import ImportPreview, preview_import
from outdial.studio.imports.service import Import, NewImport, Refusal, StartImport
from outdial.studio.web.context import AtWork, Workplace
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.paging import AskedPage, Page
from outdial.studio.web.preconditions import IdempotencyKey, created_once

router = APIRouter(prefix="/organizations/{organization_id}/imports", tags=["imports"])
_RANGE: Final = re.compile(r"bytes (\d{1,12})-(\d{1,12})/(\d{1,12})")
_FILE: Final = {"content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}, "required": True}
CSV_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A CSV file"}
}


@router.get("")
async def list_imports(
    at: AtWork,
    asked: AskedPage,
    campaign_id: Annotated[UUID | None, Query(description="Only imports into this campaign")] = None,
) -> Page[Import]:
    """List imports, the newest first."""
    async with at.transaction() as connection:
        return await resource.list_imports(connection, at, asked, campaign_id)


@router.post("", status_code=201, response_model=Import)
async def create_import(at: AtWork, request: Request, new: NewImport, key: IdempotencyKey = None) -> Response:
    """Make an import. Send its file next, look at the preview, then start it."""
    at.require("operator")
    return await created_once(at, request, key, lambda c: resource.create_import(c, at, new))


@router.get("/{import_id}")
async def get_import(at: AtWork, import_id: UUID) -> Import:
    """Return an import: how it stands and how far it is."""
    async with at.transaction() as connection:
        return await resource.find_import(connection, at, import_id)


@router.put("/{import_id}/file", openapi_extra={"requestBody": _FILE})
async def send_file(
    at: AtWork,
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
    at.require("operator")
    first, total = _range(content_range)
    return await resource.receive_file(at, import_id, _body(request), offset=first, total=total)


@router.post("/{import_id}/preview")
async def preview(at: AtWork, import_id: UUID, how: StartImport | None = None) -> ImportPreview:
    """Tell what an import of the file would do, from its first thousand rows, without storing anything."""
    at.require("operator")
    how = how or StartImport()
    return await preview_import(at, import_id, how.mapping, how.default_region)


@router.post("/{import_id}/start")
async def start_import(at: AtWork, import_id: UUID, how: StartImport | None = None) -> Import:
    """Let the import begin in the background."""
    at.require("operator")
    async with at.transaction() as connection:
        return await resource.start_import(connection, at, import_id, how or StartImport())


@router.post("/{import_id}/cancel")
async def cancel_import(at: AtWork, import_id: UUID) -> Import:
    """End an import; contacts that have gone in stay."""
    at.require("operator")
    async with at.transaction() as connection:
        return await resource.cancel_import(connection, at, import_id)


@router.get("/{import_id}/refusals")
async def list_refusals(at: AtWork, import_id: UUID, asked: AskedPage) -> Page[Refusal]:
    """List the rows that were refused, in the order of the file."""
    async with at.transaction() as connection:
        return await resource.list_refusals(connection, at, import_id, asked)


@router.get("/{import_id}/refusals.csv", response_class=StreamingResponse, responses=CSV_ANSWER)
async def refusals_file(at: AtWork, import_id: UUID) -> Response:
    """Return the refused rows as a CSV file."""
    return await refusals_answer(at, import_id)


async def refusals_answer(at: Workplace, import_id: UUID) -> Response:
    """Return the answer that sends the refused rows as a file; raises NotFound."""
    async with at.transaction() as connection:
        await resource.find_import(connection, at, import_id)
    headers = {"content-disposition": f'attachment; filename="refused-{import_id}.csv"', "cache-control": "no-store"}
    return StreamingResponse(_refusals(at, import_id), media_type="text/csv", headers=headers)


async def _refusals(at: Workplace, import_id: UUID) -> AsyncIterator[bytes]:
    text = CsvText(["line", "value", "kind", "reason"])
    async for row in resource.all_refusals(at, import_id):
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
