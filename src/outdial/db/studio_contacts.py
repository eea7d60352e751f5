"""Statements over the contacts of a campaign as the studio shows them (`queries/studio_contacts.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class StudioCampaign:
    """A campaign that something belongs to; the calling hours as JSON text."""

    id: UUID
    organization_id: UUID
    name: str
    status: str
    max_attempts: int
    calling_hours: str
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ListedContact:
    """A contact of a campaign in a list; `place` is where it stands in the order of that list."""

    id: UUID
    contact_id: UUID
    phone: str
    name: str | None
    external_id: str | None
    zone_key: str
    status: str
    attempts: int
    call_count: int
    last_outcome: str | None
    status_reason: str | None
    next_attempt_at: datetime
    place: str


@dataclass(frozen=True, slots=True)
class ShownContact:
    """A contact of a campaign with the person and the campaign's limits; the JSON columns as text."""

    id: UUID
    organization_id: UUID
    campaign_id: UUID
    campaign_name: str
    campaign_status: str
    max_attempts: int
    calling_hours: str
    contact_id: UUID
    phone: str
    name: str | None
    email: str | None
    company: str | None
    notes: str | None
    external_id: str | None
    zone_key: str
    zone_source: str
    status: str
    status_reason: str | None
    attempts: int
    faults: int
    call_count: int
    last_outcome: str | None
    next_attempt_at: datetime
    variables: str
    created_at: datetime
    updated_at: datetime
    do_not_call: bool


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One call of a contact; the decision as JSON text."""

    id: UUID
    attempt_number: int
    status: str
    outcome: str | None
    disconnection_reason: str | None
    error: str | None
    decision: str
    requested_at: datetime
    placed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    cost_cents: Decimal | None


@dataclass(frozen=True, slots=True)
class SubjectAudit:
    """One entry of the audit log; the details as JSON text."""

    id: int
    at: datetime
    actor: str
    action: str
    subject_type: str
    subject_id: str
    details: str


STUDIO_CAMPAIGN = Statement("studio_campaign", StudioCampaign)
STUDIO_CAMPAIGN_OWNER = Statement("studio_campaign_owner", Touched)
STUDIO_CAMPAIGN_CONTACTS = Statement("studio_campaign_contacts", ListedContact, planned_anew=True)
STUDIO_NEXT_CONTACTS = Statement("studio_next_contacts", ListedContact, planned_anew=True)
STUDIO_CONTACTS_BY_PHONE = Statement("studio_contacts_by_phone", ListedContact, planned_anew=True)
STUDIO_CONTACTS_BY_ENDING = Statement("studio_contacts_by_ending", ListedContact, planned_anew=True)
STUDIO_CONTACTS_BY_NAME = Statement("studio_contacts_by_name", ListedContact, planned_anew=True)
STUDIO_CONTACTS_BY_EXTERNAL_ID = Statement("studio_contacts_by_external_id", ListedContact, planned_anew=True)
STUDIO_CAMPAIGN_CONTACT = Statement("studio_campaign_contact", ShownContact)
STUDIO_ATTEMPTS = Statement("studio_attempts", AttemptRow)
STUDIO_SUBJECT_AUDIT = Statement("studio_subject_audit", SubjectAudit)
