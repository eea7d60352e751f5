"""Statements of the claim (`queries/claim.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class DueCampaign:
    """A campaign of some organization that has something to do."""

    organization_id: UUID
    campaign_id: UUID
    status: str


@dataclass(frozen=True, slots=True)
class LockedCampaign:
    """An active campaign that this transaction claims for; the JSON columns as text."""

    id: UUID
    organization_id: UUID
    provider_account_id: UUID
    status: str
    retell_agent_id: str
    from_number: str
    batch_size: int
    max_concurrency: int | None
    calling_hours: str
    max_attempts: int
    dynamic_variables: str


@dataclass(frozen=True, slots=True)
class LockedAccount:
    """The account whose limits this transaction counts against."""

    id: UUID
    credential: str
    concurrency_limit: int
    reserved_inbound: int
    calls_per_second: float
    rate_factor: float
    next_start_at: datetime
    backoff_until: datetime | None


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """Live calls, the campaigns that share the account, and the cap per phone."""

    account_live: int
    campaign_live: int
    sharers: int
    daily_call_cap: int


@dataclass(frozen=True, slots=True)
class PendingZone:
    """A zone key with pending contacts, and when the first of them is due."""

    zone_key: str
    first_due_at: datetime


@dataclass(frozen=True, slots=True)
class DueContact:
    """A due contact in an open zone, locked, with what decides whether it may be called."""

    id: UUID
    contact_id: UUID
    phone: str
    zone_key: str
    zone_source: str
    attempts: int
    call_count: int
    variables: str
    name: str | None
    email: str | None
    company: str | None
    external_id: str | None
    attributes: str
    do_not_call: bool
    live: bool
    calls_of_the_day: list[datetime]


@dataclass(frozen=True, slots=True)
class OpenContacts:
    """Whether a campaign still has contacts to call, or on the phone."""

    pending: bool
    calling: bool


DUE_CAMPAIGNS = Statement("due_campaigns", DueCampaign)
LOCK_CAMPAIGN = Statement("lock_campaign", LockedCampaign)
LOCK_ACCOUNT = Statement("lock_account", LockedAccount)
COUNT_LIVE = Statement("count_live", LiveCounts)
PENDING_ZONES = Statement("pending_zones", PendingZone)
DUE_CONTACTS = Statement("due_contacts", DueContact)
INSERT_CALLS = Statement("insert_calls", Touched)
MARK_CALLING: Statement[Any] = Statement("mark_calling")
SKIP_CONTACTS: Statement[Any] = Statement("skip_contacts")
SKIP_ZONES: Statement[Any] = Statement("skip_zones")
DEFER_CONTACTS: Statement[Any] = Statement("defer_contacts")
SPEND_PACE: Statement[Any] = Statement("spend_pace")
SET_NEXT_BATCH: Statement[Any] = Statement("set_next_batch")
OPEN_CONTACTS = Statement("open_contacts", OpenContacts)
COMPLETE_CAMPAIGN = Statement("complete_campaign", Touched)
