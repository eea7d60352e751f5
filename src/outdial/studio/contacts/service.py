"""The contacts of an organization: found, looked at, corrected."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypedDict
from uuid import UUID

import msgspec
from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries import contacts
from outdial.db.session import Connection
from outdial.domain.phone import NoZone, Phone, zone_of
from outdial.studio.campaign_contacts.service import digits_of
from outdial.studio.web.audit import record
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceNotFound
from outdial.studio.web.paging import Page, PageRequest, paginate
from outdial.studio.web.preconditions import check_if_match, etag_of

MOST_CAMPAIGNS: Final = 50
MOST_CALLS: Final = 50
_LAST: Final = "\U0010ffff"
_EDITABLE: Final = ("name", "email", "company", "notes", "external_id", "timezone")
Clean = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$", max_length=400)]
Line = Annotated[str | None, Field(max_length=500, pattern=r"^[^\x00]*$")]


class ContactSummary(BaseModel):
    """A contact in a list."""

    id: UUID
    phone: str
    name: str | None
    email: str | None
    company: str | None
    external_id: str | None
    timezone: str | None
    zone_key: str
    zone_source: str
    created_at: datetime
    updated_at: datetime


class ContactCampaign(BaseModel):
    """A campaign that a contact is in; `id` is that of the contact inside the campaign."""

    id: UUID
    campaign_id: UUID
    campaign_name: str
    campaign_status: str
    status: str
    attempts: int
    last_outcome: str | None
    status_reason: str | None
    next_attempt_at: datetime | None


class ContactCall(BaseModel):
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
    """A contact with the campaigns they are in and the calls they got, the newest of both."""

    notes: str | None
    do_not_call: bool
    campaigns: list[ContactCampaign]
    calls: list[ContactCall]

    @property
    def etag(self) -> str:
        """What tells this state of the contact from every other."""
        return etag_of(self.id, self.updated_at, *(getattr(self, name) for name in _EDITABLE))


class ContactChanges(BaseModel):
    """What shall be different; what is left out stays, and null empties a field.

    A time zone that is emptied is told from the number again.
    """

    model_config = ConfigDict(extra="forbid")
    name: Annotated[Line, Field(default_factory=lambda: None)]
    email: Annotated[Line, Field(default_factory=lambda: None)]
    company: Annotated[Line, Field(default_factory=lambda: None)]
    notes: Annotated[str | None, Field(max_length=10_000, pattern=r"^[^\x00]*$", default_factory=lambda: None)]
    external_id: Annotated[Line, Field(default_factory=lambda: None)]
    timezone: Annotated[str | None, Field(max_length=100, examples=["Europe/Berlin"], default_factory=lambda: None)]

    def changes(self) -> dict[str, str | None]:
        """Return the fields that were sent, empty ones as None."""
        return {name: (value or "").strip() or None for name, value in self.model_dump(exclude_unset=True).items()}


@dataclass(frozen=True, slots=True)
class ContactSearch:
    """What is looked for: one thing at the most."""

    phone: str | None = None
    name: str | None = None
    external_id: str | None = None


def contact_search(
    phone: Annotated[str | None, Query(max_length=40, description="How the number begins, as +1212")] = None,
    name: Annotated[str | None, Query(max_length=200, description="How the name begins, in any case")] = None,
    external_id: Annotated[str | None, Query(max_length=200, description="The id in another system")] = None,
) -> ContactSearch:
    """Read what is looked for; raises InvalidInput."""
    given = {
        "phone": digits_of("phone", phone),
        "name": _text("name", name),
        "external_id": _text("external_id", external_id),
    }
    searched = [key for key, value in given.items() if value is not None]
    if len(searched) > 1:
        raise InvalidInput("Look for one thing at a time", dict.fromkeys(searched, "only one of these"))
    return ContactSearch(**given)


ContactSearchQuery = Annotated[ContactSearch, Depends(contact_search)]


def _text(field: str, value: str | None) -> str | None:
    if "\0" in (value or ""):
        raise InvalidInput("This text cannot be looked for", {field: "contains a NUL character"})
    return (value or "").strip() or None


class PhoneRange(TypedDict):
    """The first and the last number of a range of phone numbers."""

    first: str
    last: str


class _PageOfOrganization(TypedDict):
    organization_id: UUID
    limit: int


def numbers_that_begin(digits: str | None) -> PhoneRange:
    """Return the first and the last number that begin so: no number has more than 15 digits."""
    first = f"+{digits or ''}"
    return {"first": first, "last": first.ljust(17, "9")}


async def list_contacts(
    connection: Connection, context: OrganizationContext, page: PageRequest, filters: ContactSearch
) -> Page[ContactSummary]:
    """Return a page of the contacts of the organization, by phone, or by name where one is looked for."""
    known: _PageOfOrganization = {"organization_id": context.organization_id, "limit": page.limit + 1}
    if filters.name is not None:
        after = page.key(tuple[Clean, UUID]) or (None, None)
        rows = await contacts.list_contacts_by_name(
            connection, first=filters.name, last=_LAST, after=after[0], after_id=after[1], **known
        )
        shown, following = paginate(rows, page.limit, lambda row: [row.place, row.id])
    else:
        key = page.key(tuple[Clean])
        place = None if key is None else key[0]
        if filters.external_id is not None:
            rows = await contacts.list_contacts_by_external_id(
                connection, external_id=filters.external_id, after=place, **known
            )
        else:
            rows = await contacts.list_contacts(connection, after=place, **numbers_that_begin(filters.phone), **known)
        shown, following = paginate(rows, page.limit, lambda row: [row.place])
    return Page(items=[_summary(row) for row in shown], next=following)


async def find_contact(connection: Connection, context: OrganizationContext, contact_id: UUID) -> Contact:
    """Return a contact with their campaigns and calls; raises NotFound."""
    row = await _find(connection, context, contact_id)
    campaigns = await contacts.contact_campaigns(connection, contact_id=contact_id, limit=MOST_CAMPAIGNS)
    calls = await contacts.contact_calls(
        connection, organization_id=context.organization_id, phone=row.phone, limit=MOST_CALLS
    )
    return Contact(
        **_summary(row).model_dump(),
        notes=row.notes,
        do_not_call=row.do_not_call,
        campaigns=[_in_campaign(entry) for entry in campaigns],
        calls=[ContactCall(**{name: getattr(call, name) for name in ContactCall.model_fields}) for call in calls],
    )


async def change_contact(
    connection: Connection,
    context: OrganizationContext,
    contact_id: UUID,
    changes: Mapping[str, str | None],
    if_match: str | None = None,
) -> Contact:
    """Correct a contact; their campaigns take a corrected zone over. Raises NotFound, InvalidInput and Outdated."""
    found = await find_contact(connection, context, contact_id)
    check_if_match(if_match, found.etag)
    changed = {name: getattr(found, name) for name in _EDITABLE} | dict(changes)
    zone = zone_of(Phone(found.phone, None), changed["timezone"])
    if isinstance(zone, NoZone):
        raise InvalidInput("This time zone cannot be used", {"timezone": zone.reason})
    touched = await contacts.change_contact(
        connection,
        contact_id=contact_id,
        organization_id=context.organization_id,
        zone_key=zone.key,
        zone_source=zone.source,
        seen_at=found.updated_at,
        now=context.studio.clock.now(),
        **changed,
    )
    if touched is None:
        raise PreconditionFailed("Somebody has changed the contact meanwhile: load it again, and repeat your change")
    # What was written where is the contact's own business.
    await record(connection, context, "change_contact", "contact", contact_id, {"fields": sorted(changes)})
    return await find_contact(connection, context, contact_id)


async def _find(connection: Connection, context: OrganizationContext, contact_id: UUID) -> contacts.ContactDetail:
    row = await contacts.show_contact(connection, contact_id=contact_id, organization_id=context.organization_id)
    if row is None:
        raise ResourceNotFound("There is no such contact in this organization")
    return row


def _summary(row: contacts.ContactRow | contacts.ContactDetail) -> ContactSummary:
    kept: dict[str, Any] = {name: getattr(row, name) for name in ContactSummary.model_fields}
    return ContactSummary(**kept)


def _in_campaign(row: contacts.ContactCampaign) -> ContactCampaign:
    kept: dict[str, Any] = {name: getattr(row, name) for name in ContactCampaign.model_fields}
    return ContactCampaign(**kept | {"next_attempt_at": row.next_attempt_at if row.status == "pending" else None})
