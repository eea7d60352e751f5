"""API routes for reports."""

from uuid import UUID

from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.reports import service as reports
from outdial.studio.reports.analytics import CallAnalytics, CampaignQuery, call_analytics
from outdial.studio.reports.service import CampaignCharts, OrganizationReport, ReportQuery, ZoneQuery
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(tags=["reports"])


@router.get("/organizations/{organization_id}/reports")
async def get_organization_report(context: CurrentOrganization, period: ReportQuery) -> OrganizationReport:
    """Return calls, answer rate, talk time and cost, by day and by campaign."""
    async with context.transaction() as connection:
        return await reports.organization_report(connection, context.organization_id, period, context.studio.clock)


@router.get("/organizations/{organization_id}/analytics")
async def get_call_analytics(
    context: CurrentOrganization, period: ReportQuery, campaign_id: CampaignQuery = None
) -> CallAnalytics:
    """Return answer rate, talk time and cost by caller number, agent, hour, attempt, list, sentiment and success."""
    async with context.transaction() as connection:
        return await call_analytics(connection, context.organization_id, period, campaign_id, context.studio.clock)


@router.get("/organizations/{organization_id}/campaigns/{campaign_id}/charts")
async def get_campaign_charts(campaign_id: UUID, context: CurrentOrganization, zone: ZoneQuery) -> CampaignCharts:
    """Return a campaign's call counts over time and by outcome, in buckets aligned to the days of a time zone."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        return await reports.campaign_charts(connection, campaign.id, zone)
