"""Applies a batch of events to their calls: locks, decides in plain Python, and writes back with set-based statements.

Applying is idempotent, whatever the order: the webhook, the applier, the reconciler and replay all come through here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, assert_never
from uuid import UUID

import msgspec

from outdial.db import events as db
from outdial.db.statements import Connection
from outdial.domain.call import LIVE, CallDetails, CallReport, CallState, CallStatus, canonical_json, merge
from outdial.domain.contact import OPEN, ContactStatus
from outdial.domain.errors import InvalidRetryPolicy
from outdial.domain.outcomes import Outcome, RetryClass
from outdial.domain.retry import (
    DEFAULT_POLICY,
    Complete,
    Fail,
    RetryAt,
    RetryPolicy,
    Review,
    next_step,
    parse_retry_policy,
)
from outdial.inbox.deliveries import Delivery
from outdial.provider import EventReader

EventStatus = Literal["applied", "unmatched", "quarantined", "pending"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one event."""

    status: EventStatus
    organization_id: UUID | None = None
    call_id: UUID | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ContactChange:
    """What the end of a call means for its contact."""

    id: UUID
    status: ContactStatus
    attempts: int
    faults: int
    next_attempt_at: datetime | None
    outcome: str
    reason: str | None


@dataclass(slots=True)
class Changes:
    """All that a batch writes."""

    calls: list[tuple[db.CalledRow, CallState]] = field(default_factory=list)
    contacts: list[ContactChange] = field(default_factory=list)
    do_not_call: list[tuple[UUID, str]] = field(default_factory=list)
    campaigns: set[UUID] = field(default_factory=set)
    accounts: dict[UUID, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """The verdicts in the order of the deliveries, and the accounts that the provider refuses, with the reason."""

    verdicts: list[Verdict]
    accounts: dict[UUID, str]


async def apply(
    connection: Connection, reader: EventReader, deliveries: Sequence[Delivery], now: datetime, check_after: timedelta
) -> Applied:
    """Apply `deliveries` inside the open transaction; a call that stays silent is asked about after `check_after`."""
    rows = await _lock(connection, deliveries)
    by_id = {row.id: row for row in rows}
    by_retell_id = {row.retell_call_id: row for row in rows if row.retell_call_id}
    verdicts: list[Verdict] = []
    reports: dict[UUID, list[CallReport]] = {}
    for delivery in deliveries:
        event = delivery.event
        row = by_retell_id.get(event.provider_call_id)
        if row is None and event.call_id is not None:
            row = by_id.get(event.call_id)
        about_call = reports.get(row.id, []) if row is not None else []
        verdict = _verdict(delivery, row, about_call[0].provider_call_id if about_call else None)
        verdicts.append(verdict)
        if verdict.status == "applied" and verdict.call_id is not None and event.report is not None:
            reports.setdefault(verdict.call_id, []).append(event.report)
    changes = Changes()
    for call_id, of_call in reports.items():
        decide(changes, reader, by_id[call_id], of_call, now)
    await _write(connection, changes, now, check_after)
    return Applied(verdicts, changes.accounts)


async def _lock(connection: Connection, deliveries: Sequence[Delivery]) -> list[db.CalledRow]:
    ids = {d.event.call_id for d in deliveries if d.event.call_id is not None}
    retell_call_ids = {d.event.provider_call_id for d in deliveries if d.event.provider_call_id}
    if not ids and not retell_call_ids:
        return []
    return await db.LOCK_CALLED.all(connection, ids=list(ids), retell_call_ids=list(retell_call_ids))


def _verdict(delivery: Delivery, row: db.CalledRow | None, found_as: str | None) -> Verdict:
    if delivery.event.malformed is not None:
        return Verdict("quarantined", error=delivery.event.malformed)
    if row is None:
        return Verdict("unmatched", error="no call of ours has this id")
    if row.credential != delivery.credential:
        return Verdict("unmatched", error=f"signed for {delivery.credential!r}, but the call is of another account")
    if (row.retell_call_id or found_as) not in (None, delivery.event.provider_call_id):
        return Verdict("unmatched", error="another call at Retell carries the metadata of this one")
    return Verdict("applied", row.organization_id, row.id)


def decide(
    changes: Changes, reader: EventReader, row: db.CalledRow, reports: Iterable[CallReport], now: datetime
) -> None:
    """Add to `changes` what `reports` make of the call and of its contact."""
    before = after = _state(reader, row)
    for report in reports:
        after = merge(after, report)
    if after == before:
        return
    changes.calls.append((row, after))
    if before.status in LIVE and after.status not in LIVE:
        changes.campaigns.add(row.campaign_id)
    outcome = after.outcome
    # Not the column `outcome`: a call in review has one before the provider reports the reason.
    if outcome is None or outcome == before.outcome:
        return
    if outcome.retry_class is RetryClass.DO_NOT_CALL:
        changes.do_not_call.append((row.organization_id, row.phone))
    if outcome.retry_class is RetryClass.ACCOUNT:
        reason = after.details.disconnection_reason
        changes.accounts[row.provider_account_id] = f"Retell ended a call with {reason.code if reason else outcome}"
    if row.call_count == row.attempt_number and row.contact_status in OPEN | {ContactStatus.REVIEW}:
        changes.contacts.append(_contact_after(_uncounted(row, before.outcome), outcome, now))
        changes.campaigns.add(row.campaign_id)


def _state(reader: EventReader, row: db.CalledRow) -> CallState:
    details = CallDetails(
        disconnection_reason=reader.read_reason(row.disconnection_reason),
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration_ms=row.duration_ms,
        cost_cents=row.cost_cents,
        transcript=row.transcript,
        recording_url=row.recording_url,
        public_log_url=row.public_log_url,
        analysis=None if row.analysis is None else canonical_json(row.analysis),
    )
    return CallState(
        status=CallStatus(row.status),
        provider_call_id=row.retell_call_id,
        details=details,
        ranks=tuple(row.detail_ranks),
    )


def _uncounted(row: db.CalledRow, corrected: Outcome | None) -> db.CalledRow:
    """Return the row with the contact's counts as they were before Retell gave the reason that it now corrects."""
    match None if corrected is None else corrected.retry_class:
        case None:
            return row
        case RetryClass.FAULT | RetryClass.ACCOUNT | RetryClass.HOLD:
            return replace(row, faults=max(0, row.faults - 1))
        case _:
            return replace(row, attempts=max(0, row.attempts - 1))


def _contact_after(row: db.CalledRow, outcome: Outcome, now: datetime) -> ContactChange:
    step = next_step(
        _policy(row.retry_policy),
        outcome,
        attempts=row.attempts,
        faults=row.faults,
        max_attempts=row.max_attempts,
        ended_at=now,
        seed=row.id.bytes,
    )
    charged, again = row.attempts + 1, (row.attempts, row.faults + 1)
    match step:
        case Complete():
            return ContactChange(
                row.campaign_contact_id, ContactStatus.COMPLETED, charged, row.faults, None, outcome, None
            )
        case Fail(reason):
            return ContactChange(
                row.campaign_contact_id, ContactStatus.FAILED, charged, row.faults, None, outcome, reason
            )
        case Review(reason):
            return ContactChange(row.campaign_contact_id, ContactStatus.REVIEW, *again, None, outcome, reason)
        case RetryAt(at, uses_attempt):
            attempts, faults = (charged, 0) if uses_attempt else again
            status, why = _retry_status(row)
            return ContactChange(row.campaign_contact_id, status, attempts, faults, at, outcome, why)
        case never:
            assert_never(never)


def _retry_status(row: db.CalledRow) -> tuple[ContactStatus, str | None]:
    if row.contact_status == ContactStatus.REVIEW:
        return ContactStatus.FAILED, "ended late, after a person was asked: not called again"
    if row.campaign_status in ("cancelling", "cancelled"):
        return ContactStatus.CANCELLED, "campaign cancelled"
    return ContactStatus.PENDING, None


@lru_cache(maxsize=1024)
def _policy(raw: str) -> RetryPolicy:
    # A policy is checked before it is stored; one that got in by another way must not stop the ledger.
    try:
        return parse_retry_policy(msgspec.json.decode(raw))
    except InvalidRetryPolicy:
        return DEFAULT_POLICY


def _next_check(state: CallState, now: datetime, check_after: timedelta) -> datetime | None:
    if state.status is CallStatus.ENDED and state.outcome is not None and state.details.analysis is not None:
        return None
    return now + check_after


async def _write(connection: Connection, changes: Changes, now: datetime, check_after: timedelta) -> None:
    if not changes.calls:
        return
    await _write_calls(connection, changes.calls, now, check_after)
    if changes.contacts:
        await _write_contacts(connection, changes.contacts, now)
    if changes.do_not_call:
        organization_ids, phones = zip(*changes.do_not_call, strict=True)
        await db.ADD_DO_NOT_CALL.run(connection, now=now, organization_ids=organization_ids, phones=phones)
    if changes.campaigns:
        accounts = {row.provider_account_id for row, _ in changes.calls}
        await db.WAKE_CAMPAIGNS.run(
            connection, now=now, ids=sorted(changes.campaigns), provider_account_ids=sorted(accounts)
        )
        await db.NOTIFY_CAMPAIGNS.run(connection, ids=sorted(changes.campaigns))


async def _write_calls(
    connection: Connection, calls: list[tuple[db.CalledRow, CallState]], now: datetime, check_after: timedelta
) -> None:
    states = [state for _, state in calls]
    details = [state.details for state in states]
    reasons = [each.disconnection_reason for each in details]
    await db.WRITE_CALLS.run(
        connection,
        now=now,
        ids=[row.id for row, _ in calls],
        statuses=[state.status for state in states],
        retell_call_ids=[state.provider_call_id for state in states],
        outcomes=[state.outcome for state in states],
        detail_ranks=[_array(state.ranks) for state in states],
        disconnection_reasons=[None if reason is None else reason.code for reason in reasons],
        started_ats=[each.started_at for each in details],
        ended_ats=[each.ended_at for each in details],
        durations_ms=[each.duration_ms for each in details],
        costs_cents=[each.cost_cents for each in details],
        transcripts=[each.transcript for each in details],
        recording_urls=[each.recording_url for each in details],
        public_log_urls=[each.public_log_url for each in details],
        analyses=[each.analysis for each in details],
        next_check_ats=[_next_check(state, now, check_after) for state in states],
    )


def _array(ranks: tuple[int, ...]) -> str:
    return "{" + ",".join(map(str, ranks)) + "}"


async def _write_contacts(connection: Connection, contacts: list[ContactChange], now: datetime) -> None:
    await db.WRITE_CONTACTS.run(
        connection,
        now=now,
        ids=[c.id for c in contacts],
        statuses=[c.status for c in contacts],
        attempts=[c.attempts for c in contacts],
        faults=[c.faults for c in contacts],
        next_attempt_ats=[c.next_attempt_at for c in contacts],
        last_outcomes=[c.outcome for c in contacts],
        status_reasons=[c.reason for c in contacts],
    )
