"""The page of a shared report: without sign-in, without names and phone numbers, and without a way into the studio."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.studio.end_reports.links import LINK_ENDED, open_link
from outdial.studio.end_reports.view import render_report
from outdial.studio.web.context import studio_state
from outdial.studio.web.errors import ResourceNotFound
from outdial.studio.web.rendering import page
from outdial.studio.web.visitors import client_of

router = APIRouter(prefix="/shared/reports")
REQUESTS_PER_MINUTE: Final = 30
_MOST_CLIENTS: Final = 10_000
_WINDOW: Final = timedelta(minutes=1)
_HEADERS: Final = {"x-robots-tag": "noindex, nofollow", "referrer-policy": "no-referrer"}


class ClientLimiter:
    """Counts the requests of each client in windows of a minute, in this process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._windows: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def wait_s(self, client: str, now: datetime) -> int:
        """Count a request; return 0, or the seconds until the client may send another one."""
        started_at, count = self._windows.pop(client, (now, 0))
        if now - started_at >= _WINDOW:
            started_at, count = now, 0
        self._windows[client] = (started_at, count + 1)
        if len(self._windows) > _MOST_CLIENTS:
            self._windows.popitem(last=False)
        return 0 if count < self._limit else max(1, round((started_at + _WINDOW - now).total_seconds()))


@router.get("/{token}")
async def shared_report_page(request: Request, token: str) -> HTMLResponse:
    """Show the report of a link."""
    studio = studio_state(request)
    limiter = studio.share(ClientLimiter, lambda: ClientLimiter(REQUESTS_PER_MINUTE))
    wait_s = limiter.wait_s(client_of(request), studio.clock.now())
    if wait_s:
        response = _page(request, 429, problem=f"Too many requests. Try again in {wait_s} s.")
        response.headers["retry-after"] = str(wait_s)
        return response
    try:
        shared = await open_link(studio, token)
    except ResourceNotFound:
        return _page(request, 404, problem=LINK_ENDED)
    if shared.report is None:
        return _page(request, 503, problem="The report is being prepared. Reload this page in a few seconds.")
    return _page(request, 200, shared=shared, report=shared.report, rendered=render_report(shared.report))


def _page(request: Request, status: int, problem: str | None = None, **values: Any) -> HTMLResponse:
    response = page(request, "end_reports/shared.html", status=status, zone=ZoneInfo("UTC"), problem=problem, **values)
    response.headers.update(_HEADERS)
    return response
