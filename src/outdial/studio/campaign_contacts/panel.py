"""The list of a campaign's contacts with its search, as a part of any page (`campaign_contacts/panel.html`)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from outdial.db.session import Connection
from outdial.domain.contact import ContactStatus
from outdial.domain.outcomes import Outcome
from outdial.studio.campaign_contacts.service import (
    CampaignContact,
    ContactFilters,
    ContactOrder,
    check_filters,
    list_contacts,
)
from outdial.studio.view.badges import badge_for_outcome, humanize
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.paging import PageRequest

LIMIT: Final = 50
# Where the list is one part of a page among others.
_LIMIT_WITHIN: Final = 20
_NUMBER: Final = re.compile(r"\+?[0-9\s()./-]+")

Options = list[tuple[str, str]]
STATUSES: Final[Options] = [("", "Any"), *((status.value, humanize(status)) for status in ContactStatus)]
OUTCOMES: Final[Options] = [("", "Any"), *((outcome.value, badge_for_outcome(outcome).label) for outcome in Outcome)]
CHOICES: Final[Mapping[str, Options]] = {
    "status": STATUSES,
    "outcome": OUTCOMES,
    "order": [("contact", "As they came in"), ("next_attempt", "Next call first")],
    "by": [
        ("", "Name or number"),
        ("name", "Name begins"),
        ("phone", "Number begins"),
        ("phone_ends", "Number ends"),
        ("external_id", "External id"),
    ],
}


@dataclass(frozen=True, slots=True)
class ContactPanel:
    """What the template shows: the form as it was sent, and either contacts or what is wrong with it."""

    url: str
    contact_url: str
    form: Mapping[str, str]
    contacts: list[CampaignContact]
    next_url: str | None
    first_url: str | None
    problem: str | None = None

    @property
    def choices(self) -> Mapping[str, Options]:
        """What each list of the form offers."""
        return CHOICES

    @property
    def is_narrowed(self) -> bool:
        """Whether something is looked for, so that an empty list means that nothing fits."""
        return any(self.form[name] for name in ("q", "status", "outcome"))


async def contact_panel(
    connection: Connection, organization_id: UUID, campaign_id: UUID, query: Mapping[str, str], url: str
) -> ContactPanel:
    """Return the panel for a request's `query`; `url` is the page that it is part of, without a query."""
    form = {name: query.get(name, "").strip()[:200] for name in ("q", "by", "status", "outcome", "order")}
    base = f"/o/{organization_id}/campaigns/{campaign_id}/contacts"
    panel = ContactPanel(url, base, form, [], None, None)
    cursor, limit = query.get("cursor") or None, LIMIT if url == base else _LIMIT_WITHIN
    try:
        page = await list_contacts(connection, campaign_id, PageRequest(cursor, limit), _filters(form))
    except InvalidInput as error:
        details = "; ".join(error.fields.values())
        return replace(panel, problem=f"{error.message}: {details}." if details else error.message)
    kept = {name: value for name, value in form.items() if value}
    return replace(
        panel,
        contacts=page.items,
        next_url=f"{url}?{urlencode({**kept, 'cursor': page.next})}" if page.next else None,
        first_url=f"{url}?{urlencode(kept)}" if cursor else None,
    )


def _filters(form: Mapping[str, str]) -> ContactFilters:
    by = form["by"] or _guess(form["q"])
    if by not in dict(CHOICES["by"]):
        raise InvalidInput("This cannot be searched by", {"by": "choose from the list"})
    searched = {by: form["q"]} if form["q"] else {}
    try:
        status = ContactStatus(form["status"]) if form["status"] else None
        outcome = Outcome(form["outcome"]) if form["outcome"] else None
    except ValueError:
        raise InvalidInput("There is no such status or outcome", {"status": "choose from the list"}) from None
    waiting = form["order"] == "next_attempt" and not searched and status in (None, ContactStatus.PENDING)
    order: ContactOrder = "next_attempt" if waiting else "contact"
    return check_filters(ContactFilters(status=status, outcome=outcome, order=order, **searched))


def _guess(text: str) -> str:
    """A number with its + is known from its beginning; digits alone are most often its end."""
    if _NUMBER.fullmatch(text) is None:
        return "name"
    return "phone" if text.startswith("+") else "phone_ends"
