"""Statements over organizations, campaigns and contacts (`queries/campaigns.sql`, `queries/lifecycle.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """A tenant with its account's limits."""

    id: UUID
    name: str
    daily_call_cap: int
    credential: str | None
    concurrency_limit: int | None
    calls_per_second: float | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A Retell workspace of an organization."""

    id: UUID
    organization_id: UUID
    name: str
    credential: str


@dataclass(frozen=True, slots=True)
class CampaignStatusRow:
    """Where a campaign stands."""

    id: UUID
    organization_id: UUID
    status: str


@dataclass(frozen=True, slots=True)
class ScheduledCampaign:
    """A scheduled campaign of some organization whose time has come."""

    organization_id: UUID
    campaign_id: UUID


@dataclass(frozen=True, slots=True)
class StartedCampaign:
    """A campaign that its schedule has started."""

    id: UUID
    organization_id: UUID


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign in a list."""

    id: UUID
    organization_id: UUID
    name: str
    status: str
    retell_agent_id: str
    from_number: str
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CampaignDetail:
    """A campaign with its settings; the JSON columns as text."""

    id: UUID
    organization_id: UUID
    provider_account_id: UUID
    name: str
    status: str
    retell_agent_id: str
    from_number: str
    batch_size: int
    max_concurrency: int | None
    calling_hours: str
    retry_policy: str
    max_attempts: int
    dynamic_variables: str
    scheduled_at: datetime | None
    next_batch_at: datetime | None
    waiting_for: str | None
    paused_reason: str | None
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ContactCount:
    """Contacts of a campaign in one status, and the attempts used on them."""

    status: str
    contacts: int
    attempts: int


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of a campaign with one status and outcome."""

    status: str
    outcome: str | None
    calls: int
    cost_cents: Decimal
    duration_ms: int


@dataclass(frozen=True, slots=True)
class UpsertedContact:
    """A contact that an import found or made."""

    id: UUID
    phone: str
    zone_key: str


@dataclass(frozen=True, slots=True)
class DoNotCallRow:
    """A number that nobody may call."""

    phone: str
    source: str
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CampaignContactRow:
    """A contact of a campaign in a list."""

    id: UUID
    phone: str
    name: str | None
    status: str
    attempts: int
    last_outcome: str | None
    status_reason: str | None
    next_attempt_at: datetime
    zone_key: str


CREATE_ORGANIZATION: Statement[Any] = Statement("create_organization")
LIST_ORGANIZATIONS = Statement("list_organizations", OrganizationRow)
ADD_MEMBER: Statement[Any] = Statement("add_member")
CREATE_PROVIDER_ACCOUNT: Statement[Any] = Statement("create_provider_account")
FIND_PROVIDER_ACCOUNTS = Statement("find_provider_accounts", AccountRow)
CREATE_CAMPAIGN: Statement[Any] = Statement("create_campaign")
LIST_CAMPAIGNS = Statement("list_campaigns", CampaignRow)
SHOW_CAMPAIGN = Statement("show_campaign", CampaignDetail)
COUNT_CONTACTS = Statement("count_contacts", ContactCount)
COUNT_CALLS = Statement("count_calls", CallCount)
LOCK_CAMPAIGN_FOR_IMPORT = Statement("lock_campaign_for_import", CampaignStatusRow)
UPSERT_CONTACTS = Statement("upsert_contacts", UpsertedContact)
ADD_CAMPAIGN_CONTACTS = Statement("add_campaign_contacts", Touched)
REFRESH_VARIABLES: Statement[Any] = Statement("refresh_variables")
BLOCKED_PHONES = Statement("blocked_phones", Touched)
WAKE_CAMPAIGN: Statement[Any] = Statement("wake_campaign")
ADD_DNC = Statement("add_dnc", Touched)
REMOVE_DNC = Statement("remove_dnc", Touched)
LIST_DNC = Statement("list_dnc", DoNotCallRow)
LIST_CAMPAIGN_CONTACTS = Statement("list_campaign_contacts", CampaignContactRow)

CAMPAIGN_STATUS = Statement("campaign_status", CampaignStatusRow)
HAS_CONTACTS = Statement("has_contacts", Touched)
START_CAMPAIGN = Statement("start_campaign", Touched)
SCHEDULE_CAMPAIGN = Statement("schedule_campaign", Touched)
PAUSE_CAMPAIGN = Statement("pause_campaign", Touched)
FINISH_PAUSING = Statement("finish_pausing", Touched)
BEGIN_CANCELLING = Statement("begin_cancelling", Touched)
CANCEL_PENDING: Statement[Any] = Statement("cancel_pending")
FINISH_CANCELLING = Statement("finish_cancelling", Touched)
WAIT_FOR_CAMPAIGN: Statement[Any] = Statement("wait_for_campaign")
ASK_FOR_BATCH = Statement("ask_for_batch", Touched)
START_SCHEDULED = Statement("start_scheduled", StartedCampaign)
SCHEDULED_CAMPAIGNS = Statement("scheduled_campaigns", ScheduledCampaign)
RECORD_AUDIT: Statement[Any] = Statement("record_audit")
MAY_OPERATE = Statement("may_operate", Touched)
FIND_ORGANIZATION = Statement("find_organization", Touched)
