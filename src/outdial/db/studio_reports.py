"""Statements that count calls for reports and charts (`queries/studio_reports.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from outdial.db.statements import Statement


@dataclass(frozen=True, slots=True)
class CallSpan:
    """When a campaign's first and last call were made."""

    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class CallBucket:
    """How many calls of one outcome began in one stretch of time; the outcome is empty while it is not known."""

    starts_at: datetime
    outcome: str
    calls: int


@dataclass(frozen=True, slots=True)
class DayOfCalls:
    """What the calls of one local day came to; the first is number 1."""

    day: int
    calls: int
    finished: int
    reached: int
    talk_ms: int
    cost_cents: Decimal


@dataclass(frozen=True, slots=True)
class CampaignOfCalls:
    """What the calls of one campaign came to."""

    campaign_id: UUID
    name: str
    status: str
    calls: int
    finished: int
    reached: int
    talk_ms: int
    cost_cents: Decimal


STUDIO_CALL_SPAN = Statement("studio_call_span", CallSpan)
STUDIO_CALL_BUCKETS = Statement("studio_call_buckets", CallBucket)
STUDIO_REPORT_BY_DAY = Statement("studio_report_by_day", DayOfCalls, planned_anew=True)
STUDIO_REPORT_BY_CAMPAIGN = Statement("studio_report_by_campaign", CampaignOfCalls, planned_anew=True)
