"""Statements that read all that a check against the provider's ledger needs (`queries/evidence.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.db.statements import Statement


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call; the analysis as JSON text."""

    id: UUID
    campaign_id: UUID
    campaign_contact_id: UUID
    credential: str
    phone: str
    attempt_number: int
    status: str
    retell_call_id: str | None
    outcome: str | None
    disconnection_reason: str | None
    requested_at: datetime
    transcript: str | None
    analysis: str | None


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A contact of a campaign: attempts that count against the cap, and all calls."""

    id: UUID
    campaign_id: UUID
    status: str
    attempts: int
    call_count: int


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign, the account that it calls through, and its status."""

    id: UUID
    credential: str
    status: str


@dataclass(frozen=True, slots=True)
class LimitRow:
    """What an account may do: outbound calls at once, and starts per second."""

    credential: str
    concurrency_limit: int
    calls_per_second: float


@dataclass(frozen=True, slots=True)
class UnsettledCount:
    """How much is still to come."""

    calls: int
    events: int


EVIDENCE_CALLS = Statement("evidence_calls", CallRow)
EVIDENCE_CONTACTS = Statement("evidence_contacts", ContactRow)
EVIDENCE_CAMPAIGNS = Statement("evidence_campaigns", CampaignRow)
EVIDENCE_LIMITS = Statement("evidence_limits", LimitRow)
COUNT_UNSETTLED = Statement("count_unsettled", UnsettledCount)
