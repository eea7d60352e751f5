"""Pages for imports: choose a file, preview, progress and result."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData, UploadFile

from outdial.campaigns.importing.preview import FIELDS
from outdial.campaigns.importing.workbooks import MOST_WORKBOOK_BYTES
from outdial.domain.contact_fields import CONTACT_FIELDS
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.imports import service as imports
from outdial.studio.imports.api import refused_rows_response
from outdial.studio.imports.previews import preview_import
from outdial.studio.imports.service import MAX_FILE_BYTES, ImportOptions, NewImport
from outdial.studio.view.badges import humanize
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput, ResourceConflict
from outdial.studio.web.forms import Form, limited_form, redirect, region_of, text
from outdial.studio.web.paging import PageRequest
from outdial.studio.web.rendering import page
from outdial.studio.web.uploads import file_chunks

NO_COLUMN: Final = "-"
"""The option for a field that is left out, even if a column is recognized."""
_LABELS: Final = {field.name: field.label for field in CONTACT_FIELDS}

router = APIRouter(prefix="/o/{organization_id}")

MAX_REFUSED_SHOWN: Final = 50
_MAX_EARLIER_IMPORTS: Final = 10


async def uploaded_form(request: Request, context: CurrentOrganization) -> AsyncIterator[FormData]:
    """Yield an operator's form with a file within the size limit."""
    context.require("operator")
    async with limited_form(request, MAX_FILE_BYTES) as form:
        yield form


Uploaded = Annotated[FormData, Depends(uploaded_form)]


@router.get("/campaigns/{campaign_id}/import")
async def choose_page(request: Request, context: CurrentOrganization, campaign_id: UUID) -> HTMLResponse:
    """Show the upload form and the campaign's earlier imports."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        earlier = await imports.list_imports(connection, context, PageRequest(None, _MAX_EARLIER_IMPORTS), campaign_id)
    return page(
        request,
        "imports/choose.html",
        context,
        campaign=campaign,
        earlier=earlier.items,
        max_mib=MAX_FILE_BYTES >> 20,
        max_workbook_mib=MOST_WORKBOOK_BYTES >> 20,
    )


@router.post("/imports")
async def upload(context: CurrentOrganization, form: Uploaded) -> Response:
    """Upload a file from a browser without JavaScript, then redirect to the preview."""
    file = form.get("file")
    name = (file.filename or "").strip() if isinstance(file, UploadFile) else ""
    if not isinstance(file, UploadFile) or not name:
        raise InvalidInput("No file selected: select a CSV, XLSX or JSON lines file", {"file": "select a file"})
    try:
        campaign_id = UUID(text(form, "campaign_id"))
    except ValueError:
        raise InvalidInput("Unknown campaign", {"campaign_id": "reload the page and try again"}) from None
    new = NewImport(campaign_id=campaign_id, file_name=name[-300:], default_region=region_of(form))
    async with context.transaction() as connection:
        created = await imports.create_import(connection, context, new)
    await imports.receive_file(context, created.id, file_chunks(file))
    return redirect(f"/o/{context.organization_id}/imports/{created.id}")


@router.get("/imports/{import_id}")
async def show_page(request: Request, context: CurrentOrganization, import_id: UUID) -> HTMLResponse:
    """Show an import: its preview, then its progress, then its result."""
    async with context.transaction() as connection:
        found = await imports.find_import(connection, context, import_id)
        refused = await imports.list_refused_rows(connection, context, import_id, PageRequest(None, MAX_REFUSED_SHOWN))
    if found.status == "ready" and context.may("operator"):
        query: Mapping[str, str] = request.query_params
        mapping = mapping_of(query) if "region" in query else None
        region = region_of(query) if "region" in query else found.default_region
        options = ImportOptions(mapping=mapping, default_region=region, sheet=sheet_of(query))
        shown = await preview_import(context, found.id, options)
        chosen = shown.mapping or mapping or found.mapping
        columns = {name: column or NO_COLUMN for name, column in chosen.items()}
        return page(
            request,
            "imports/preview.html",
            context,
            job=found,
            preview=shown,
            region=region or "",
            sheets=[(each.name, f"{each.name} (rows: {each.rows:,})") for each in shown.sheets],
            fields=[(name, _LABELS.get(name, humanize(name)), columns.get(name, "")) for name in FIELDS],
            columns=[("", "Match by column name"), (NO_COLUMN, "No column"), *((name, name) for name in shown.header)],
            start_fields={
                "region": region or "",
                "sheet": shown.sheet or "",
                **{f"map_{name}": column for name, column in columns.items()},
            },
        )
    return page(
        request, "imports/show.html", context, job=found, refused_rows=refused.items, has_more=refused.next is not None
    )


@router.post("/imports/{import_id}/start")
async def start(context: CurrentOrganization, import_id: UUID, form: Form) -> Response:
    """Start the import with the mapping shown in the preview."""
    context.require("operator")
    options = ImportOptions(mapping=mapping_of(form), default_region=region_of(form), sheet=sheet_of(form))
    async with context.transaction() as connection:
        await imports.start_import(connection, context, import_id, options)
    return redirect(f"/o/{context.organization_id}/imports/{import_id}", "Import started.")


@router.post("/imports/{import_id}/cancel")
async def cancel(context: CurrentOrganization, import_id: UUID, form: Form) -> Response:
    """Cancel an import."""
    context.require("operator")
    async with context.transaction() as connection:
        found = await imports.cancel_import(connection, context, import_id)
    message = "Import cancelled." if found.is_finished else "Cancelling import. Rows in progress are finished first."
    return redirect(f"/o/{context.organization_id}/imports/{import_id}", message, "info")


@router.post("/imports/{import_id}/undo")
async def undo(context: CurrentOrganization, import_id: UUID, form: Form) -> Response:
    """Undo an import."""
    context.require("operator")
    url = f"/o/{context.organization_id}/imports/{import_id}"
    try:
        found = await imports.undo_import(context, import_id)
    except ResourceConflict as conflict:
        return redirect(url, f"{conflict.message}.", "warn")
    contacts = "1 contact" if found.removed == 1 else f"{found.removed:,} contacts"
    return redirect(url, f"Import undone: {contacts} removed.")


@router.get("/imports/{import_id}/refusals.csv")
async def download_refused_rows(context: CurrentOrganization, import_id: UUID) -> Response:
    """Download the refused rows as a CSV file."""
    return await refused_rows_response(context, import_id)


def sheet_of(values: Mapping[str, Any]) -> str | None:
    """Return the sheet selected of a workbook, None for the first one."""
    name = values.get("sheet")
    return name[:100] or None if isinstance(name, str) else None


def mapping_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns selected for each field."""
    chosen = {name: values.get(f"map_{name}") for name in FIELDS}
    return {
        name: "" if column == NO_COLUMN else column[:200]
        for name, column in chosen.items()
        if isinstance(column, str) and column
    }
