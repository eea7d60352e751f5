"""Pages for imports: choose a file, preview, progress and result."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData, UploadFile

from outdial.campaigns.importing.workbooks import MOST_WORKBOOK_BYTES
from outdial.db.queries.importing import uploads
from outdial.domain.jobs import ImportStatus
from outdial.jobs.tables import MEDIA_TYPES
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.imports import service as imports
from outdial.studio.imports.api import preview_refused_rows, refused_rows_response
from outdial.studio.imports.causes import cause_texts, stored_cause_texts
from outdial.studio.imports.choices import ImportChoices, read_choices
from outdial.studio.imports.columns import column_rows, hidden_mapping, missing_fields
from outdial.studio.imports.previews import ImportPreview, preview_import
from outdial.studio.imports.service import MAX_FILE_BYTES, Import, NewImport
from outdial.studio.imports.template import csv_template, workbook_template
from outdial.studio.view.countries import country_options, likely_country
from outdial.studio.view.zones import zone_names
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form, limited_form, redirect, region_of, text
from outdial.studio.web.paging import PageRequest
from outdial.studio.web.rendering import page
from outdial.studio.web.uploads import file_chunks

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
    return await show_choice(request, context, campaign_id)


async def show_choice(
    request: Request,
    context: OrganizationContext,
    campaign_id: UUID,
    *,
    region: str | None = None,
    error: str | None = None,
) -> HTMLResponse:
    """Show the upload form, with what was wrong with the file that it has sent."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        earlier = await imports.list_imports(connection, context, PageRequest(None, _MAX_EARLIER_IMPORTS), campaign_id)
    if error is None and (like := _latest_with_choices(earlier.items)) is not None:
        # The preview is read like this import: the form shows the country that it takes.
        region = like.default_region
    return page(
        request,
        "imports/choose.html",
        context,
        campaign=campaign,
        earlier=earlier.items,
        max_gib=MAX_FILE_BYTES >> 30,
        max_workbook_mib=MOST_WORKBOOK_BYTES >> 20,
        countries=country_options(),
        region=region,
        error=error,
        status=200 if error is None else 400,
    )


@router.post("/imports")
async def upload(request: Request, context: CurrentOrganization, form: Uploaded) -> Response:
    """Upload a file from a browser without JavaScript, then redirect to the preview."""
    file = form.get("file")
    name = (file.filename or "").strip() if isinstance(file, UploadFile) else ""
    try:
        campaign_id = UUID(text(form, "campaign_id"))
    except ValueError:
        raise InvalidInput("Unknown campaign", {"campaign_id": "reload the page and try again"}) from None
    region = region_of(form)
    if not isinstance(file, UploadFile) or not name:
        error = "Select a CSV, XLSX or JSON lines file"
        return await show_choice(request, context, campaign_id, region=region, error=error)
    new = NewImport(campaign_id=campaign_id, file_name=name[-300:], default_region=region)
    async with context.transaction() as connection:
        created = await imports.create_import(connection, context, new)
    try:
        await imports.receive_file(context, created.id, file_chunks(file))
    except InvalidInput as invalid:
        async with context.transaction() as connection:
            await imports.cancel_import(connection, context, created.id)
        return await show_choice(request, context, campaign_id, region=region, error=invalid.message)
    return redirect(f"/o/{context.organization_id}/imports/{created.id}")


@router.get("/imports/template.csv")
async def download_csv_template(context: CurrentOrganization) -> Response:
    """Download the template of a file of contacts as CSV."""
    return _template(await asyncio.to_thread(csv_template), "csv", MEDIA_TYPES["csv"])


@router.get("/imports/template.xlsx")
async def download_workbook_template(context: CurrentOrganization) -> Response:
    """Download the template of a file of contacts as a workbook."""
    return _template(await asyncio.to_thread(workbook_template), "xlsx", MEDIA_TYPES["xlsx"])


def _template(content: bytes, ending: str, media_type: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="contacts-template.{ending}"'}
    return Response(content, media_type=media_type, headers=headers)


@router.get("/imports/{import_id}")
async def show_page(request: Request, context: CurrentOrganization, import_id: UUID) -> HTMLResponse:
    """Show an import: its preview, then its progress, then its result."""
    async with context.transaction() as connection:
        found = await imports.find_import(connection, context, import_id)
        refused = await imports.list_refused_rows(connection, context, import_id, PageRequest(None, MAX_REFUSED_SHOWN))
    if found.status == "ready" and context.may("operator"):
        return await show_preview(request, context, found)
    can_be_undone = found.can_be_undone and context.may("operator")
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, found.campaign_id)
        is_called = can_be_undone and await uploads.has_called_contact(
            connection, campaign_id=found.campaign_id, import_id=import_id
        )
    return page(
        request,
        "imports/show.html",
        context,
        job=found,
        campaign=campaign,
        is_called=is_called,
        causes=stored_cause_texts(found.refused_by_kind, refused.items),
        refused_rows=refused.items,
        has_more=refused.next is not None,
    )


