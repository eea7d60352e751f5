"""The contact list of a campaign with its search, for `campaign_contacts/panel.html`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from outdial.campaigns.operations.bulk_request import count_by_status
from outdial.db.session import Connection
from outdial.domain.contact import ContactStatus
from outdial.domain.outcomes import Outcome
from outdial.domain.rules import RuleBook
from outdial.studio.campaign_contacts.service import (
    CampaignContact,
    ContactFilters,
    ContactOrder,
    check_filters,
    list_contacts,
)
from outdial.studio.view.badges import badge_for_contact, badge_for_outcome
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import query_values
from outdial.studio.web.paging import MOST_COUNTED, PageRequest, at_most, has_more_pages, page_links

LIMIT: Final = 40
"""Rows of a page, which has a limit: a row has much to say, and above the rows there are filters, actions and views."""


Options = list[tuple[str, str]]
STATUSES: Final[Options] = [("", "Any"), *((status.value, badge_for_contact(status).label) for status in ContactStatus)]
OUTCOMES: Final[Options] = [("", "Any"), *((outcome.value, badge_for_outcome(outcome).label) for outcome in Outcome)]
FORMATS: Final[Options] = [("csv", "CSV"), ("xlsx", "Excel (XLSX)"), ("jsonl", "JSON lines")]
CHOICES: Final[Mapping[str, Options]] = {
    "status": STATUSES,
    "outcome": OUTCOMES,
    "reached": [("", "Any"), ("true", "Reached"), ("false", "Not reached")],
    "order": [("contact", "Default"), ("next_attempt", "Next call first")],
    "by": [
        ("", "Any field"),
        ("name", "Name starts with"),
        ("phone", "Number starts with"),
        ("phone_ends", "Number ends with"),
        ("external_id", "External ID"),
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPanel:
    """Values of the template: the submitted filters and either the contacts or the problem with the filters."""

    url: str
    form: Mapping[str, str]
    now: datetime
    contacts: list[CampaignContact] = field(default_factory=list)
    next_url: str | None = None
    first_url: str | None = None
    problem: str | None = None
    matching: int = 0
    counted_to: int = MOST_COUNTED

    @property
    def bulk_url(self) -> str:
        """The page that acts on all contacts that match the filters."""
        given = {name: value for name, value in self.selection_fields.items() if value}
        url = self.url.replace("/contacts", "/bulk-jobs")
        return f"{url}?{urlencode(given)}" if given else url

    @property
    def matching_in_words(self) -> str:
        """How many contacts match; counting stops at `counted_to`."""
        return at_most(self.matching, self.counted_to)

    @property
    def choices(self) -> Mapping[str, Options]:
        """The options of each select."""
        return CHOICES

    @property
    def is_narrowed(self) -> bool:
        """Whether filters are set, so that an empty list means no match."""
        return any(self.form[name] for name in ("q", "status", "outcome", "reached"))

    @property
    def formats(self) -> Options:
        """The formats of an export of results."""
        return FORMATS

    @property
    def selection_fields(self) -> Mapping[str, str]:
        """The form fields that select the listed contacts."""
        by_due_time = self.form["order"] == "next_attempt" and not self.form["q"]
        status = self.form["status"] or ("pending" if by_due_time else "")
        kept = {name: self.form[name] for name in ("outcome", "reached")}
        return {"status": status, **kept, self.form["by"] or "search": self.form["q"]}

    @property
    def selection_of(self) -> Mapping[str, str]:
        """The form fields that select all listed contacts, in any page of the list."""
        return {"campaign": self.url.split("/")[-2], **self.selection_fields}

    @property
    def export_fields(self) -> Mapping[str, str]:
        """The form fields that export the results of the listed contacts."""
        return {**self.selection_fields, "kind": "results", "campaign_id": self.url.split("/")[-2]}


async def contact_panel(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_id: UUID,
    query: Mapping[str, str],
    rules: RuleBook,
    now: datetime,
) -> ContactPanel:
    """Return the panel for a request's `query`; `rules` are the shipped ones."""
    form = query_values(query, ("q", "by", "status", "outcome", "reached", "order"))
    url = f"/o/{organization_id}/campaigns/{campaign_id}/contacts"
    panel = ContactPanel(url=url, form=form, now=now)
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    by = form["by"] or "search"
    search = {by: form["q"]} if form["q"] else {}
    try:
        if form["by"] not in dict(CHOICES["by"]):
            raise InvalidInput("Unknown search field", {"by": "choose one from the list"})
        try:
            status = ContactStatus(form["status"]) if form["status"] else None
            outcome = Outcome(form["outcome"]) if form["outcome"] else None
        except ValueError:
            raise InvalidInput("Unknown status or outcome", {"status": "choose one from the list"}) from None
        if form["reached"] not in dict(CHOICES["reached"]):
            raise InvalidInput("Unknown filter", {"reached": "choose one from the list"})
        reached = form["reached"] == "true" if form["reached"] else None
        by_due_time = form["order"] == "next_attempt" and not search and status in (None, ContactStatus.PENDING)
        order: ContactOrder = "next_attempt" if by_due_time else "contact"
        filters = check_filters(ContactFilters(status=status, outcome=outcome, reached=reached, order=order, **search))
        page = await list_contacts(connection, campaign_id, page_request, filters, rules=rules, now=now)
    except InvalidInput as error:
        return replace(panel, problem=error.summary)
    links = page_links(url, form, page_request, page.next)
    matching, counted_to = len(page.items), MOST_COUNTED
    has_more = has_more_pages(page, page_request)
    if has_more and "search" in search:
        # Counting what a text matches takes seconds with a million contacts: more than one page is not counted.
        counted_to = page_request.limit
        matching = counted_to + 1
    elif has_more:
        counts = await count_by_status(
            connection, organization_id, campaign_id, filters.selection(), limit=MOST_COUNTED + 1
        )
        matching = sum(counts.values())
    return replace(
        panel,
        matching=matching,
        counted_to=counted_to,
        contacts=page.items,
        next_url=links["next_url"],
        first_url=links["first_url"],
    )
