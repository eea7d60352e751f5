"""Contacts inside a campaign: found by what is known of them, and each one's history."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypedDict
from uuid import UUID

import msgspec
from fastapi import Depends, Query
from pydantic import BaseModel

from outdial.db.queries import audit as audit_queries
from outdial.db.queries import calls as call_queries
from outdial.db.queries import campaign_contacts, campaigns
from outdial.db.session import Connection
from outdial.dialer.admission import (
    Admission,
    Admit,
    ContactFacts,
    Skip,
    SkipReason,
    Wait,
    WaitReason,
    ZoneFacts,
    admit_contact,
    admit_status,
    admit_zone,
    hours_of,
)
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus
from outdial.domain.errors import InvalidCallingHours
from outdial.domain.outcomes import Outcome
from outdial.studio.view.decisions import explain_decision, explain_reason
from outdial.studio.web.errors import InvalidInput, ResourceNotFound
from outdial.studio.web.paging import Page, PageRequest, paginate

MOST_ATTEMPTS: Final = 200
MOST_AUDIT: Final = 50
_LAST: Final = "\U0010ffff"
_SEPARATORS: Final = re.compile(r"[\s()./-]")
_DIGITS: Final = re.compile(r"[0-9]{1,15}")

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Clean = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$", max_length=400)]

ContactOrder = Literal["contact", "next_attempt"]


class CampaignContact(BaseModel):
    """A contact of a campaign; `next_attempt_at` is null once no call is to come."""

    id: UUID
    contact_id: UUID
    phone: str
    name: str | None
    external_id: str | None
    zone_key: str
    status: str
    status_reason: str | None
    attempts: int
    call_count: int
    last_outcome: str | None
    next_attempt_at: datetime | None


class CallAttempt(BaseModel):
    """One call of a contact: when, what it came to, and why it was allowed, as data and in words."""

    call_id: UUID
    attempt_number: int
    status: str
    outcome: str | None
    disconnection_reason: str | None
    reason_in_words: list[str]
    error: str | None
    requested_at: datetime
    placed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    cost_cents: float | None
    decision: dict[str, Any]
    decision_in_words: list[str]


class ContactAuditEntry(BaseModel):
    """What somebody did to the contact or to its campaign."""

    id: int
    at: datetime
    actor: str
    action: str
    subject_type: str
    subject_id: str
    details: dict[str, Any]


class NextCall(BaseModel):
    """What is to come: the earliest moment of the next call, null when none is, and why."""

    at: datetime | None
    reason: str


class ContactTimeline(BaseModel):
    """A contact of a campaign with everything that has happened and what is planned."""

    contact: CampaignContact
    campaign_name: str
    email: str | None
    company: str | None
    notes: str | None
    zone_source: str
    do_not_call: bool
    max_attempts: int
    faults: int
    variables: dict[str, Any]
    entered_at: datetime
    planned: NextCall
    attempts: list[CallAttempt]
    audit: list[ContactAuditEntry]


@dataclass(frozen=True, slots=True)
class ContactFilters:
    """What narrows a list of contacts: at most one of the last four, by which the list is then ordered."""

    status: ContactStatus | None = None
    outcome: Outcome | None = None
    order: ContactOrder = "contact"
    phone: str | None = None
    phone_ends: str | None = None
    name: str | None = None
    external_id: str | None = None

    @property
    def searches(self) -> bool:
        """Whether something is looked for."""
        return any((self.phone, self.phone_ends, self.name, self.external_id))


def contact_filters(
    status: ContactStatus | None = None,
    outcome: Annotated[Outcome | None, Query(description="What the last call came to")] = None,
    order: Annotated[
        ContactOrder,
        Query(description="contact: as they became known. next_attempt: those that wait, by when they are due"),
    ] = "contact",
    phone: Annotated[str | None, Query(max_length=40, description="How the number begins, as +1212")] = None,
    phone_ends: Annotated[str | None, Query(max_length=40, description="How the number ends, as 0134")] = None,
    name: Annotated[str | None, Query(max_length=200, description="How the name begins, in any case")] = None,
    external_id: Annotated[str | None, Query(max_length=200)] = None,
) -> ContactFilters:
    """Read what narrows a list of contacts; raises InvalidInput."""
    return check_filters(ContactFilters(status, outcome, order, phone, phone_ends, name, external_id))


ContactQuery = Annotated[ContactFilters, Depends(contact_filters)]


def check_filters(filters: ContactFilters) -> ContactFilters:
    """Return the filters with numbers as digits and without what is empty; raises InvalidInput."""
    name, external_id = _text("name", filters.name), _text("external_id", filters.external_id)
    phone, phone_ends = digits_of("phone", filters.phone), digits_of("phone_ends", filters.phone_ends)
    searched = [
        key
        for key, value in {"phone": phone, "phone_ends": phone_ends, "name": name, "external_id": external_id}.items()
        if value is not None
    ]
    if len(searched) > 1:
        raise InvalidInput("Look for one thing at a time", dict.fromkeys(searched, "only one of these"))
    if filters.order == "next_attempt":
        if searched:
            raise InvalidInput("A search has an order of its own", {"order": "leave it out when you search"})
        if filters.status not in (None, ContactStatus.PENDING):
            raise InvalidInput("Only pending contacts wait for a call", {"status": "pending, or leave it out"})
    return ContactFilters(filters.status, filters.outcome, filters.order, phone, phone_ends, name, external_id)


def _text(field: str, value: str | None) -> str | None:
    if value is None or not value.strip():
        return None
    if "\x00" in value:
        raise InvalidInput("This text cannot be looked for", {field: "contains a NUL character"})
    return value.strip()


def digits_of(field: str, value: str | None) -> str | None:
    """Return the digits of part of a number, None when there are none; raises InvalidInput naming the field."""
    digits = _SEPARATORS.sub("", value or "").removeprefix("+")
    if not digits:
        return None
    if not digits.isascii() or _DIGITS.fullmatch(digits) is None:
        raise InvalidInput("This is no part of a phone number", {field: "up to 15 digits, such as +1 212 or 0134"})
    return digits


async def find_campaign(
    connection: Connection, organization_id: UUID, campaign_id: UUID
) -> campaigns.CampaignHeaderRow:
    """Return a campaign of the organization; raises NotFound."""
    campaign = await campaigns.read_campaign(connection, campaign_id=campaign_id, organization_id=organization_id)
    if campaign is None:
        raise ResourceNotFound("There is no such campaign in this organization")
    return campaign


class _ContactQuery(TypedDict):
    campaign_id: UUID
    last_outcome: str | None
    limit: int


class _ContactSearch(_ContactQuery):
    organization_id: UUID
    status: str | None


async def list_contacts(
    connection: Connection, campaign_id: UUID, page: PageRequest, filters: ContactFilters
) -> Page[CampaignContact]:
    """Return a page of the contacts of a campaign that the caller may see; raises InvalidInput for a bad cursor."""
    narrowed: _ContactQuery = {
        "campaign_id": campaign_id,
        "last_outcome": filters.outcome,
        "limit": page.limit + 1,
    }
    if filters.searches:
        owner = await campaigns.campaign_organization(connection, campaign_id=campaign_id)
        if owner is None:
            return Page(items=[], next=None)
        search: _ContactSearch = {**narrowed, "status": filters.status, "organization_id": owner}
        rows = await _search(connection, page, filters, search)
    elif filters.order == "next_attempt":
        after = page.key(tuple[Moment, UUID]) or (None, None)
        rows = await campaign_contacts.list_pending_contacts(
            connection, after_at=after[0], after_id=after[1], **narrowed
        )
    else:
        key = page.key(tuple[UUID])
        rows = await campaign_contacts.list_campaign_contacts(
            connection, after_id=None if key is None else key[0], status=filters.status, **narrowed
        )
    shown, following = paginate(rows, page.limit, lambda row: _place(filters, row))
    return Page(items=[_listed(row) for row in shown], next=following)


async def _search(
    connection: Connection, page: PageRequest, filters: ContactFilters, narrowed: _ContactSearch
) -> list[campaign_contacts.CampaignContactRow]:
    if filters.name is not None:
        after = page.key(tuple[Clean, UUID]) or (None, None)
        return await campaign_contacts.list_by_name(
            connection, first=filters.name, last=_LAST, after=after[0], after_id=after[1], **narrowed
        )
    if filters.external_id is not None:
        known = page.key(tuple[UUID])
        return await campaign_contacts.list_by_external_id(
            connection, external_id=filters.external_id, after_id=None if known is None else known[0], **narrowed
        )
    key = page.key(tuple[Clean])
    place = None if key is None else key[0]
    if filters.phone is not None:
        first = f"+{filters.phone}"
        # No number has more than 15 digits, and none is greater than nines.
        return await campaign_contacts.list_by_phone(
            connection, first=first, last=first.ljust(17, "9"), after=place, **narrowed
        )
    ending = (filters.phone_ends or "")[::-1]
    return await campaign_contacts.list_by_phone_ending(
        connection, first=ending, last=ending + _LAST, after=place, **narrowed
    )


def _place(filters: ContactFilters, row: campaign_contacts.CampaignContactRow) -> list[object]:
    if filters.name is not None:
        return [row.place, row.contact_id]
    if not filters.searches and filters.order == "next_attempt":
        return [row.next_attempt_at, row.id]
    return [row.place]


def _listed(row: campaign_contacts.CampaignContactRow | campaign_contacts.CampaignContactDetail) -> CampaignContact:
    waits = row.status == ContactStatus.PENDING
    return CampaignContact(
        id=row.id,
        contact_id=row.contact_id,
        phone=row.phone,
        name=row.name,
        external_id=row.external_id,
        zone_key=row.zone_key,
        status=row.status,
        status_reason=row.status_reason,
        attempts=row.attempts,
        call_count=row.call_count,
        last_outcome=row.last_outcome,
        next_attempt_at=row.next_attempt_at if waits else None,
    )


async def show_contact(
    connection: Connection, organization_id: UUID, campaign_id: UUID, campaign_contact_id: UUID, now: datetime
) -> ContactTimeline:
    """Return one contact of a campaign with its history, the newest first; raises NotFound."""
    row = await campaign_contacts.show_campaign_contact(
        connection,
        campaign_contact_id=campaign_contact_id,
        campaign_id=campaign_id,
        organization_id=organization_id,
    )
    if row is None:
        raise ResourceNotFound("There is no such contact in this campaign")
    calls = await call_queries.list_attempts(connection, campaign_contact_id=row.id, limit=MOST_ATTEMPTS)
    subjects = [str(row.id), str(row.contact_id), row.phone, str(row.campaign_id)]
    audit = await audit_queries.subject_audit(
        connection, organization_id=organization_id, subject_ids=subjects, limit=MOST_AUDIT
    )
    return ContactTimeline(
        contact=_listed(row),
        campaign_name=row.campaign_name,
        email=row.email,
        company=row.company,
        notes=row.notes,
        zone_source=row.zone_source,
        do_not_call=row.do_not_call,
        max_attempts=row.max_attempts,
        faults=row.faults,
        variables=object_of(row.variables),
        entered_at=row.created_at,
        planned=_planned(row, now),
        attempts=[_attempt(call) for call in calls],
        audit=[_audit_entry(entry) for entry in audit],
    )


def object_of(text: str | None) -> dict[str, Any]:
    """Return the JSON object that a column holds; anything else is wrapped, so that nothing is hidden."""
    value = msgspec.json.decode(text) if text else {}
    return value if isinstance(value, dict) else {"value": value}


def _attempt(row: call_queries.AttemptRow) -> CallAttempt:
    decision = object_of(row.decision)
    return CallAttempt(
        call_id=row.id,
        attempt_number=row.attempt_number,
        status=row.status,
        outcome=row.outcome,
        disconnection_reason=row.disconnection_reason,
        reason_in_words=explain_reason(row.disconnection_reason) if row.disconnection_reason else [],
        error=row.error,
        requested_at=row.requested_at,
        placed_at=row.placed_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration_ms=row.duration_ms,
        cost_cents=None if row.cost_cents is None else float(row.cost_cents),
        decision=decision,
        decision_in_words=explain_decision(decision),
    )


def _audit_entry(row: audit_queries.AuditRow) -> ContactAuditEntry:
    return ContactAuditEntry(
        id=row.id,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        details=object_of(row.details),
    )


_AT_REST: Final[Mapping[WaitReason | SkipReason, str]] = {
    WaitReason.DRAFT: "The campaign has not been started.",
    WaitReason.SCHEDULED: "The campaign starts at its scheduled time.",
    WaitReason.PAUSED: "The campaign is paused: no contacts are called until it is resumed.",
    SkipReason.CANCELLED: "The campaign is cancelled: no more contacts are called.",
    SkipReason.FINISHED: "The campaign is completed.",
    SkipReason.DO_NOT_CALL: "The number is on the do-not-call list: the contact will be skipped.",
    SkipReason.ATTEMPTS_USED: "All attempts have been used: the contact will be skipped.",
    SkipReason.NEVER_OPENS: "The contact's time zones have no calling hours in common.",
}


def _planned(row: campaign_contacts.CampaignContactDetail, now: datetime) -> NextCall:
    if row.status == ContactStatus.CALLING:
        return NextCall(at=None, reason="A call is in progress.")
    if row.status != ContactStatus.PENDING:
        return NextCall(at=None, reason="No further call is planned.")
    contact = admit_contact(
        ContactFacts(do_not_call=row.do_not_call, attempts=row.attempts, max_attempts=row.max_attempts), now
    )
    zone = _admit_zone(row, now)
    campaign = admit_status(CampaignStatus(row.campaign_status), None)
    for admission in (contact, zone, campaign):
        if not isinstance(admission, Admit) and admission.reason in _AT_REST:
            return NextCall(at=None, reason=_AT_REST[admission.reason])
    attempts = f"{row.attempts} of at most {row.max_attempts} attempts have been used."
    if isinstance(zone, Wait) and zone.reason is WaitReason.ZONE_OPENS:
        return NextCall(at=zone.until, reason=f"When the calling hours open in the contact's time zone. {attempts}")
    due_at = zone.until if isinstance(zone, Wait) else now
    return NextCall(at=due_at, reason=f"As soon as the account has a free slot from then on. {attempts}")


def _admit_zone(row: campaign_contacts.CampaignContactDetail, now: datetime) -> Admission:
    try:
        hours = hours_of(row.calling_hours)
    except InvalidCallingHours:
        return Skip(reason=SkipReason.NEVER_OPENS)
    return admit_zone(hours, ZoneFacts(zone_key=row.zone_key, first_due_at=row.next_attempt_at), now)
