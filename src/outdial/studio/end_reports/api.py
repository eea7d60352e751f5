"""API routes for the end report of a campaign."""

from uuid import UUID

from fastapi import Response

from outdial.campaigns.results.report import EndReport, find_report
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.end_reports import links
from outdial.studio.end_reports.links import NewReportLink, ReportLink
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import ResourceConflict
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}/campaigns/{campaign_id}/report", tags=["reports"])


@router.get("")
async def get_campaign_report(context: CurrentOrganization, campaign_id: UUID) -> EndReport:
    """Return what a campaign came to. Before its end, these are the results so far.

    The report of a campaign with more than 5,000 contacts is there seconds after its end, and 409 until then.
    """
    async with context.transaction() as connection:
        await find_campaign(connection, context.organization_id, campaign_id)
        report = await find_report(connection, campaign_id, context.studio.clock.now())
    if report is None:
        raise ResourceConflict("The report is available after the campaign has ended")
    return report


@router.get("/links")
async def list_report_links(context: CurrentOrganization, campaign_id: UUID) -> list[ReportLink]:
    """List the links to a report that still work."""
    context.require("operator")
    async with context.transaction() as connection:
        await find_campaign(connection, context.organization_id, campaign_id)
        return await links.list_links(connection, context, campaign_id)


@router.post("/links", status_code=201)
async def create_report_link(context: CurrentOrganization, campaign_id: UUID, new: NewReportLink) -> ReportLink:
    """Make a link that shows the report without sign-in, without phone numbers and names, for 1 to 90 days."""
    context.require("operator")
    async with context.transaction() as connection:
        return await links.create_link(connection, context, campaign_id, new)


@router.delete("/links/{link_id}", status_code=204, response_class=Response)
async def revoke_report_link(context: CurrentOrganization, campaign_id: UUID, link_id: UUID) -> None:
    """Revoke a link."""
    context.require("operator")
    async with context.transaction() as connection:
        await links.revoke_link(connection, context, campaign_id, link_id)
