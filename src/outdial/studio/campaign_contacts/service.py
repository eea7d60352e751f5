"""Contacts of a campaign: list, search, and the timeline of each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypedDict
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from outdial.campaigns.selection import (
    LAST_TEXT,
    REACHED_OUTCOMES,
    SEARCH_TERMS,
    SELECTION_FILTERS,
    ContactSelection,
    phone_range,
    search_patterns,
)
from outdial.db.queries import audit as audit_queries
from outdial.db.queries import calls as call_queries
from outdial.db.queries import campaign_contacts, campaigns
from outdial.db.queries import contacts as contact_queries
from outdial.db.session import Connection
from outdial.dialer.admission import next_call_at
from outdial.dialer.doctor import read_rules
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus, ReviewDecision
from outdial.domain.outcomes import Outcome
from outdial.domain.place import Place
from outdial.domain.rules import RuleBook
from outdial.studio.campaign_contacts.next_call import NextCall, plan_next_call
from outdial.studio.campaigns.shapes import DecisionField
from outdial.studio.contacts.service import ContactColumns
from outdial.studio.view.decisions import explain_decision, explain_reason
from outdial.studio.view.payloads import decode_object
from outdial.studio.web.audit import actor_emails
from outdial.studio.web.errors import InvalidInput, ResourceNotFound
from outdial.studio.web.filters import (
    CursorText,
    CursorTime,
    PhoneQuery,
    SearchQuery,
    search_terms,
)
from outdial.studio.web.paging import Page, PageRequest, paginate

MAX_ATTEMPTS: Final = 200
MAX_AUDIT: Final = 50

REACHED_MEANS: Final = "Whether a call has reached a person. false: only finished contacts that no call has reached"

ContactOrder = Literal["contact", "next_attempt"]


class CampaignContact(BaseModel):
    """A contact of a campaign. `attempts` counts the call in progress.

    `next_attempt_at` is the earliest time of the next call, within calling hours. It is null when none is planned, as
    in a campaign that is not running.
    """

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
    """One call attempt: times, outcome, and why it was allowed, as data and in words.

    `voicemail_left`: it left the message of the campaign's voicemail policy.
    """

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
    voicemail_left: bool
    decision: DecisionField
    decision_in_words: list[str]


class ContactAuditEntry(BaseModel):
    """An audit entry about the contact or its campaign. `actor_email` is set for current members."""

    id: int
    at: datetime
    actor: str
    actor_email: str | None
    action: str
    subject_type: str
    subject_id: str
    details: dict[str, Any]


class ContactDecision(BaseModel):
    """The latest decision about a contact in review. `by` is a user id or "service"; `by_email` is set for members."""

    decision: ReviewDecision
    note: str | None
    at: datetime
    by: str
    by_email: str | None


class ContactTimeline(ContactColumns):
    """A campaign contact with its call attempts, audit entries and next call.

    `act_id` names what the request has done, which can be undone for an hour.
    """

    contact: CampaignContact
    campaign_name: str
    notes: str | None
    zone_source: str
    do_not_call: bool
    max_attempts: int
    faults: int
    variables: dict[str, Any]
    voicemail_left_at: datetime | None
    callback_at: datetime | None
    entered_at: datetime
    planned: NextCall
    decided: ContactDecision | None
    attempts: list[CallAttempt]
    audit: list[ContactAuditEntry]
    act_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFilters:
    """Filters of a campaign's contacts. At most one of the last five is set; it also determines the order."""

    status: ContactStatus | None = None
    outcome: Outcome | None = None
    reached: bool | None = None
    order: ContactOrder = "contact"
    search: str | None = None
    phone: str | None = None
    phone_ends: str | None = None
    name: str | None = None
    external_id: str | None = None

    @property
    def is_search(self) -> bool:
        """Whether a search term is set."""
        return any(getattr(self, name) for name in SEARCH_TERMS)

    def selection(self) -> ContactSelection:
        """Return the listed contacts as jobs select them. The list by due time has pending contacts only."""
        given = {name: getattr(self, name) for name in SELECTION_FILTERS}
        return ContactSelection(**given | ({"status": ContactStatus.PENDING} if self.order == "next_attempt" else {}))


