"""The statement that reads why campaigns are not dialing (`queries/doctor.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.db.statements import Statement


@dataclass(frozen=True, slots=True)
class AdmissionFactsRow:
    """What decides whether a campaign may call now; one element of each list per zone key with pending contacts."""

    campaign_id: UUID
    status: str
    scheduled_at: datetime | None
    paused_reason: str | None
    next_batch_at: datetime | None
    waiting_for: str | None
    calling_hours: str
    batch_size: int
    max_concurrency: int | None
    concurrency_limit: int
    reserved_inbound: int
    calls_per_second: float
    rate_factor: float
    next_start_at: datetime
    backoff_until: datetime | None
    account_live: int
    campaign_live: int
    sharers: int
    zone_keys: list[str]
    first_due_ats: list[datetime]
    first_reasons: list[str]


ADMISSION_FACTS = Statement("admission_facts", AdmissionFactsRow)
