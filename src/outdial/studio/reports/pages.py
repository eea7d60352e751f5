"""The reports page."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.clock import Clock
from outdial.db.session import Connection
from outdial.domain.calling_hours import is_zone_name
from outdial.domain.campaign import CampaignStatus
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.service import campaign_choices
from outdial.studio.reports.analytics import CallAnalytics, analytics_sections, call_analytics
from outdial.studio.reports.service import (
    DEFAULT_DAYS,
    OrganizationReport,
    ReportPeriod,
    organization_report,
    report_chart,
    report_period,
)
from outdial.studio.reports.totals import compared_figures, compared_with
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import RecentDays, parse_date, query_values, viewer_zone
from outdial.studio.web.rendering import page

router = APIRouter()


@router.get("/o/{organization_id}/reports")
async def show_report(request: Request, context: CurrentOrganization, counter: Counter) -> HTMLResponse:
    """Show calls, answer rate, talk time and cost, by day and by campaign."""
    id, clock = context.organization_id, context.studio.clock
    form = query_values(request.query_params, ("since", "until", "zone"), max_length=60)
    report: OrganizationReport | None = None
    problem: str | None = None
    try:
        period = _period(request, form)

        async def load(opened: Connection) -> OrganizationReport:
            return await organization_report(opened, id, period, clock)

        async with context.transaction() as connection:
            report = await counter.kept(connection, f"report {period}", id, CampaignStatus.ACTIVE, load)
    except InvalidInput as error:
        problem = error.summary
    if report is not None:
        form = {"since": report.since.isoformat(), "until": report.until.isoformat(), "zone": report.zone}
    return page(
        request,
        "reports/organization.html",
        context,
        status=400 if problem else 200,
        form=form,
        period_links=period_links(request, form, clock),
        report=report,
        drawn=None if report is None else report_chart(report),
        changes={} if report is None else compared_figures(report.total, report.previous),
        compared="" if report is None else compared_with(report.since, report.previous),
        problem=problem,
    )


@router.get("/o/{organization_id}/analytics")
async def show_analytics(request: Request, context: CurrentOrganization, counter: Counter) -> HTMLResponse:
    """Show answer rate and cost by caller number, agent, hour, attempt and list, with sentiment and success."""
    id, clock = context.organization_id, context.studio.clock
    form = query_values(request.query_params, ("since", "until", "zone", "campaign"), max_length=60)
    found: CallAnalytics | None = None
    problem: str | None = None
    try:
        period = _period(request, form)
        try:
            campaign_id = UUID(form["campaign"]) if form["campaign"] else None
        except ValueError:
            raise InvalidInput("Unknown campaign", {"campaign": "choose one from the list"}) from None

        async def load(opened: Connection) -> CallAnalytics:
            return await call_analytics(opened, id, period, campaign_id, clock)

        async with context.transaction() as connection:
            kind = f"analytics {campaign_id} {period}"
            found = await counter.kept(connection, kind, id, CampaignStatus.ACTIVE, load)
    except InvalidInput as error:
        problem = error.summary
    async with context.transaction() as connection:
        campaigns = await campaign_choices(connection, context.organization_id)
    if found is not None:
        form = form | {"since": found.since.isoformat(), "until": found.until.isoformat(), "zone": found.zone}
    return page(
        request,
        "reports/analytics.html",
        context,
        status=400 if problem else 200,
        form=form,
        period_links=period_links(request, form, clock),
        campaigns=campaigns,
        found=found,
        sections=[] if found is None else analytics_sections(found),
        changes={} if found is None else compared_figures(found.total, found.previous),
        compared="" if found is None else compared_with(found.since, found.previous),
        problem=problem,
    )


def _period(request: Request, form: Mapping[str, str]) -> ReportPeriod:
    return report_period(
        since=parse_date("since", form["since"]),
        until=parse_date("until", form["until"]),
        zone=form["zone"] or viewer_zone(request).key,
    )


def period_links(request: Request, form: Mapping[str, str], clock: Clock) -> list[tuple[str, str, bool]]:
    """Return label, address and whether it is chosen, for each choice of recent days; the other filters stay."""
    zone = ZoneInfo(form["zone"]) if is_zone_name(form["zone"]) else viewer_zone(request)
    today = clock.now().astimezone(zone).date()
    others = {name: value for name, value in form.items() if value and name not in ("since", "until", "zone")}
    periods = []
    for days in RecentDays:
        first, end = days.bounds(zone, clock.now())
        periods.append((days.label, first.date(), end.date() - timedelta(days=1)))
    periods.append((f"Last {DEFAULT_DAYS} days", today - timedelta(days=DEFAULT_DAYS - 1), today))
    links: list[tuple[str, str, bool]] = []
    for label, since, until in periods:
        given = {"since": since.isoformat(), "until": until.isoformat(), "zone": zone.key}
        # Two of them may be the same days: this month and the last 30 days, on the 30th.
        is_chosen = all(form.get(name) == value for name, value in given.items()) and not any(each[2] for each in links)
        links.append((label, f"{request.url.path}?{urlencode(given | others)}", is_chosen))
    return links