def contact_filters(
    status: ContactStatus | None = None,
    outcome: Annotated[Outcome | None, Query(description="Outcome of the last call")] = None,
    reached: Annotated[bool | None, Query(description=REACHED_MEANS)] = None,
    order: Annotated[
        ContactOrder, Query(description="contact: in import order. next_attempt: pending contacts by due time")
    ] = "contact",
    search: SearchQuery = None,
    phone: PhoneQuery = None,
    phone_ends: Annotated[str | None, Query(max_length=40, description="Last digits of a number, such as 0134")] = None,
    name: Annotated[str | None, Query(max_length=200, description="Start of the name, case-insensitive")] = None,
    external_id: Annotated[str | None, Query(max_length=200)] = None,
) -> ContactFilters:
    """Return the filters of a request; raises InvalidInput."""
    return check_filters(
        ContactFilters(
            status=status,
            outcome=outcome,
            reached=reached,
            order=order,
            search=search,
            phone=phone,
            phone_ends=phone_ends,
            name=name,
            external_id=external_id,
        )
    )


ContactQuery = Annotated[ContactFilters, Depends(contact_filters)]


def check_filters(filters: ContactFilters) -> ContactFilters:
    """Return the filters with phone numbers as digits and blank terms as None; raises InvalidInput."""
    terms = search_terms({name: getattr(filters, name) for name in SEARCH_TERMS})
    if filters.order == "next_attempt":
        if any(terms.values()):
            raise InvalidInput("Search results cannot be sorted", {"order": "leave it out when you search"})
        if filters.status not in (None, ContactStatus.PENDING):
            raise InvalidInput("Only pending contacts have a next call", {"status": "use pending, or leave it out"})
    return replace(filters, **terms)


async def find_campaign(
    connection: Connection, organization_id: UUID, campaign_id: UUID
) -> campaigns.CampaignHeaderRow:
    """Return a campaign of the organization; raises ResourceNotFound."""
    campaign = await campaigns.read_campaign(connection, campaign_id=campaign_id, organization_id=organization_id)
    if campaign is None:
        raise ResourceNotFound("Campaign not found")
    return campaign


class _ContactQuery(TypedDict):
    campaign_id: UUID
    last_outcome: str | None
    reached: bool | None
    reached_outcomes: list[str]
    limit: int


class _ContactSearch(_ContactQuery):
    organization_id: UUID
    status: str | None


async def list_contacts(
    connection: Connection,
    campaign_id: UUID,
    page: PageRequest,
    filters: ContactFilters,
    *,
    rules: RuleBook,
    now: datetime,
) -> Page[CampaignContact]:
    """Return a page of a campaign's contacts; raises InvalidInput for a bad cursor. `rules` are the shipped ones."""
    campaign = await campaigns.dialing_plan(connection, campaign_id=campaign_id)
    if campaign is None:
        return Page(items=[], next=None)
    narrowed: _ContactQuery = {
        "campaign_id": campaign_id,
        "last_outcome": filters.outcome,
        "reached": filters.reached,
        "reached_outcomes": REACHED_OUTCOMES,
        "limit": page.limit + 1,
    }
    if filters.is_search:
        search: _ContactSearch = {
            **narrowed,
            "status": filters.status,
            "organization_id": campaign.organization_id,
        }
        rows = await _search(connection, page, filters, search)
    elif filters.order == "next_attempt":
        after = page.key(tuple[CursorTime, UUID]) or (None, None)
        rows = await campaign_contacts.list_pending_contacts(
            connection, after_at=after[0], after_id=after[1], **narrowed
        )
    else:
        key = page.key(tuple[UUID])
        rows = await campaign_contacts.list_campaign_contacts(
            connection, after_id=None if key is None else key[0], status=filters.status, **narrowed
        )
    shown, following = paginate(rows, page.limit, lambda row: _sort_key(filters, row))
    rules = await read_rules(connection, campaign.organization_id, rules)
    return Page(items=[_campaign_contact(row, campaign, rules, now) for row in shown], next=following)


async def _search(
    connection: Connection, page: PageRequest, filters: ContactFilters, narrowed: _ContactSearch
) -> list[campaign_contacts.CampaignContactRow]:
    if filters.name is not None:
        after = page.key(tuple[CursorText, UUID]) or (None, None)
        return await campaign_contacts.list_by_name(
            connection, first=filters.name, last=LAST_TEXT, after=after[0], after_id=after[1], **narrowed
        )
    if filters.external_id is not None:
        known = page.key(tuple[UUID])
        return await campaign_contacts.list_by_external_id(
            connection, external_id=filters.external_id, after_id=None if known is None else known[0], **narrowed
        )
    key = page.key(tuple[CursorText])
    place = None if key is None else key[0]
    if filters.search is not None:
        return await campaign_contacts.list_by_words(
            connection, after=place, **search_patterns(filters.search), **narrowed
        )
    if filters.phone is not None:
        return await campaign_contacts.list_by_phone(connection, after=place, **phone_range(filters.phone), **narrowed)
    ending = (filters.phone_ends or "")[::-1]
    return await campaign_contacts.list_by_phone_ending(
        connection, first=ending, last=ending + LAST_TEXT, after=place, **narrowed
    )


