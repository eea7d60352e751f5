"""Renders Jinja templates into pages with the menu, autoescaped and strict about undefined names."""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension

from outdial.domain import limits
from outdial.domain.contact_fields import CONTACT_FIELDS
from outdial.domain.geography.place_names import place_names
from outdial.studio.view import format as formats
from outdial.studio.view.badges import badge_for_contact, badge_for_outcome, badge_for_status, humanize
from outdial.studio.view.call_labels import ANSWER_RATE_NOTE, CALL_LABELS
from outdial.studio.view.countries import calendar_groups, place_groups
from outdial.studio.view.decisions import ZONE_SOURCES
from outdial.studio.view.phones import phone_text, with_phone_texts
from outdial.studio.view.zones import zone_groups
from outdial.studio.web.assets import static_url
from outdial.studio.web.context import MOST_WAITING, OrganizationContext, is_platform_operator, studio_state
from outdial.studio.web.filters import active_filters, chosen_zone, viewer_zone
from outdial.studio.web.forms import clear_flash, pending_flash

TEMPLATES = Path(__file__).parents[1]
MENU: Final[Mapping[str, Sequence[tuple[str, str, str]]]] = {
    "Run": (
        ("campaigns", "Campaigns", "megaphone"),
        ("live-calls", "Live", "radio"),
        ("calls", "Calls", "phone"),
        ("review", "Review", "list-checks"),
        ("callbacks", "Callbacks", "calendar-clock"),
        ("contacts", "Contacts", "users"),
        ("do-not-call", "Do not call", "ban"),
    ),
    "Results": (
        ("reports", "Reports", "chart-column"),
        ("jobs", "Imports, exports, jobs", "download"),
    ),
    "Compliance": (
        ("rules", "Calling rules", "scale"),
        ("screening", "Screening lists", "shield-check"),
        ("privacy", "Privacy", "lock"),
        ("audit", "Audit log", "scroll-text"),
    ),
    "Developers": (
        ("inbox", "Webhook events", "webhook"),
        ("functions", "Functions", "square-function"),
        ("settings/retell", "Retell and webhook", "key-round"),
        ("/docs", "API", "code"),
    ),
    "Organization": (
        ("numbers", "Caller numbers", "hash"),
        ("members", "Members", "user-plus"),
        ("settings", "Settings", "settings"),
    ),
}
"""Groups of pages: path below the organization, or whole with a slash; label and icon (a name in static/icons.txt)."""

# Sections without an entry of their own, with the entry above them.
_BELOW: Final = {"analytics": "reports", "imports": "jobs", "exports": "jobs", "bulk-jobs": "jobs"}
Theme = Literal["light", "dark", "system"]
THEME_COOKIE: Final = "outdial_theme"
CSRF_OF_READER: Final = secrets.token_hex(16)
"""Stands in shared pages for the token of their reader. It is not guessable, so no one can write it into a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuEntry:
    """A menu entry. `current` is its aria-current value: "page" for this page, "true" for a page below it."""

    label: str
    url: str
    icon: str
    current: Literal["page", "true"] | None
    count: str | None = None


@dataclass(frozen=True, slots=True)
class MenuGroup:
    """A group of the menu with its heading."""

    label: str
    entries: Sequence[MenuEntry]


def navigation(context: OrganizationContext, request: Request) -> list[MenuGroup]:
    """Return the menu, with the entry of the requested page marked as current."""
    path = request.url.path
    section = path.removeprefix(f"/o/{context.organization_id}/").partition("/")[0]
    has_entry = path in {menu_url(context, name) for pages in MENU.values() for name, _, _ in pages}
    groups = []
    for group, pages in menu_of(context).items():
        entries = []
        for name, label, icon in pages:
            url = menu_url(context, name)
            current: Literal["page", "true"] | None = None
            if path == url:
                current = "page"
            elif not has_entry and name in (section, _BELOW.get(section)):
                current = "true"
            count = None
            if waiting := context.waiting.get(name, 0):
                count = f"{MOST_WAITING - 1}+" if waiting >= MOST_WAITING else str(waiting)
            entries.append(MenuEntry(label=label, url=url, icon=icon, current=current, count=count))
        groups.append(MenuGroup(group, entries))
    return groups


def menu_of(context: OrganizationContext) -> Mapping[str, Sequence[tuple[str, str, str]]]:
    """Return the groups of pages that the caller can open: functions are for platform operators."""
    if is_platform_operator(context.caller, context.role):
        return MENU
    return {group: [entry for entry in pages if entry[0] != "functions"] for group, pages in MENU.items()}


def menu_url(context: OrganizationContext, path: str) -> str:
    """Return the URL of a page of the menu."""
    return path if path.startswith("/") else f"/o/{context.organization_id}/{path}"


def theme_of(request: Request) -> Theme:
    """Return the color theme the user has chosen; "system" follows the device."""
    match request.cookies.get(THEME_COOKIE):
        case "light":
            return "light"
        case "dark":
            return "dark"
        case _:
            return "system"


def element_id(*parts: object) -> str:
    """Return an element id that stays the same across renders."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


