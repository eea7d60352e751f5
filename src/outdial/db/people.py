"""Statements over the contacts and the do-not-call list of an organization (`queries/people.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.db.campaigns import DoNotCallRow
from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A contact in a list; `place` is where it stands in the order of that list."""

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
    place: str


@dataclass(frozen=True, slots=True)
class PersonDetail:
    """A contact with all that is known of them."""

    id: UUID
    phone: str
    name: str | None
    email: str | None
    company: str | None
    notes: str | None
    external_id: str | None
    timezone: str | None
    zone_key: str
    zone_source: str
    created_at: datetime
    updated_at: datetime
    do_not_call: bool


@dataclass(frozen=True, slots=True)
class PersonCampaign:
    """A campaign that a contact is in, and where they stand there."""

    id: UUID
    campaign_id: UUID
    campaign_name: str
    campaign_status: str
    status: str
    attempts: int
    last_outcome: str | None
    status_reason: str | None
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True)
class PersonCall:
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


LIST_PEOPLE = Statement("list_people", PersonRow, planned_anew=True)
LIST_PEOPLE_BY_NAME = Statement("list_people_by_name", PersonRow, planned_anew=True)
LIST_PEOPLE_BY_EXTERNAL_ID = Statement("list_people_by_external_id", PersonRow, planned_anew=True)
SHOW_PERSON = Statement("show_person", PersonDetail)
CHANGE_PERSON = Statement("change_person", Touched)
PERSON_CAMPAIGNS = Statement("person_campaigns", PersonCampaign)
PERSON_CALLS = Statement("person_calls", PersonCall)
LIST_DO_NOT_CALL = Statement("list_do_not_call", DoNotCallRow, planned_anew=True)