def _sort_key(filters: ContactFilters, row: campaign_contacts.CampaignContactRow) -> list[object]:
    if filters.name is not None:
        return [row.place, row.contact_id]
    if not filters.is_search and filters.order == "next_attempt":
        return [row.next_attempt_at, row.id]
    return [row.place]


def _campaign_contact(
    row: campaign_contacts.CampaignContactRow | campaign_contacts.CampaignContactDetail,
    campaign: campaigns.DialingPlan,
    rules: RuleBook,
    now: datetime,
) -> CampaignContact:
    is_pending = row.status == ContactStatus.PENDING
    return CampaignContact(
        id=row.id,
        contact_id=row.contact_id,
        phone=row.phone,
        name=row.name,
        external_id=row.external_id,
        zone_key=row.zone_key,
        status=row.status,
        status_reason=row.status_reason,
        attempts=row.attempts + (row.status == ContactStatus.CALLING),
        call_count=row.call_count,
        last_outcome=row.last_outcome,
        next_attempt_at=next_call_at(
            status=CampaignStatus(campaign.status),
            scheduled_at=campaign.scheduled_at,
            calling_hours=campaign.calling_hours,
            purpose=campaign.purpose,
            rules=rules,
            place=Place(row.zone_key, row.jurisdiction_key),
            due_at=row.next_attempt_at,
            now=now,
        )
        if is_pending
        else None,
    )


async def show_contact(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    rules: RuleBook,
    now: datetime,
) -> ContactTimeline:
    """Return a campaign contact with its timeline, newest first; raises ResourceNotFound.

    `rules` are the shipped ones.
    """
    row = await campaign_contacts.show_campaign_contact(
        connection,
        campaign_contact_id=campaign_contact_id,
        campaign_id=campaign_id,
        organization_id=organization_id,
    )
    if row is None:
        raise ResourceNotFound("Contact not found in this campaign")
    known_contact = await contact_queries.show_contact(
        connection, contact_id=row.contact_id, organization_id=organization_id
    )
    campaign = await campaigns.dialing_plan(connection, campaign_id=campaign_id)
    if known_contact is None or campaign is None:
        raise ResourceNotFound("Contact not found in this campaign")
    calls = await call_queries.list_attempts(connection, campaign_contact_id=row.id, limit=MAX_ATTEMPTS)
    subjects = [str(row.id), str(row.contact_id), row.phone, str(row.campaign_id)]
    audit = await audit_queries.subject_audit(
        connection, organization_id=organization_id, subject_ids=subjects, limit=MAX_AUDIT
    )
    emails = await actor_emails(connection, organization_id)
    rules = await read_rules(connection, organization_id, rules)
    return ContactTimeline(
        contact=_campaign_contact(row, campaign, rules, now),
        campaign_name=row.campaign_name,
        **{name: getattr(known_contact, name) for name in ContactColumns.model_fields},
        notes=row.notes,
        zone_source=row.zone_source,
        do_not_call=row.do_not_call,
        max_attempts=row.max_attempts,
        faults=row.faults,
        variables=decode_object(row.variables),
        voicemail_left_at=row.voicemail_left_at,
        callback_at=row.callback_at,
        entered_at=row.created_at,
        planned=plan_next_call(row, rules, now),
        decided=_decided(row, emails),
        attempts=[_attempt(call) for call in calls],
        audit=[_audit_entry(entry, emails) for entry in audit],
    )


def _audit_entry(row: audit_queries.AuditRow, emails: Mapping[str, str | None]) -> ContactAuditEntry:
    return ContactAuditEntry(
        id=row.id,
        at=row.at,
        actor=row.actor,
        actor_email=emails.get(row.actor),
        action=row.action,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        details=decode_object(row.details),
    )


def _attempt(row: call_queries.AttemptRow) -> CallAttempt:
    decision = decode_object(row.decision)
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
        voicemail_left=row.voicemail_left,
        decision=decision,
        decision_in_words=explain_decision(decision),
    )


def _decided(row: campaign_contacts.CampaignContactDetail, emails: Mapping[str, str | None]) -> ContactDecision | None:
    if row.decision is None or row.decided_at is None or row.decided_by is None:
        return None
    return ContactDecision(
        decision=ReviewDecision(row.decision),
        note=row.decision_note,
        at=row.decided_at,
        by=row.decided_by,
        by_email=emails.get(row.decided_by),
    )
