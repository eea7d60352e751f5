"""Statements over calls as the studio shows them (`queries/studio_calls.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from outdial.db.statements import Statement


@dataclass(frozen=True, slots=True)
class ListedCall:
    """A call in a list."""

    id: UUID
    campaign_id: UUID
    campaign_name: str
    campaign_contact_id: UUID
    phone: str
    name: str | None
    attempt_number: int
    status: str
    outcome: str | None
    disconnection_reason: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    cost_cents: Decimal | None
    has_transcript: bool
    has_recording: bool


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A call with all that is known of it; the JSON columns as text."""

    id: UUID
    organization_id: UUID
    campaign_id: UUID
    campaign_name: str
    campaign_contact_id: UUID
    contact_id: UUID
    name: str | None
    phone: str
    from_number: str
    zone_key: str
    attempt_number: int
    status: str
    outcome: str | None
    disconnection_reason: str | None
    error: str | None
    retell_call_id: str | None
    requests: int
    decision: str
    requested_at: datetime
    placed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    cost_cents: Decimal | None
    transcript: str | None
    recording_url: str | None
    public_log_url: str | None
    analysis: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CallEventRow:
    """One event of a call in the ledger; `body` may be the beginning of `size` bytes."""

    id: int
    source: str
    event: str
    status: str
    received_at: datetime
    applied_at: datetime | None
    error: str | None
    tries: int
    repeats: int
    size: int
    body: bytes


STUDIO_CALLS = Statement("studio_calls", ListedCall, planned_anew=True)
STUDIO_CALL = Statement("studio_call", ShownCall)
STUDIO_CALL_EVENTS = Statement("studio_call_events", CallEventRow)
