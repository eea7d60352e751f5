"""Pages for functions, for platform operators."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.studio.functions import service as functions
from outdial.studio.functions.service import SPANS, LogFilters, Slug, at_least
from outdial.studio.view.charts import ChartSeries, stacked_bars
from outdial.studio.view.format import clock, day_text
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentOrganization, is_platform_operator
from outdial.studio.web.errors import ResourceNotFound
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form
from outdial.studio.web.paging import PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter()
LIMIT: Final = 50
_PERIODS: Final = {"1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days"}
"""The labels of SPANS."""
_SERIES: Final = {
    "succeeded": ChartSeries("good", "Succeeded"),
    "refused": ChartSeries("warn", "Client errors (4xx)"),
    "failed": ChartSeries("bad", "Server errors (5xx)"),
}


@router.get("/o/{organization_id}/functions")
async def list_functions_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the functions with their statistics."""
    if not is_platform_operator(context.caller, context.role):
        return page(request, "functions/operators_only.html", context, status=403)
    span = _span(request)
    found = await functions.list_summaries(context, span)
    return page(request, "functions/list.html", context, functions=found, **_periods(request.url.path, span))


@router.get("/o/{organization_id}/functions/{slug}")
async def show_function_page(request: Request, context: CurrentOrganization, slug: Slug) -> HTMLResponse:
    """Show a function: statistics over time, versions and log."""
    span, query = _span(request), request.query_params
    level = query.get("level") if query.get("level") in functions.LEVELS else None
    search = query.get("search", "").replace("\x00", "").strip()[:200]
    stats = await functions.list_stats(context, span, slug)
    deployed = await functions.list_versions(context, slug)
    filters = LogFilters(slug=slug, levels=at_least(level), search=search or None)
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    log = await functions.list_log(context, page_request, filters)
    if not stats and not deployed and not log.items and not (level or search):
        raise ResourceNotFound("Function not found, or never invoked")
    zone = viewer_zone(request)
    columns = [
        (
            f"{day_text(local)}, {clock(local)}",
            {
                "succeeded": part.invocations - part.refused - part.failed,
                "refused": part.refused,
                "failed": part.failed,
            },
        )
        for part in stats
        for local in [part.starts_at.astimezone(zone)]
    ]
    url = request.url.path
    return page(
        request,
        "functions/show.html",
        context,
        slug=slug,
        span=span,
        stats=stats,
        chart=stacked_bars("Invocations over time", columns, _SERIES, first_head="From"),
        versions=deployed,
        can_change=bool(context.studio.settings.access_token),
        log=log.items,
        form={"level": level or "", "search": search},
        levels=[("", "Any"), ("info", "Info and above"), ("warning", "Warnings and errors"), ("error", "Errors")],
        **_periods(url, span),
        **page_links(url, {"span": span, "level": level or "", "search": search}, page_request, log.next),
    )


@router.post("/o/{organization_id}/functions/{slug}/rollback")
async def roll_back_page(context: CurrentOrganization, slug: Slug, form: Form) -> Response:
    """Serve an earlier version again."""
    number = forms.text(form, "version")
    result = await functions.roll_back(context, slug, int(number) if number.isascii() and number.isdecimal() else None)
    served = f"Version {result.version}" if result.version else "The source tree"
    return forms.redirect(f"/o/{context.organization_id}/functions/{slug}", f"{served} is now live.")


def _periods(url: str, span: str) -> dict[str, Any]:
    """Return what a page shows of the periods: its address, a tab for each, and the label of the chosen one."""
    tabs = [(label, f"{url}?span={each}", None) for each, label in _PERIODS.items()]
    return {"url": url, "periods": tabs, "span_label": _PERIODS[span]}


def _span(request: Request) -> str:
    span = request.query_params.get("span", "24h")
    return span if span in SPANS else "24h"
