"""Pages with reports."""

from collections.abc import Mapping
from datetime import date

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.studio.reports.service import (
    OrganizationReport,
    ReportPeriod,
    organization_report,
    report_chart,
    report_period,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.rendering import page

router = APIRouter()


@router.get("/o/{organization_id}/reports")
async def show_report(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show calls, answered rate, talk time and cost, by day and by campaign."""
    form = {name: request.query_params.get(name, "").strip()[:60] for name in ("since", "until", "zone")}
    report: OrganizationReport | None = None
    problem: str | None = None
    try:
        span = _span(form)
        async with context.transaction() as connection:
            report = await organization_report(connection, context.organization_id, span, context.studio.clock)
    except InvalidInput as error:
        details = "; ".join(error.fields.values())
        problem = f"{error.message}: {details}." if details else error.message
    if report is not None:
        form = {"since": report.since.isoformat(), "until": report.until.isoformat(), "zone": report.zone}
    return page(
        request,
        "reports/organization.html",
        context,
        status=400 if problem else 200,
        form=form,
        report=report,
        calls_chart=None if report is None else report_chart(report),
        problem=problem,
    )


def _span(form: Mapping[str, str]) -> ReportPeriod:
    return report_period(_date("since", form["since"]), _date("until", form["until"]), form["zone"] or "UTC")


def _date(name: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidInput("This is no date", {name: "write it as 2026-12-24"}) from None
