"""Statements of the studio over campaigns (`queries/studio_campaigns.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class ListedCampaign:
    """A campaign in a list, with what tells why it is at rest."""

    id: UUID
    name: str
    status: str
    retell_agent_id: str
    from_number: str
    scheduled_at: datetime | None
    paused_reason: str | None
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CountedContacts:
    """Contacts of a campaign in one status."""

    campaign_id: UUID
    status: str
    contacts: int


@dataclass(frozen=True, slots=True)
class CountedCalls:
    """Ended calls of a campaign with one outcome."""

    campaign_id: UUID
    outcome: str | None
    calls: int
    cost_cents: Decimal
    duration_ms: int


@dataclass(frozen=True, slots=True)
class CallsOfCampaign:
    """How many calls of one kind a campaign has."""

    campaign_id: UUID
    calls: int


@dataclass(frozen=True, slots=True)
class SettingsRow:
    """A campaign as its form has it; the JSON columns as text."""

    id: UUID
    organization_id: UUID
    provider_account_id: UUID
    name: str
    status: str
    retell_agent_id: str
    from_number: str
    batch_size: int
    max_concurrency: int | None
    max_attempts: int
    calling_hours: str
    retry_policy: str
    dynamic_variables: str
    scheduled_at: datetime | None
    paused_reason: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class CallerRow:
    """A number that an organization may call from."""

    phone: str
    nickname: str | None
    provider_account_id: UUID
    retell_agent_id: str | None


@dataclass(frozen=True, slots=True)
class RecentCaller:
    """Who talked, and from which number, in some campaign."""

    retell_agent_id: str
    from_number: str


PAGE_OF_CAMPAIGNS = Statement("page_of_campaigns", ListedCampaign, planned_anew=True)
COUNT_CAMPAIGN_CONTACTS = Statement("count_campaign_contacts", CountedContacts)
COUNT_ENDED_CALLS = Statement("count_ended_calls", CountedCalls)
COUNT_LIVE_CALLS = Statement("count_live_calls", CallsOfCampaign)
COUNT_RECENT_CALLS = Statement("count_recent_calls", CallsOfCampaign)
SHOW_SETTINGS = Statement("show_settings", SettingsRow)
LOCK_SETTINGS = Statement("lock_settings", Touched)
SAVE_SETTINGS = Statement("save_settings", Touched)
LIST_CALLERS = Statement("list_callers", CallerRow)
RECENT_CALLERS = Statement("recent_callers", RecentCaller)
