"""Statements behind inbox, audit log, members, settings and functions (`queries/studio_operations.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """An event in a list."""

    id: int
    call_id: UUID | None
    source: str
    credential: str
    retell_call_id: str
    event: str
    status: str
    received_at: datetime
    applied_at: datetime | None
    tries: int
    error: str | None
    repeats: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LedgerEventRow:
    """An event with the beginning of its body; `size` is that of all of it."""

    id: int
    call_id: UUID | None
    source: str
    credential: str
    retell_call_id: str
    event: str
    status: str
    received_at: datetime
    applied_at: datetime | None
    tries: int
    error: str | None
    repeats: int
    size: int
    body: bytes


@dataclass(frozen=True, slots=True)
class OddEventsRow:
    """How many events wait for a person, and when the last one came."""

    unmatched: int
    quarantined: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what; `details` is JSON."""

    id: int
    at: datetime
    actor: str
    action: str
    subject_type: str
    subject_id: str
    details: str


@dataclass(frozen=True, slots=True)
class PersonRow:
    """Somebody who works for an organization."""

    user_id: UUID
    email: str | None
    role: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FoundUser:
    """The id of a user, None when there is none."""

    id: UUID | None


@dataclass(frozen=True, slots=True)
class OrganizationDetail:
    """An organization with what can be set."""

    id: UUID
    name: str
    daily_call_cap: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AccountDetail:
    """A Retell workspace with its limits."""

    id: UUID
    name: str
    credential: str
    concurrency_limit: int
    reserved_inbound: int
    calls_per_second: float
    provider_limit: int | None
    backoff_until: datetime | None


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A number to call from."""

    id: UUID
    provider_account_id: UUID
    phone: str
    nickname: str | None
    retell_agent_id: str | None
    country: str | None


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of a deployed function."""

    slug: str
    version: int
    status: str
    error: str | None
    created_at: datetime
    created_by: str
    deleted_at: datetime | None


LIST_LEDGER = Statement("list_ledger", LedgerRow, planned_anew=True)
SHOW_LEDGER_EVENT = Statement("show_ledger_event", LedgerEventRow)
COUNT_ODD_EVENTS = Statement("count_odd_events", OddEventsRow)
REPLAY_LEDGER = Statement("replay_ledger", Touched)
LIST_AUDIT = Statement("list_audit", AuditRow, planned_anew=True)
LIST_MEMBERS = Statement("list_members", PersonRow)
FIND_USER_TO_ADD = Statement("find_user_to_add", FoundUser)
ADD_PERSON = Statement("add_person", Touched)
CHANGE_ROLE = Statement("change_role", Touched)
REMOVE_PERSON = Statement("remove_person", Touched)
SHOW_ORGANIZATION = Statement("show_organization", OrganizationDetail)
CHANGE_ORGANIZATION = Statement("change_organization", Touched)
LIST_ACCOUNTS = Statement("list_accounts", AccountDetail)
CHANGE_ACCOUNT = Statement("change_account", Touched)
LIST_NUMBERS = Statement("list_numbers", NumberRow)
ADD_NUMBER = Statement("add_number", Touched)
CHANGE_NUMBER = Statement("change_number", Touched)
REMOVE_NUMBER = Statement("remove_number", Touched)
LIST_FUNCTION_VERSIONS = Statement("list_function_versions", VersionRow)
