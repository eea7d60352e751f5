"""Statements that ask why a campaign is not dialing (`queries/doctor.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.db.statements import Statement


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a campaign: the limits and the pace of its account, who shares it, and the live calls."""

    provider_account_id: UUID
    concurrency_limit: int
    reserved_inbound: int
    calls_per_second: float
    rate_factor: float
    next_start_at: datetime
    backoff_until: datetime | None
    of_account: int
    of_campaign: int
    sharers: int


@dataclass(frozen=True, slots=True)
class FirstPending:
    """The contact of a zone that is due first, and what it waits for."""

    id: UUID
    next_attempt_at: datetime
    status_reason: str | None


DOCTOR_LIMITS = Statement("doctor_limits", Limits)
DOCTOR_FIRST_PENDING = Statement("doctor_first_pending", FirstPending)
