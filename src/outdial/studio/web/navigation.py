"""The navigation menu of an organization."""

from dataclasses import dataclass
from typing import Final, Literal

from fastapi import Request

from outdial.studio.web.context import OrganizationContext

_ENTRIES: Final = (
    ("campaigns", "Campaigns"),
    ("contacts", "Contacts"),
    ("calls", "Calls"),
    ("do-not-call", "Do not call"),
    ("inbox", "Webhook events"),
    ("functions", "Functions"),
    ("jobs", "Imports and exports"),
    ("reports", "Reports"),
    ("members", "Members"),
    ("audit", "Audit log"),
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
    base = f"/o/{context.organization_id}"
    return [MenuEntry(label, f"{base}/{name}", _current(f"{base}/{name}", path)) for name, label in _ENTRIES]


def _current(url: str, path: str) -> Literal["page", "true"] | None:
    if path == url:
        return "page"
    return "true" if path.startswith(f"{url}/") else None
