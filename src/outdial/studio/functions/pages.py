"""Pages about functions: for those who look after the environment."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.studio.functions import service as functions
from outdial.studio.functions.operators import is_platform_operator
from outdial.studio.functions.service import SPANS, FunctionStats, LogFilters, Slug, at_least
from outdial.studio.view.charts import Chart, ChartSeries, stacked_bars
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import ResourceNotFound
from outdial.studio.web.forms import Form
from outdial.studio.web.paging import PageRequest
from outdial.studio.web.rendering import page

router = APIRouter()
LIMIT: Final = 50
_OUTCOMES: Final = {
    "answered": ChartSeries("good", "Answered"),
    "refused": ChartSeries("warn", "Refused (4xx)"),
    "failed": ChartSeries("bad", "Failed (5xx)"),
}


@router.get("/o/{organization_id}/functions")
async def list_functions_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the functions with their numbers."""
    if not is_platform_operator(context.caller, context.role):
        return page(request, "functions/not_yours.html", context, status=403)
    span = _span(request)
    found = await functions.summaries(context, span)
    return page(
        request, "functions/list.html", context, url=request.url.path, span=span, spans=list(SPANS), functions=found
    )


@router.get("/o/{organization_id}/functions/{slug}")
async def show_function_page(request: Request, context: CurrentOrganization, slug: Slug) -> HTMLResponse:
    """Show one function: its numbers over time, its versions, and what it logs."""
    span, query = _span(request), request.query_params
    level = query.get("level") if query.get("level") in functions.LEVELS else None
    search = query.get("search", "").replace("\x00", "").strip()[:200]
    parts = await functions.spans(context, span, slug)
    deployed = await functions.versions(context, slug)
    narrowed = LogFilters(slug, at_least(level), search or None)
    log = await functions.list_log(context, PageRequest(query.get("cursor") or None, LIMIT), narrowed)
    if not parts and not deployed and not log.items and not (level or search):
        raise ResourceNotFound("There is no such function, or it was never asked")
    url = request.url.path
    kept = {name: value for name, value in {"span": span, "level": level, "search": search}.items() if value}
    return page(
        request,
        "functions/show.html",
        context,
        url=url,
        slug=slug,
        span=span,
        spans=list(SPANS),
        parts=parts,
        chart=_chart(parts),
        versions=deployed,
        can_change=bool(context.studio.settings.access_token),
        log=log.items,
        form={"level": level or "", "search": search},
        levels=[("", "Any"), ("info", "Info and worse"), ("warning", "Warnings and errors"), ("error", "Errors")],
        next_url=f"{url}?{urlencode({**kept, 'cursor': log.next})}" if log.next else None,
        first_url=f"{url}?{urlencode(kept)}" if "cursor" in query else None,
    )


@router.post("/o/{organization_id}/functions/{slug}/rollback")
async def roll_back_page(context: CurrentOrganization, slug: Slug, form: Form) -> Response:
    """Let an earlier version be served again."""
    number = forms.text(form, "version")
    done = await functions.roll_back(context, slug, int(number) if number.isascii() and number.isdecimal() else None)
    what = f"Version {done.version}" if done.version else "What hosts have in their source tree"
    return forms.redirect(f"/o/{context.organization_id}/functions/{slug}", f"{what} is served now")


def _span(request: Request) -> str:
    asked = request.query_params.get("span", "24h")
    return asked if asked in SPANS else "24h"


def _chart(parts: Sequence[FunctionStats]) -> Chart:
    columns = [
        (
            f"{part.starts_at:%d %b %H:%M}",
            {
                "answered": part.invocations - part.refused - part.failed,
                "refused": part.refused,
                "failed": part.failed,
            },
        )
        for part in parts
    ]
    return stacked_bars("Invocations over time, UTC", columns, _OUTCOMES, first_head="From")
