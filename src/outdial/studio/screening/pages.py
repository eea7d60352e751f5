"""Pages for screening lists."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData, UploadFile

from outdial.campaigns.permission.screening_lists import NewScreeningList
from outdial.domain.permission.screening import MAX_LIST_AGE
from outdial.domain.purpose import ListKind
from outdial.studio.screening import service as screening
from outdial.studio.screening.service import MAX_FILE_BYTES, ScreeningUpload
from outdial.studio.view.badges import humanize
from outdial.studio.view.countries import country_options, likely_country
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, StudioError
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form, limited_form, redirect, region_of, text
from outdial.studio.web.paging import PageRequest, page_links
from outdial.studio.web.rendering import page
from outdial.studio.web.uploads import file_chunks

router = APIRouter(prefix="/o/{organization_id}/screening")

LIMIT: Final = 50
_FIELDS: Final = ("kind", "jurisdiction", "registry_date", "region")
_KINDS: Final = [("", "Select one"), *((kind.value, humanize(kind)) for kind in ListKind)]


async def uploaded_list(request: Request, context: CurrentOrganization) -> AsyncIterator[FormData]:
    """Yield an operator's form with a file of numbers."""
    context.require("operator")
    async with limited_form(request, MAX_FILE_BYTES) as form:
        yield form


@router.get("")
async def list_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the lists and the form to upload one."""
    return await _list(request, context)


@router.post("")
async def upload(
    request: Request, context: CurrentOrganization, form: Annotated[FormData, Depends(uploaded_list)]
) -> Response:
    """Upload a list."""
    try:
        new, file = _read_form(form)
        result = await screening.upload_list(context, new, file_chunks(file))
    except InvalidInput as error:
        return await _list(request, context, error=error, typed={name: text(form, name) for name in _FIELDS})
    if result.refused:
        # The list can be uploaded again with another country, as the rest of the form was.
        return await _list(request, context, result=result, typed={name: text(form, name) for name in _FIELDS})
    message = f"{result.numbers:,} numbers uploaded. The list is in force."
    return redirect(f"/o/{context.organization_id}/screening", message)


@router.post("/{list_id}/remove")
async def remove(context: CurrentOrganization, list_id: UUID, form: Form) -> Response:
    """Stop screening with a list."""
    context.require("admin")
    url = f"/o/{context.organization_id}/screening"
    try:
        async with context.transaction() as connection:
            await screening.remove_list(connection, context, list_id)
    except ResourceConflict as error:
        return redirect(url, error.message, "warn")
    return redirect(url, "List removed. Its numbers are no longer blocked by it.", "info")


def _read_form(form: FormData) -> tuple[NewScreeningList, UploadFile]:
    problems = {}
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        problems["file"] = "select a text, CSV or XLSX file"
    kind = text(form, "kind")
    if kind not in set(ListKind):
        problems["kind"] = "select the kind of list"
    try:
        registry_date = date.fromisoformat(text(form, "registry_date"))
    except ValueError:
        registry_date = date.min
        problems["registry_date"] = "enter the day of the registry, such as 2026-11-20"
    if problems or not isinstance(file, UploadFile):
        raise InvalidInput("Please fix the fields below", problems)
    new = NewScreeningList(
        kind=ListKind(kind),
        jurisdiction=text(form, "jurisdiction") or None,
        registry_date=registry_date,
        file_name=file.filename or "",
        default_region=region_of(form),
    )
    return new, file


async def _list(
    request: Request,
    context: OrganizationContext,
    *,
    result: ScreeningUpload | None = None,
    error: StudioError | None = None,
    typed: dict[str, str] | None = None,
) -> HTMLResponse:
    url = f"/o/{context.organization_id}/screening"
    page_request = PageRequest(request.query_params.get("cursor") or None, LIMIT)
    async with context.transaction() as connection:
        found = await screening.list_screening_lists(connection, context, page_request)
    return page(
        request,
        "screening/list.html",
        context,
        status=200 if error is None else error.status,
        url=url,
        lists=found.items,
        result=result,
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
        typed=typed or dict.fromkeys(_FIELDS, ""),
        kinds=_KINDS,
        countries=country_options(),
        likely=likely_country(request.headers.get("accept-language", ""), viewer_zone(request).key),
        curable=0 if result is None else sum(bad.lacks_country_code for bad in result.bad),
        today=context.studio.clock.now().date().isoformat(),
        max_age=MAX_LIST_AGE.days,
        **page_links(url, {}, page_request, found.next),
    )
