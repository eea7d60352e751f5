"""API routes for forecasts of campaigns."""

from uuid import UUID

from outdial.studio.campaigns.service import find_campaign
from outdial.studio.forecasts import service as forecasts
from outdial.studio.forecasts.service import CampaignForecastRecord, PastForecasts
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}", tags=["campaigns"])


@router.get("/forecasts")
async def get_past_forecasts(context: CurrentOrganization) -> PastForecasts:
    """Return how many of the last 100 campaigns ended, and cost, within the forecast from their start."""
    async with context.transaction() as connection:
        return await forecasts.past_forecasts(connection, context)


@router.get("/campaigns/{campaign_id}/forecasts")
async def list_forecasts(context: CurrentOrganization, campaign_id: UUID) -> list[CampaignForecastRecord]:
    """List the newest forecasts of a campaign. One is made when it starts."""
    async with context.transaction() as connection:
        await find_campaign(connection, context.organization_id, campaign_id)
        return await forecasts.list_forecasts(connection, context, campaign_id)


@router.post("/campaigns/{campaign_id}/forecasts", status_code=201)
async def make_forecast(context: CurrentOrganization, campaign_id: UUID) -> CampaignForecastRecord:
    """Forecast a campaign from now on, or as if it started now. Takes seconds for a million contacts."""
    context.require("operator")
    return await forecasts.make_forecast(context, campaign_id)
