"""Pages for imports: choose a file, look at the preview, follow the import, read the report."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData, UploadFile

from outdial.campaigns.importing.preview import FIELDS
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.imports import service as resource
from outdial.studio.imports.api import refused_rows_response
from outdial.studio.imports.previews import preview_import
from outdial.studio.imports.service import LARGEST_FILE, PIECE, Import, ImportOptions, NewImport
from outdial.studio.view.badges import humanize
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput, RequestTooLarge
from outdial.studio.web.forms import Form, checked_form, redirect, text
from outdial.studio.web.paging import PageRequest
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}")

SHOWN_REFUSALS: Final = 50
_EARLIER: Final = 10
_ROOM_FOR_FIELDS: Final = 64 * 1024


async def uploaded_form(request: Request, context: CurrentOrganization) -> AsyncIterator[FormData]:
    """Give a form with a file: from an operator only, and no larger than a file may be."""
    context.require("operator")
    async with form_of_at_most(request, LARGEST_FILE) as form:
        yield form


@asynccontextmanager
async def form_of_at_most(request: Request, largest: int) -> AsyncIterator[FormData]:
    """Give a form whose file has at most `largest` bytes: it is written to disk before anybody looks at it."""
    announced = request.headers.get("content-length", "")
    if not announced.isdigit():
        raise InvalidInput("Send the form with a Content-Length")
    if int(announced) > largest + _ROOM_FOR_FIELDS:
        raise RequestTooLarge(f"A file may have {largest >> 20:,} MiB: split it, each part with the header row")
    try:
        yield await checked_form(request)
    finally:
        # The file on disk goes, also when the form is refused.
        await request.close()


Uploaded = Annotated[FormData, Depends(uploaded_form)]


@router.get("/campaigns/{campaign_id}/import")
async def choose_page(request: Request, context: CurrentOrganization, campaign_id: UUID) -> HTMLResponse:
    """Show where a file is chosen, and the imports into the campaign so far."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        earlier = await resource.list_imports(connection, context, PageRequest(None, _EARLIER), campaign_id)
    return page(request, "imports/choose.html", context, campaign=campaign, earlier=earlier.items, largest=LARGEST_FILE)


@router.post("/imports")
async def upload(context: CurrentOrganization, form: Uploaded) -> Response:
    """Take a file from a browser without our script, and go on to its preview."""
    file = form.get("file")
    name = (file.filename or "").strip() if isinstance(file, UploadFile) else ""
    if not isinstance(file, UploadFile) or not name:
        raise InvalidInput("No file was chosen: go back and choose a CSV file", {"file": "choose a CSV file"})
    try:
        campaign_id = UUID(text(form, "campaign_id"))
    except ValueError:
        raise InvalidInput("This form names no campaign", {"campaign_id": "load the page again"}) from None
    new = NewImport(campaign_id=campaign_id, file_name=name[-300:], default_region=region_of(form))
    async with context.transaction() as connection:
        created = await resource.create_import(connection, context, new)
    await resource.receive_file(context, created.id, _pieces(file))
    return redirect(f"/o/{context.organization_id}/imports/{created.id}")


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(PIECE):
        yield piece


@router.get("/imports/{import_id}")
async def show_page(request: Request, context: CurrentOrganization, import_id: UUID) -> HTMLResponse:
    """Show an import as it stands: its preview before it is started, then its progress, then its report."""
    async with context.transaction() as connection:
        found = await resource.find_import(connection, context, import_id)
        refusals = await resource.list_refusals(connection, context, import_id, PageRequest(None, SHOWN_REFUSALS))
    if found.status == "ready" and context.may("operator"):
        return await _preview_page(request, context, found)
    return page(
        request, "imports/show.html", context, job=found, refusals=refusals.items, more=refusals.next is not None
    )


async def _preview_page(request: Request, context: CurrentOrganization, found: Import) -> HTMLResponse:
    query: Mapping[str, str] = request.query_params
    mapping = mapping_of(query) if "region" in query else None
    region = region_of(query) if "region" in query else found.default_region
    shown = await preview_import(context, found.id, mapping, region)
    chosen = shown.mapping or mapping or found.mapping
    return page(
        request,
        "imports/preview.html",
        context,
        job=found,
        preview=shown,
        region=region or "",
        fields=[(name, humanize(name), chosen.get(name, "")) for name in FIELDS],
        columns=[("", "by its name, or none"), *((name, name) for name in shown.header)],
        start_fields={"region": region or "", **{f"map_{name}": column for name, column in chosen.items()}},
    )


@router.post("/imports/{import_id}/start")
async def start(context: CurrentOrganization, import_id: UUID, form: Form) -> Response:
    """Let the import begin, with the mapping that the preview showed."""
    context.require("operator")
    how = ImportOptions(mapping=mapping_of(form), default_region=region_of(form))
    async with context.transaction() as connection:
        await resource.start_import(connection, context, import_id, how)
    return redirect(f"/o/{context.organization_id}/imports/{import_id}", "The import is on its way.")


@router.post("/imports/{import_id}/cancel")
async def cancel(context: CurrentOrganization, import_id: UUID, form: Form) -> Response:
    """End an import."""
    context.require("operator")
    async with context.transaction() as connection:
        found = await resource.cancel_import(connection, context, import_id)
    said = "The import is cancelled." if found.is_over else "The import ends with the rows under way."
    return redirect(f"/o/{context.organization_id}/imports/{import_id}", said, "info")


@router.get("/imports/{import_id}/refusals.csv")
async def refusals_file(context: CurrentOrganization, import_id: UUID) -> Response:
    """Send the refused rows as a file."""
    return await refused_rows_response(context, import_id)


def mapping_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that were chosen for fields."""
    chosen = {name: values.get(f"map_{name}") for name in FIELDS}
    return {name: column[:200] for name, column in chosen.items() if isinstance(column, str) and column}


def region_of(values: Mapping[str, Any]) -> str | None:
    """Return the country that was chosen; raises InvalidInput for what is no country code."""
    region = str(values.get("region") or "").strip().upper()
    if region and not (len(region) == 2 and region.isascii() and region.isalpha()):
        raise InvalidInput("The country is two letters, such as US", {"region": "two letters, such as US"})
    return region or None
