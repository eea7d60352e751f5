"""The page of callbacks."""

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.studio.callbacks import service as callbacks
from outdial.studio.callbacks.service import Callback, CallbackTime, UndecidedCallback
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.service import campaign_choices
from outdial.studio.campaigns.tabs import CampaignFrame, campaign_frame
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, StudioError
from outdial.studio.web.filters import query_values
from outdial.studio.web.forms import Form, redirect, short_text
from outdial.studio.web.paging import Page, PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}")
LIMIT: Final = 50


@router.get("/callbacks")
async def list_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show who is called back, when in their time, and why."""
    return await _list(request, context)


@router.get("/campaigns/{campaign_id}/callbacks")
async def list_of_campaign(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID
) -> HTMLResponse:
    """Show which contacts a campaign calls back, and when."""
    async with context.transaction() as connection:
        frame = await campaign_frame(connection, context, counter, campaign_id)
    return await _list(request, context, frame=frame)


@router.post("/callbacks/{campaign_contact_id}")
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
    shown = query_values(request.query_params, ("campaign", "tab"), max_length=100)
    if shown["tab"] and (campaign_id := _campaign_id(shown["campaign"])):
        return redirect(f"/o/{context.organization_id}/campaigns/{campaign_id}/callbacks", "Callback moved.")
    kept = f"?{urlencode({'campaign': shown['campaign']})}" if shown["campaign"] else ""
    return redirect(f"/o/{context.organization_id}/callbacks{kept}", "Callback moved.")


async def _list(
    request: Request,
    context: OrganizationContext,
    *,
    error: StudioError | None = None,
    typed: dict[UUID, str] | None = None,
    frame: CampaignFrame | None = None,
) -> HTMLResponse:
    url = f"/o/{context.organization_id}/callbacks"
    form = query_values(request.query_params, ("campaign",), max_length=100)
    if frame is not None:
        form["campaign"] = str(frame.campaign.id)
    page_request = PageRequest(request.query_params.get("cursor") or None, LIMIT)
    found, requests = Page[Callback](items=[]), Page[UndecidedCallback](items=[])
    async with context.transaction() as connection:
        try:
            campaign_id = _campaign_id(form["campaign"])
            found = await callbacks.list_callbacks(connection, context.organization_id, page_request, campaign_id)
            if page_request.cursor is None:
                first = PageRequest(None, LIMIT)
                requests = await callbacks.list_requests(connection, context.organization_id, first, campaign_id)
        except InvalidInput as invalid:
            error = error or invalid
        # A tab of a campaign has no filter by campaign.
        campaigns = await campaign_choices(connection, context.organization_id) if frame is None else []
    return page(
        request,
        "callbacks/list.html",
        context,
        status=200 if error is None else error.status,
        frame=frame,
        tab="Callbacks",
        url=url,
        form=form,
        campaigns=campaigns,
        callbacks=found.items,
        requests=requests.items,
        has_more_requests=requests.next is not None,
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
        typed=typed or {},
        **page_links(f"{frame.url}/callbacks" if frame else url, {} if frame else form, page_request, found.next),
    )


def _campaign_id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise InvalidInput("Unknown campaign: choose one from the list") from None
