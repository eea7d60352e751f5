"""Contacts: list, search, detail and edit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypedDict
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.erasure import is_erased
from outdial.campaigns.operations.organization_bulk_request import ChosenContacts
from outdial.campaigns.selection import LAST_TEXT, phone_range, search_patterns
from outdial.db.queries import contacts
from outdial.db.session import Connection
from outdial.dialer.admission import next_call_at
from outdial.dialer.doctor import read_rules
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus
from outdial.domain.contact_fields import (
    CONTACT_FIELD_NAMES,
    LONGEST_NOTES,
    LONGEST_PLACE,
    LONGEST_TEXT,
    LONGEST_ZONE_NAME,
)
from outdial.domain.location import KEYS_VERSION, PlaceField, StatedPlace, Unlocatable, locate
from outdial.domain.permission.consent import Scope
from outdial.domain.phone import phone_of
from outdial.domain.place import Place
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceNotFound
from outdial.studio.web.filters import (
    CursorText,
    PhoneQuery,
    SearchQuery,
    check_single_search,
    phone_digits,
    search_text,
)
from outdial.studio.web.paging import Page, PageRequest, paginate
from outdial.studio.web.preconditions import STALE, check_if_match, etag_of

MAX_CAMPAIGNS: Final = 50
MAX_CALLS: Final = 50
TextField = Annotated[str | None, Field(max_length=LONGEST_TEXT, pattern=r"^[^\x00]*$")]
PlaceText = Annotated[str | None, Field(max_length=LONGEST_PLACE)]
_PLACE_FIELDS: Final[Mapping[PlaceField, str]] = {
    "timezone": "time zone", "country": "country", "region": "state or province", "postal_code": "postal code",
}  # fmt: skip


class ContactColumns(BaseModel):
    """The columns of a contact that every view of it shows."""

    email: str | None
    company: str | None


class ContactSummary(ContactColumns):
    """A contact in a list."""

    id: UUID
    phone: str
    name: str | None
    external_id: str | None
    timezone: str | None
    zone_key: str
    zone_source: str
    created_at: datetime
    updated_at: datetime


class ContactCampaignSummary(BaseModel):
    """A contact's entry in a campaign; `id` is the campaign contact's id. `attempts` counts the call in progress."""

    id: UUID
    campaign_id: UUID
    campaign_name: str
    campaign_status: str
    status: str
    attempts: int
    last_outcome: str | None
    status_reason: str | None
    next_attempt_at: datetime | None


class CallOfContact(BaseModel):
    """A call to a contact."""

    id: UUID
    campaign_id: UUID
    campaign_name: str
    attempt_number: int
    status: str
    outcome: str | None
    requested_at: datetime
    ended_at: datetime | None
    duration_ms: int | None


class Contact(ContactSummary):
    """A contact with its most recent campaigns and calls."""

    notes: str | None
    country: str | None
    region: str | None
    postal_code: str | None
    jurisdiction_key: str
    do_not_call: Annotated[bool, Field(description="On the do-not-call list for calls of any purpose")]
    opted_out_of: Annotated[list[Scope], Field(description="Purposes for which it is on the do-not-call list")]
    campaigns: list[ContactCampaignSummary]
    calls: list[CallOfContact]

    @property
    def etag(self) -> str:
        return etag_of(self.id, self.updated_at, *(getattr(self, name) for name in CONTACT_FIELD_NAMES))


class ContactChanges(BaseModel):
    """Fields to change; omitted fields keep their value, null clears a field.

    Without a time zone, the zones follow from the phone number, country, region (a state or province, as a code or a
    name) and postal code.
    """

    model_config = ConfigDict(extra="forbid")
    name: Annotated[TextField, Field(default_factory=lambda: None)]
    email: Annotated[TextField, Field(default_factory=lambda: None)]
    company: Annotated[TextField, Field(default_factory=lambda: None)]
    notes: Annotated[str | None, Field(max_length=LONGEST_NOTES, pattern=r"^[^\x00]*$", default_factory=lambda: None)]
    external_id: Annotated[TextField, Field(default_factory=lambda: None)]
    country: Annotated[PlaceText, Field(examples=["US"], default_factory=lambda: None)]
    region: Annotated[PlaceText, Field(examples=["TX"], default_factory=lambda: None)]
    postal_code: Annotated[PlaceText, Field(examples=["78701"], default_factory=lambda: None)]
    timezone: Annotated[
        str | None, Field(max_length=LONGEST_ZONE_NAME, examples=["Europe/Berlin"], default_factory=lambda: None)
    ]

    def changes(self) -> dict[str, str | None]:
        """Return the fields in the request, blank ones as None."""
        return {name: (value or "").strip() or None for name, value in self.model_dump(exclude_unset=True).items()}


@dataclass(frozen=True, slots=True)
class ContactSearch:
    """At most one search term. `search` matches any part of a contact, the others the start of one column."""

    search: str | None = None
    phone: str | None = None
    name: str | None = None
    external_id: str | None = None


def contact_search(
    search: SearchQuery = None,
    phone: PhoneQuery = None,
    name: Annotated[str | None, Query(max_length=200, description="Start of the name, case-insensitive")] = None,
    external_id: Annotated[str | None, Query(max_length=200, description="ID in another system")] = None,
) -> ContactSearch:
    """Return the search of a request; raises InvalidInput."""
    terms = {
        "search": search_text("search", search),
        "phone": phone_digits("phone", phone),
        "name": search_text("name", name),
        "external_id": search_text("external_id", external_id),
    }
    check_single_search(terms)
    return ContactSearch(**terms)


ContactSearchQuery = Annotated[ContactSearch, Depends(contact_search)]


def chosen_contacts(search: ContactSearch) -> ChosenContacts:
    """Return a search as the parameters of queries."""
    phones = None if search.phone is None else phone_range(search.phone)
    patterns = None if search.search is None else search_patterns(search.search)
    return ChosenContacts(
        contact_ids=None,
        first_phone=None if phones is None else phones["first"],
        last_phone=None if phones is None else phones["last"],
        name=search.name,
        last_text=LAST_TEXT,
        external_id=search.external_id,
        words=None if patterns is None else patterns["words"],
        digits=None if patterns is None else patterns["digits"],
    )


class _PageOfOrganization(TypedDict):
    organization_id: UUID
    limit: int


async def list_contacts(
    connection: Connection, context: OrganizationContext, page: PageRequest, search: ContactSearch
) -> Page[ContactSummary]:
    """Return a page of contacts, ordered by phone number, or by name when searching by name."""
    known: _PageOfOrganization = {"organization_id": context.organization_id, "limit": page.limit + 1}
    if search.name is not None:
        after = page.key(tuple[CursorText, UUID]) or (None, None)
        rows = await contacts.list_contacts_by_name(
            connection, first=search.name, last=LAST_TEXT, after=after[0], after_id=after[1], **known
        )
        shown, following = paginate(rows, page.limit, lambda row: [row.place, row.id])
    else:
        key = page.key(tuple[CursorText])
        place = None if key is None else key[0]
        if search.search is not None:
            rows = await contacts.search_contacts(connection, after=place, **search_patterns(search.search), **known)
        elif search.external_id is not None:
            rows = await contacts.list_contacts_by_external_id(
                connection, external_id=search.external_id, after=place, **known
            )
        else:
            rows = await contacts.list_contacts(connection, after=place, **phone_range(search.phone), **known)
        shown, following = paginate(rows, page.limit, lambda row: [row.place])
    return Page(items=[ContactSummary.model_validate(row, from_attributes=True) for row in shown], next=following)


async def find_contact(connection: Connection, context: OrganizationContext, contact_id: UUID) -> Contact:
    """Return a contact with campaigns and calls; raises ResourceNotFound."""
    row = await contacts.show_contact(connection, contact_id=contact_id, organization_id=context.organization_id)
    if row is None or is_erased(row.phone):
        raise ResourceNotFound("Contact not found" if row is None else "This contact was erased")
    now = context.studio.clock.now()
    entries = await contacts.contact_campaigns(connection, contact_id=contact_id, limit=MAX_CAMPAIGNS)
    rules = await read_rules(connection, context.organization_id, context.studio.rules)
    calls = await contacts.contact_calls(
        connection, organization_id=context.organization_id, phone=row.phone, limit=MAX_CALLS
    )
    return Contact(
        **ContactSummary.model_validate(row, from_attributes=True).model_dump(),
        notes=row.notes,
        country=row.country,
        region=row.region,
        postal_code=row.postal_code,
        jurisdiction_key=row.jurisdiction_key,
        do_not_call=Scope.ANY in row.opted_out_of,
        opted_out_of=[Scope(purpose) for purpose in row.opted_out_of],
        campaigns=[
            ContactCampaignSummary(
                id=entry.id,
                campaign_id=entry.campaign_id,
                campaign_name=entry.campaign_name,
                campaign_status=entry.campaign_status,
                status=entry.status,
                attempts=entry.attempts + (entry.status == ContactStatus.CALLING),
                last_outcome=entry.last_outcome,
                status_reason=entry.status_reason,
                next_attempt_at=next_call_at(
                    status=CampaignStatus(entry.campaign_status),
                    scheduled_at=entry.scheduled_at,
                    calling_hours=entry.calling_hours,
                    purpose=entry.purpose,
                    rules=rules,
                    place=Place(entry.zone_key, entry.jurisdiction_key),
                    due_at=entry.next_attempt_at,
                    now=now,
                )
                if entry.status == ContactStatus.PENDING
                else None,
            )
            for entry in entries
        ],
        calls=[CallOfContact.model_validate(each, from_attributes=True) for each in calls],
    )


async def phone_of_contact(connection: Connection, context: OrganizationContext, contact_id: UUID) -> str:
    """Return the phone of a contact; raises ResourceNotFound, also for an erased contact."""
    phone = await contacts.contact_phone(connection, contact_id=contact_id, organization_id=context.organization_id)
    if phone is None or is_erased(phone):
        raise ResourceNotFound("Contact not found" if phone is None else "This contact was erased")
    return phone


async def change_contact(
    connection: Connection,
    context: OrganizationContext,
    contact_id: UUID,
    changes: Mapping[str, str | None],
    if_match: str | None = None,
) -> Contact:
    """Change a contact; a new place applies in its campaigns too.

    Raises ResourceNotFound, InvalidInput and PreconditionFailed.
    """
    found = await find_contact(connection, context, contact_id)
    check_if_match(if_match, found.etag)
    changed: dict[str, str | None] = {name: getattr(found, name) for name in CONTACT_FIELD_NAMES} | dict(changes)
    location = locate(phone_of(found.phone), StatedPlace(**{name: changed[name] for name in _PLACE_FIELDS}))
    if isinstance(location, Unlocatable):
        raise InvalidInput(f"Invalid {_PLACE_FIELDS[location.field]}", {location.field: location.reason})
    touched = await contacts.change_contact(
        connection,
        contact_id=contact_id,
        organization_id=context.organization_id,
        zone_key=location.place.zone_key,
        zone_source=location.zone_source,
        jurisdiction_key=location.place.jurisdiction_key,
        keys_version=KEYS_VERSION,
        seen_at=found.updated_at,
        now=context.studio.clock.now(),
        **changed | location.stored(),
    )
    if touched is None:
        raise PreconditionFailed(STALE)
    # Field names only: the values are personal data.
    await record_audit(
        connection,
        context=context,
        action="change_contact",
        subject_type="contact",
        subject_id=contact_id,
        details={"fields": sorted(changes)},
    )
    return await find_contact(connection, context, contact_id)
