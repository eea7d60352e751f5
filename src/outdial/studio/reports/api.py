"""Routes of the API for reports."""

from uuid import UUID

from fastapi import APIRouter

from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.reports import service as reports
from outdial.studio.reports.service import AskedSpan, CampaignCharts, Report
from outdial.studio.web.context import AtWork

router = APIRouter(tags=["reports"])


@router.get("/organizations/{organization_id}/reports")
async def organization_report(workplace: AtWork, span: AskedSpan) -> Report:
    """Report calls, answered rate, talk time and cost, by day and by campaign."""
    async with workplace.transaction() as connection:
        return await reports.organization_report(connection, workplace.organization_id, span, workplace.studio.clock)


@router.get("/organizations/{organization_id}/campaigns/{campaign_id}/charts")
async def campaign_charts(campaign_id: UUID, workplace: AtWork) -> CampaignCharts:
    """Count the calls of a campaign over time and by outcome."""
    async with workplace.transaction() as connection:
        campaign = await find_campaign(connection, workplace.organization_id, campaign_id)
        return await reports.campaign_charts(connection, campaign.id, workplace.studio.clock.now())
