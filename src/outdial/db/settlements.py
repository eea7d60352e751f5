"""Statements of settle, rescue and reconcile (`queries/settle.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class SilentCall:
    """A call of some organization that has been silent for too long."""

    organization_id: UUID
    call_id: UUID


@dataclass(frozen=True, slots=True)
class CheckedCall:
    """A silent call that is ours to ask about."""

    id: UUID
    organization_id: UUID
    campaign_id: UUID
    campaign_contact_id: UUID
    provider_account_id: UUID
    credential: str
    phone: str
    status: str
    retell_call_id: str | None
    checks: int
    created_at: datetime
    placed_at: datetime | None
    ended_at: datetime | None
    request_deadline: datetime | None
    request: str
    outcome: str | None
    analyzed: bool
    duration_ms: int
    campaign_status: str
    calling_hours: str
    zone_key: str


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call that can be hung up."""

    id: UUID
    retell_call_id: str


@dataclass(frozen=True, slots=True)
class AccountOfCampaign:
    """The account that a campaign calls through."""

    id: UUID
    credential: str
    hang_up: bool


LOCK_CALLS = Statement("lock_calls", Touched)
LOCK_CONTACTS_OF_CALLS = Statement("lock_contacts_of_calls", Touched)
SETTLE_PLACED = Statement("settle_placed", Touched)
REOPEN_UNMATCHED = Statement("reopen_unmatched", Touched)
SETTLE_REFUSED: Statement[Any] = Statement("settle_refused")
SETTLE_UNKNOWN: Statement[Any] = Statement("settle_unknown")
END_REQUESTS: Statement[Any] = Statement("end_requests")
END_OVERDUE_REQUESTS: Statement[Any] = Statement("end_overdue_requests")
CALLS_TO_CHECK = Statement("calls_to_check", SilentCall)
TAKE_CALL_TO_CHECK = Statement("take_call_to_check", CheckedCall)
SHARE_ACTIVE_CAMPAIGN = Statement("share_active_campaign", Touched)
BEGIN_RESEND = Statement("begin_resend", Touched)
RELEASE_CALL: Statement[Any] = Statement("release_call")
REVIEW_CALL: Statement[Any] = Statement("review_call")
STOP_CHECKING: Statement[Any] = Statement("stop_checking")
STORE_RECONCILED: Statement[Any] = Statement("store_reconciled")
RELEASE_UNSENT: Statement[Any] = Statement("release_unsent")
LIVE_CALLS = Statement("live_calls", LiveCall)
SET_PROVIDER_LIMIT: Statement[Any] = Statement("set_provider_limit")
ACCOUNT_OF_CAMPAIGN = Statement("account_of_campaign", AccountOfCampaign)
