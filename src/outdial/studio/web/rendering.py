"""Renders Jinja templates into pages with the menu, autoescaped and strict about undefined names."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from outdial.domain import limits
from outdial.domain.contact_fields import CONTACT_FIELDS
from outdial.domain.geography.place_names import place_names
from outdial.studio.view import format as formats
from outdial.studio.view.badges import badge_for_outcome, badge_for_status, humanize
from outdial.studio.view.decisions import ZONE_SOURCES
from outdial.studio.web.assets import static_url
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import clear_flash, pending_flash

TEMPLATES = Path(__file__).parents[1]
_MENU: Final = (
    ("campaigns", "Campaigns"),
    ("contacts", "Contacts"),
    ("calls", "Calls"),
    ("callbacks", "Callbacks"),
    ("do-not-call", "Do not call"),
    ("screening", "Screening lists"),
    ("rules", "Calling rules"),
    ("inbox", "Webhook events"),
    ("functions", "Functions"),
    ("jobs", "Imports and exports"),
    ("reports", "Reports"),
    ("members", "Members"),
    ("audit", "Audit log"),
    ("privacy", "Privacy"),
    ("numbers", "Caller numbers"),
    ("settings", "Settings"),
)


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A menu entry. `current` is its aria-current value: "page" for this page, "true" for a page below it."""

    label: str
    url: str
    current: Literal["page", "true"] | None


def navigation(context: OrganizationContext, request: Request) -> list[MenuEntry]:
    """Return the menu, with the entry of the requested page marked as current."""
    path = request.url.path
    entries = []
    for name, label in _MENU:
        url = f"/o/{context.organization_id}/{name}"
        current: Literal["page", "true"] | None = None
        if path == url:
            current = "page"
        elif path.startswith(f"{url}/"):
            current = "true"
        entries.append(MenuEntry(label, url, current))
    return entries


def element_id(*parts: object) -> str:
    """Return an element id that stays the same across renders."""
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
    "limits": limits,
    "contact_fields": CONTACT_FIELDS,
    "zone_sources": ZONE_SOURCES,
    "place_names": place_names,
}
environment.filters |= {
    "number": formats.number,
    "percent": formats.percent,
    "duration": formats.duration,
    "money": formats.money,
    "iso": formats.iso,
    "moment": formats.moment,
    "zone_label": formats.zone_label,
    "in_zone": formats.in_zone,
    "humanize": humanize,
}


def page(
    request: Request, template: str, context: OrganizationContext | None = None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Render `template` (such as "campaigns/list.html") into a page.

    Besides `values`, templates see `request`, `context` (None outside an organization), `csrf_token`, `viewer` (the
    signed-in user's email address), `flash` (the message of the form that led here) and `viewer_zone` (the name of the
    time zone of all times).
    """
    flash = pending_flash(request)
    zone = viewer_zone(request)
    formats.show_times_in(zone)
    html = environment.get_template(template).render(
        request=request,
        context=context,
        csrf_token=request.scope.get("outdial_csrf", ""),
        viewer=request.scope.get("outdial_viewer"),
        flash=flash,
        viewer_zone=zone.key,
        **values,
    )
    response = HTMLResponse(html, status)
    if flash is not None:
        clear_flash(response)
    return response
