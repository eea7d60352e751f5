"""Statements over the ledger and over what events change (`queries/events.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class CalledRow:
    """A call with its contact, and what its campaign says about retries; locked."""

    id: UUID
    organization_id: UUID
    campaign_id: UUID
    campaign_contact_id: UUID
    phone: str
    status: str
    retell_call_id: str | None
    attempt_number: int
    outcome: str | None
    detail_ranks: list[int]
    disconnection_reason: str | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    cost_cents: Decimal | None
    transcript: str | None
    recording_url: str | None
    public_log_url: str | None
    analysis: str | None
    contact_status: str
    attempts: int
    faults: int
    call_count: int
    campaign_status: str
    retry_policy: str
    max_attempts: int
    provider_account_id: UUID
    credential: str


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A delivery that the ledger did not have yet."""

    body_sha256: bytes
    event: str
    credential: str


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A stored event that waits to be applied."""

    id: int
    credential: str
    retell_call_id: str
    event: str
    body: bytes
    tries: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """A line of the ledger, without its body."""

    id: int
    organization_id: UUID | None
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
class EventWithBody:
    """A line of the ledger with the body as it came."""

    id: int
    organization_id: UUID | None
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
    body: bytes


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many events of a kind stand where."""

    event: str
    source: str
    status: str
    events: int
    repeats: int


LOCK_CALLED = Statement("lock_called", CalledRow)
WRITE_CALLS: Statement[Any] = Statement("write_calls")
WRITE_CONTACTS: Statement[Any] = Statement("write_contacts")
ADD_DO_NOT_CALL: Statement[Any] = Statement("add_do_not_call")
WAKE_CAMPAIGNS: Statement[Any] = Statement("wake_campaigns")
NOTIFY_CAMPAIGNS: Statement[Any] = Statement("notify_campaigns")
PAUSE_ACCOUNT: Statement[Any] = Statement("pause_account")
STORE_EVENTS = Statement("store_events", StoredRow)
COUNT_REPEATS: Statement[Any] = Statement("count_repeats")
BECOME_APPLIER = Statement("become_applier", Touched)
TAKE_PENDING_EVENTS = Statement("take_pending_events", PendingRow)
TAKE_PENDING_EVENT = Statement("take_pending_event", PendingRow)
MARK_EVENTS: Statement[Any] = Statement("mark_events")
POSTPONE_EVENT: Statement[Any] = Statement("postpone_event")
REPLAY_EVENTS = Statement("replay_events", Touched)
LIST_EVENTS = Statement("list_events", EventRow, planned_anew=True)
SHOW_EVENT = Statement("show_event", EventWithBody)
COUNT_EVENTS = Statement("count_events", EventCount)
