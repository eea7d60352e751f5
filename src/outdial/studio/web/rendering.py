"""Turns templates into pages: autoescaped, strict about what is missing, each with what its layout needs."""

import hashlib
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from outdial.studio.view import format as figures
from outdial.studio.view.badges import badge_for_outcome, badge_for_status, humanize
from outdial.studio.web.assets import static_url
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.flash import clear_flash, flash_of
from outdial.studio.web.navigation import navigation

TEMPLATES = Path(__file__).parents[1]


def element_id(*parts: object) -> str:
    """Return an id for an element, the same whenever the page is rendered again."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


environment = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
environment.globals |= {
    "static_url": static_url,
    "navigation": navigation,
    "badge_for_status": badge_for_status,
    "badge_for_outcome": badge_for_outcome,
    "element_id": element_id,
}
environment.filters |= {
    "number": figures.number,
    "percent": figures.percent,
    "duration": figures.duration,
    "money": figures.money,
    "iso": figures.iso,
    "utc": figures.utc,
    "in_zone": figures.in_zone,
    "humanize": humanize,
}


def page(
    request: Request, template: str, context: OrganizationContext | None = None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Return `template` (such as "campaigns/list.html") filled with `values` and with what the layout needs.

    Besides `values`, templates see `request`, `context` (None outside an organization), `csrf_token`, `viewer` (the
    e-mail address of who is signed in) and `flash` (the message of the form that led here).
    """
    flash = flash_of(request)
    html = environment.get_template(template).render(
        request=request,
        context=context,
        csrf_token=request.scope.get("outdial_csrf", ""),
        viewer=request.scope.get("outdial_viewer"),
        flash=flash,
        **values,
    )
    response = HTMLResponse(html, status)
    if flash is not None:
        clear_flash(response)
    return response
