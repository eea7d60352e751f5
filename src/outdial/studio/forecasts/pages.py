"""The page with the forecasts of a campaign."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.studio.campaigns.service import find_campaign
from outdial.studio.forecasts import service as forecasts
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import ResourceConflict
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/campaigns/{campaign_id}/forecasts")


@router.get("")
async def forecasts_page(request: Request, context: CurrentOrganization, campaign_id: UUID) -> HTMLResponse:
    """Show the forecasts of a campaign beside what happened."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        found = await forecasts.list_forecasts(connection, context, campaign_id)
        past = await forecasts.past_forecasts(connection, context)
    return page(request, "forecasts/list.html", context, campaign=campaign, forecasts=found, past=past)


@router.post("")
async def forecast_now(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Forecast a campaign, and show the forecast, on the page of the campaign if the form comes from there."""
    context.require("operator")
    url = request.url.path
    if text(form, "shown_on") == "campaign":
        url = url.removesuffix("/forecasts")
    try:
        await forecasts.make_forecast(context, campaign_id)
    except ResourceConflict as error:
        return redirect(url, error.message, "warn")
    return redirect(url, "Forecast updated.")
