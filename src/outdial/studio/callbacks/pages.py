"""The page of callbacks."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.studio.callbacks import service as callbacks
from outdial.studio.callbacks.service import Callback, CallbackTime
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, StudioError
from outdial.studio.web.forms import Form, redirect, short_text
from outdial.studio.web.paging import Page, PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/callbacks")
LIMIT: Final = 50


@router.get("")
async def list_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show who is called back, when in their time, and why."""
    return await _list(request, context)


@router.post("/{campaign_contact_id}")
async def move(request: Request, campaign_contact_id: UUID, context: CurrentOrganization, form: Form) -> Response:
    """Move a callback to the time of the form."""
    context.require("operator")
    typed = short_text(form, "time", 100)
    try:
        if not typed:
            raise InvalidInput("The callback was not moved", {"time": "enter a time, such as tomorrow at 3pm"})
        async with context.transaction() as connection:
            await callbacks.change_time(connection, context, campaign_contact_id, CallbackTime(time=typed))
    except (InvalidInput, ResourceConflict) as error:
        return await _list(request, context, error=error, typed={campaign_contact_id: typed})
    return redirect(f"/o/{context.organization_id}/callbacks", "Callback moved.")


async def _list(
    request: Request,
    context: OrganizationContext,
    *,
    error: StudioError | None = None,
    typed: dict[UUID, str] | None = None,
) -> HTMLResponse:
    url = f"/o/{context.organization_id}/callbacks"
    page_request = PageRequest(request.query_params.get("cursor") or None, LIMIT)
    found: Page[Callback] = Page(items=[])
    try:
        async with context.transaction() as connection:
            found = await callbacks.list_callbacks(connection, context.organization_id, page_request)
    except InvalidInput as invalid:
        error = error or invalid
    return page(
        request,
        "callbacks/list.html",
        context,
        status=200 if error is None else error.status,
        url=url,
        callbacks=found.items,
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
        typed=typed or {},
        **page_links(url, {}, page_request, found.next),
    )