# The line break after a tag of Jinja is left out too, so that the indentation of the next line separates words.
_INDENTATION: Final = re.compile(r"(?<=[%#]}\n)[ \t]+")
_OTHER_INDENTATION: Final = re.compile(r"^(?<![%#]}\n)[ \t]+", re.MULTILINE)


class UnindentedTemplates(Extension):
    """Leaves the indentation of templates out of pages, which have a limit: it is up to a tenth of them."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Return the template without indentation; text in `pre` and `textarea` comes from values."""
        return _OTHER_INDENTATION.sub("", _INDENTATION.sub(" ", source))


environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    extensions=[UnindentedTemplates],
)
environment.globals |= {
    "static_url": static_url,
    "navigation": navigation,
    "theme_of": theme_of,
    "chosen_zone": chosen_zone,
    "active_filters": active_filters,
    "badge_for_status": badge_for_status,
    "badge_for_contact": badge_for_contact,
    "badge_for_outcome": badge_for_outcome,
    "element_id": element_id,
    "limits": limits,
    "contact_fields": CONTACT_FIELDS,
    "call_labels": CALL_LABELS,
    "answer_rate_note": ANSWER_RATE_NOTE,
    "zone_sources": ZONE_SOURCES,
    "place_names": place_names,
    # Pages of one campaign give the campaign's frame; lists that are also pages of their own ask for it.
    "frame": None,
    "place_groups": place_groups,
    "calendar_groups": calendar_groups,
    "zone_groups": zone_groups,
}
environment.filters |= {
    "number": formats.number,
    "percent": formats.percent,
    "duration": formats.duration,
    "money": formats.money,
    "iso": formats.iso,
    "relative_moment": formats.relative_moment,
    "day": formats.date_text,
    "weekday_moment": formats.weekday_moment,
    "zone_label": formats.zone_label,
    "in_zone": formats.in_zone,
    "phone": phone_text,
    "phones_as_read": with_phone_texts,
    "sentence": formats.sentence_case,
    "as_read": lambda text: with_phone_texts(formats.with_viewer_times(text)),
    "humanize": humanize,
}


def page(
    request: Request,
    template: str,
    context: OrganizationContext | None = None,
    *,
    status: int = 200,
    zone: ZoneInfo | None = None,
    **values: Any,
) -> HTMLResponse:
    """Render `template` (such as "campaigns/list.html") into a page.

    Besides `values`, templates see `request`, `context` (None outside an organization), `csrf_token`, `viewer` (the
    signed-in user's email address), `flash` (the message of the form that led here) and `viewer_zone` (the name of the
    time zone of all times). Times are in `zone` if it is given.
    """
    flash = pending_flash(request)
    zone = zone or viewer_zone(request)
    formats.show_times_in(zone, studio_state(request).clock.now())
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


def render_shared(request: Request, template: str, context: OrganizationContext, **values: Any) -> str:
    """Render `template` for live updates of all members with the role and the time zone of the caller.

    It names no user, and has CSRF_OF_READER in place of the token.
    """
    zone = viewer_zone(request)
    formats.show_times_in(zone, studio_state(request).clock.now())
    return environment.get_template(template).render(
        request=request,
        context=context,
        csrf_token=CSRF_OF_READER,
        viewer=None,
        flash=None,
        viewer_zone=zone.key,
        **values,
    )
