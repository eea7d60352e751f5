"""The page of a campaign's end report, its file, and its links."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.campaigns.results.report import EndReport, count_unreached, find_report
from outdial.campaigns.results.report_tables import HEADER, report_rows
from outdial.db.session import Connection
from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.jobs.csv_cells import CsvBuffer
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.campaigns.counts import CampaignCounts, Counter
from outdial.studio.end_reports import links
from outdial.studio.end_reports.links import DEFAULT_DAYS, LONGEST_DAYS, NewReportLink
from outdial.studio.end_reports.view import render_report
from outdial.studio.forecasts.service import newest_forecast
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import ResourceConflict
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.rendering import page
from outdial.studio.web.visitors import own_url

router = APIRouter(prefix="/o/{organization_id}/campaigns/{campaign_id}")
_KIND: Final = "report"
_WAIT: Final = "The report is being prepared. It will appear here in a few seconds."


@router.get("/report")
async def report_page(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID
) -> HTMLResponse:
    """Show what a campaign came to, or what is known so far."""
    return await _show(request, context, counter, campaign_id)


@router.get("/report.csv")
async def report_file(context: CurrentOrganization, campaign_id: UUID) -> Response:
    """Return the tables of the report as a CSV file."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        report = await find_report(connection, campaign_id, context.studio.clock.now())
    if report is None:
        raise ResourceConflict(_WAIT)
    buffer = CsvBuffer(HEADER)
    for row in report_rows(report):
        buffer.add(row)
    headers = {"content-disposition": f'attachment; filename="report-{campaign.id}.csv"'}
    return Response(buffer.take(), media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/report/links")
async def share(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID, form: Form
) -> Response:
    """Make a link to the report."""
    context.require("operator")
    days = text(form, "days")
    try:
        new = NewReportLink.model_validate({"days": days})
    except ValidationError:
        return await _show(request, context, counter, campaign_id, days=days)
    try:
        async with context.transaction() as connection:
            await links.create_link(connection, context, campaign_id, new)
    except ResourceConflict as error:
        return redirect(_url(context, campaign_id), error.message, "warn")
    return redirect(f"{_url(context, campaign_id)}#share", "Link created. Copy it below.")


@router.post("/report/links/{link_id}/revoke")
async def revoke(context: CurrentOrganization, campaign_id: UUID, link_id: UUID, form: Form) -> Response:
    """Revoke a link to the report."""
    context.require("operator")
    url = f"{_url(context, campaign_id)}#share"
    async with context.transaction() as connection:
        await links.revoke_link(connection, context, campaign_id, link_id)
    return redirect(url, "Link revoked. It no longer works.", "info")


async def _show(
    request: Request, context: OrganizationContext, counter: Counter, campaign_id: UUID, *, days: str | None = None
) -> HTMLResponse:
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        is_final = CampaignStatus(campaign.status) in CAMPAIGN.final

        async def load(opened: Connection) -> EndReport | None:
            return await find_report(opened, campaign_id, context.studio.clock.now())

        # Before the end, each live update would add up all calls again.
        report = await (
            load(connection) if is_final else counter.kept(connection, _KIND, campaign_id, campaign.status, load)
        )
        counts: CampaignCounts | None = None
        if report is None:
            counts = (await counter.count(connection, {campaign_id: campaign.status}))[campaign_id]
        has_forecast = not is_final and campaign.status != CampaignStatus.CANCELLING
        forecast = await newest_forecast(connection, context, campaign_id) if has_forecast else None
        unreached = 0
        if report is not None and is_final:
            unreached = await count_unreached(connection, context.organization_id, report)
        shared = await links.list_links(connection, context, campaign_id) if context.may("operator") else []
    return page(
        request,
        "end_reports/show.html",
        context,
        status=200 if days is None else 400,
        campaign=campaign,
        is_final=is_final,
        report=report,
        unreached=unreached,
        rendered=None if report is None else render_report(report),
        counts=counts,
        forecast=forecast,
        links=[(link, None if link.path is None else own_url(request, link.path)) for link in shared],
        days=str(DEFAULT_DAYS) if days is None else days,
        longest_days=LONGEST_DAYS,
        errors={} if days is None else {"days": f"Enter a whole number of days from 1 to {LONGEST_DAYS}"},
        waits=is_final and report is None,
        wait_text=_WAIT,
    )


def _url(context: OrganizationContext, campaign_id: UUID) -> str:
    return f"/o/{context.organization_id}/campaigns/{campaign_id}/report"