async def show_preview(request: Request, context: OrganizationContext, found: Import) -> HTMLResponse:
    """Show the preview of an uploaded file with the choices in the query, or as the import was created."""
    # Each form of the preview has a region, be it empty.
    has_chosen = "region" in request.query_params
    earlier = None
    if has_chosen:
        choices = read_choices(request.query_params)
        shown = await preview_import(context, found.id, choices.options)
    else:
        earlier = await _earlier_import(context, found)
        choices, shown = await _preview_like(context, found, earlier)
    fields = choices.fields(shown.mapping or choices.mapping or found.mapping, shown.sheet)
    language = request.headers.get("accept-language", "")
    return page(
        request,
        "imports/preview.html",
        context,
        job=found,
        preview=shown,
        choices=choices,
        is_like_earlier=earlier is not None and shown.problem is None,
        causes=cause_texts(shown.causes),
        columns=column_rows(shown, choices),
        missing=missing_fields(shown),
        sheets=[(each.name, f"{each.name} (rows: {each.rows:,})") for each in shown.sheets],
        countries=country_options(),
        likely=shown.likely_region or likely_country(language, viewer_zone(request).key),
        zones=zone_names() if any(cause.zones for cause in shown.causes) else (),
        fields=fields,
        table_fields=hidden_mapping(shown, fields),
        query=urlencode(fields),
    )


async def _earlier_import(context: OrganizationContext, found: Import) -> Import | None:
    """Return the latest completed import into the campaign that has made choices, for a file that has made none.

    One that was undone or has failed may have been read wrongly.
    """
    if found.mapping:
        return None
    async with context.transaction() as connection:
        page = await imports.list_imports(
            connection, context, PageRequest(None, _MAX_EARLIER_IMPORTS), found.campaign_id
        )
    return _latest_with_choices(page.items)


def _latest_with_choices(items: Sequence[Import]) -> Import | None:
    kept = (each for each in items if each.status == ImportStatus.COMPLETED and each.undone_at is None)
    return next((each for each in kept if each.mapping or each.default_region or each.zone_names), None)


async def _preview_like(
    context: OrganizationContext, found: Import, earlier: Import | None
) -> tuple[ImportChoices, ImportPreview]:
    """Preview a file as the earlier one was imported, as far as it has the same columns."""
    choices = ImportChoices(
        region=found.default_region or (earlier.default_region if earlier else None),
        zones=earlier.zone_names if earlier else found.zone_names,
        has_header=found.has_header,
    )
    shown = await preview_import(context, found.id, choices.options)
    columns = {name: column for name, column in (earlier.mapping if earlier else {}).items() if column in shown.header}
    if columns.items() <= shown.mapping.items():
        return choices, shown
    choices = replace(choices, mapping=columns)
    return choices, await preview_import(context, found.id, choices.options)


@router.post("/imports/{import_id}/start")
async def start(context: CurrentOrganization, import_id: UUID, form: Form) -> Response:
    """Start the import with the mapping shown in the preview."""
    context.require("operator")
    choices = read_choices(form)
    if choices.problems:
        raise InvalidInput("Fix the choices in the preview first", dict(choices.problems))
    async with context.transaction() as connection:
        await imports.start_import(connection, context, import_id, choices.options)
    return redirect(f"/o/{context.organization_id}/imports/{import_id}", "Import started.")


@router.post("/imports/{import_id}/cancel")
async def cancel(context: CurrentOrganization, import_id: UUID, form: Form) -> Response:
    """Cancel an import. Who discards a file before the import starts can choose another one."""
    context.require("operator")
    async with context.transaction() as connection:
        found = await imports.cancel_import(connection, context, import_id)
    if found.is_discarded:
        message = "File discarded. No contacts were added."
        return redirect(f"/o/{context.organization_id}/campaigns/{found.campaign_id}/import", message, "info")
    message = (
        "Import cancelled." if found.is_finished else "Cancelling the import. Rows in progress are finished first."
    )
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
async def download_refused_rows(request: Request, context: CurrentOrganization, import_id: UUID) -> Response:
    """Download the refused rows as a CSV file: those of the preview with the choices in the query before the start."""
    if "region" in request.query_params:
        context.require("operator")
        return await preview_refused_rows(context, import_id, read_choices(request.query_params).options)
    return await refused_rows_response(context, import_id)
