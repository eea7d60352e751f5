"""Applies a batch of events to their calls: locks the rows, merges in Python, writes with set-based statements.

Applying is idempotent and independent of the order. The webhook, the applier, the reconciler and replay all use it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from outdial.db.queries import batches, events
from outdial.db.queries import calls as call_queries
from outdial.db.queries import do_not_call as do_not_call_queries
from outdial.db.queries.dialing import callbacks, contact_steps
from outdial.db.session import Connection
from outdial.domain.call import LIVE, CallReport, CallState, CallStatus, merge
from outdial.domain.contact import OPEN, ContactStatus
from outdial.domain.outcomes import RetryClass
from outdial.inbox.contact_steps import CANCELLED, NO_ANALYSIS, ContactChange, contact_change, hold_until, late_request
from outdial.inbox.deliveries import EventDelivery, EventVerdict
from outdial.inbox.stored_details import stored_details
from outdial.inbox.test_call_reports import apply_to_test_calls
from outdial.log import log
from outdial.provider import EventReader


@dataclass(frozen=True, slots=True)
class CallChange:
    """A locked call and its new state. Its contact waits for the analysis until `decides_at`, unless that is None."""

    row: call_queries.ReportedCall
    state: CallState
    decides_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DoNotCallPhone:
    """A phone to add to the do-not-call list of an organization."""

    organization_id: UUID
    phone: str


@dataclass(frozen=True, slots=True)
class LateAnalysis:
    """An analysis that came after its call had decided about the contact; `request` is a callback asked for in it."""

    campaign_contact_id: UUID
    call_id: UUID
    request: str | None


@dataclass(slots=True, kw_only=True)
class BatchChanges:
    """Everything that a batch writes. `accounts` maps provider accounts to pause to the reason."""

    calls: list[CallChange] = field(default_factory=list)
    contacts: list[ContactChange] = field(default_factory=list)
    late_analyses: list[LateAnalysis] = field(default_factory=list)
    do_not_call: list[DoNotCallPhone] = field(default_factory=list)
    campaigns: set[UUID] = field(default_factory=set)
    accounts: dict[UUID, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AppliedBatch:
    """Verdicts in the order of the deliveries, and the provider accounts to pause, with the reason."""

    verdicts: list[EventVerdict]
    accounts: dict[UUID, str]


@dataclass(frozen=True, slots=True)
class LockedCalls:
    """The calls that a batch reports on and this transaction has locked, and the ids of those that another one has."""

    by_id: Mapping[UUID, call_queries.ReportedCall]
    by_retell_id: dict[str, call_queries.ReportedCall]
    locked_elsewhere: frozenset[UUID | str | None] = frozenset()


async def apply(
    connection: Connection,
    deliveries: Sequence[EventDelivery],
    *,
    reader: EventReader,
    now: datetime,
    check_after: timedelta,
    retry_speed: float = 1.0,
    skip_locked: bool = False,
) -> AppliedBatch:
    """Apply `deliveries` in the open transaction.

    The reconciler checks a call that receives no further event after `check_after`. Retry delays are divided by
    `retry_speed`. With `skip_locked`, an event of a call that another transaction has locked is `pending` instead of
    waiting for it.
    """
    calls = await _lock_calls(connection, deliveries, skip_locked=skip_locked)
    of_test_calls = await apply_to_test_calls(connection, deliveries, reader=reader, now=now, check_after=check_after)
    verdicts: list[EventVerdict] = []
    reports: dict[UUID, list[CallReport]] = {}
    for position, delivery in enumerate(deliveries):
        event = delivery.event
        if position in of_test_calls:
            verdicts.append(of_test_calls[position])
            continue
        row = calls.by_retell_id.get(event.provider_call_id)
        if row is None and not calls.locked_elsewhere.isdisjoint({event.provider_call_id, event.call_id}):
            verdicts.append(EventVerdict("pending"))
            continue
        if row is None and event.call_id is not None:
            row = calls.by_id.get(event.call_id)
        earlier = reports.get(row.id) if row is not None else None
        verdict = _verdict(delivery, row, earlier[0].provider_call_id if earlier else None)
        verdicts.append(verdict)
        if verdict.status == "applied" and row is not None and event.report is not None:
            reports.setdefault(row.id, []).append(event.report)
            # The id is the call's from here on: two calls with the same id would fail the whole batch.
            calls.by_retell_id.setdefault(event.provider_call_id, row)
    changes = BatchChanges()
    for call_id, of_call in reports.items():
        decide(changes, calls.by_id[call_id], of_call, reader=reader, now=now, retry_speed=retry_speed)
    await _write(connection, changes, now, check_after)
    return AppliedBatch(verdicts, changes.accounts)


async def _lock_calls(connection: Connection, deliveries: Sequence[EventDelivery], *, skip_locked: bool) -> LockedCalls:
    ids = list({d.event.call_id for d in deliveries if d.event.call_id is not None})
    retell_call_ids = list({d.event.provider_call_id for d in deliveries if d.event.provider_call_id})
    if not ids and not retell_call_ids:
        return LockedCalls({}, {})
    lock = call_queries.lock_free_calls if skip_locked else call_queries.lock_reported_calls
    rows = await lock(connection, ids=ids, retell_call_ids=retell_call_ids)
    by_id = {row.id: row for row in rows}
    by_retell_id = {row.retell_call_id: row for row in rows if row.retell_call_id}
    if not skip_locked:
        return LockedCalls(by_id, by_retell_id)
    known = await events.known_calls(connection, ids=ids, retell_call_ids=retell_call_ids)
    locked = {key for call in known if call.id not in by_id for key in (call.id, call.retell_call_id)}
    return LockedCalls(by_id, by_retell_id, frozenset(locked - {None}))


def _verdict(delivery: EventDelivery, row: call_queries.ReportedCall | None, batch_call_id: str | None) -> EventVerdict:
    """Match a delivery with its call; `batch_call_id` is the provider's id that this batch already gave the call."""
    if delivery.event.malformed is not None:
        return EventVerdict("quarantined", error=delivery.event.malformed)
    if row is None:
        return EventVerdict("unmatched", error="no call has this id")
    if row.credential != delivery.credential:
        return EventVerdict(
            "unmatched", error=f"signed for {delivery.credential!r}, but the call belongs to another account"
        )
    if (row.retell_call_id or batch_call_id) not in (None, delivery.event.provider_call_id):
        return EventVerdict("unmatched", error="another call at Retell has the metadata of this call")
    if delivery.event.call_id not in (None, row.id):
        return EventVerdict("unmatched", error="another call has the id that Retell gave to this call")
    return EventVerdict("applied", row.organization_id, row.id, is_erased=row.is_erased)


def decide(
    changes: BatchChanges,
    row: call_queries.ReportedCall,
    reports: Iterable[CallReport],
    *,
    reader: EventReader,
    now: datetime,
    retry_speed: float = 1.0,
) -> None:
    """Merge `reports` into a call, and add the changes of the call and its contact to `changes`."""
    before = after = _state_of(row, reader)
    for report in reports:
        after = merge(after, report)
    if after == before:
        return
    outcome = after.outcome
    # Not the column `outcome`: a call in review has one before the provider reports the reason.
    is_new = outcome is not None and outcome != before.outcome
    is_due = _decides_contact(row) and (is_new or row.decides_at is not None)
    decides_at = hold_until(row, after, now=now, retry_speed=retry_speed) if is_due else None
    changes.calls.append(CallChange(row, after, decides_at))
    if before.status in LIVE and after.status not in LIVE:
        changes.campaigns.add(row.campaign_id)
    if outcome is not None and is_new:
        if outcome.retry_class is RetryClass.DO_NOT_CALL and not row.is_erased:
            changes.do_not_call.append(DoNotCallPhone(row.organization_id, row.phone))
        if outcome.retry_class is RetryClass.ACCOUNT:
            reason = after.details.disconnection_reason
            changes.accounts[row.provider_account_id] = (
                f"Retell ended a call with {reason.code if reason else outcome};"
                " check the account at Retell before you resume"
            )
    if outcome is not None and is_due and decides_at is None:
        corrected = None if row.decides_at is not None else before.outcome
        changes.contacts.append(
            contact_change(row, outcome, after.details, corrected=corrected, now=now, retry_speed=retry_speed)
        )
        changes.campaigns.add(row.campaign_id)
    elif outcome is not None and after.details.analysis != before.details.analysis and _has_decided_contact(row):
        request = late_request(row, outcome, after.details, now=now, retry_speed=retry_speed)
        changes.late_analyses.append(LateAnalysis(row.campaign_contact_id, row.id, request))


async def decide_overdue(
    connection: Connection, ids: Sequence[UUID], *, reader: EventReader, now: datetime, retry_speed: float = 1.0
) -> int:
    """Decide about the contacts of calls that have waited long enough for an analysis; return how many.

    Calls that another transaction has locked are decided next time.
    """
    rows = await call_queries.lock_free_calls(connection, ids=ids, retell_call_ids=[])
    held = [row for row in rows if row.decides_at is not None]
    changes = BatchChanges()
    for row in held:
        state = _state_of(row, reader)
        if state.outcome is not None and _decides_contact(row):
            change = contact_change(row, state.outcome, state.details, corrected=None, now=now, retry_speed=retry_speed)
            changes.contacts.append(change)
            changes.campaigns.add(row.campaign_id)
    await callbacks.end_holds(connection, ids=[row.id for row in held], now=now)
    accounts = {row.provider_account_id for row in held}
    await _write_contacts(connection, changes, accounts, now)
    return len(held)


def _decides_contact(row: call_queries.ReportedCall) -> bool:
    """Return whether the contact's next step depends on this call: its newest one, about which no one has decided."""
    return _is_newest(row) and row.contact_status in OPEN | {ContactStatus.REVIEW}


def _has_decided_contact(row: call_queries.ReportedCall) -> bool:
    """Return whether this call has completed its contact, or sent it to review, in a campaign that is not cancelled."""
    is_decided = row.contact_status in (ContactStatus.COMPLETED, ContactStatus.REVIEW) and row.decides_at is None
    return _is_newest(row) and is_decided and not row.is_erased and row.campaign_status not in CANCELLED


def _is_newest(row: call_queries.ReportedCall) -> bool:
    # A member who decided about the contact knew of this call: later reports about it change the call only.
    return row.call_count == row.attempt_number and row.decided_calls < row.attempt_number


def _state_of(row: call_queries.ReportedCall, reader: EventReader) -> CallState:
    details = stored_details(row, reader)
    return CallState(
        status=CallStatus(row.status),
        provider_call_id=row.retell_call_id,
        details=details,
        ranks=tuple(row.detail_ranks),
    )


async def _write(connection: Connection, changes: BatchChanges, now: datetime, check_after: timedelta) -> None:
    if not changes.calls:
        return
    states = [change.state for change in changes.calls]
    details = [state.details for state in states]
    reasons = [each.disconnection_reason for each in details]
    await call_queries.write_calls(
        connection,
        now=now,
        ids=[change.row.id for change in changes.calls],
        statuses=[state.status for state in states],
        retell_call_ids=[state.provider_call_id for state in states],
        outcomes=[state.outcome for state in states],
        detail_ranks=["{" + ",".join(map(str, state.ranks)) + "}" for state in states],
        disconnection_reasons=[None if reason is None else reason.code for reason in reasons],
        started_ats=[each.started_at for each in details],
        ended_ats=[each.ended_at for each in details],
        durations_ms=[each.duration_ms for each in details],
        costs_cents=[each.cost_cents for each in details],
        transcripts=[each.transcript for each in details],
        recording_urls=[each.recording_url for each in details],
        public_log_urls=[each.public_log_url for each in details],
        analyses=[each.analysis for each in details],
        next_check_ats=[None if state.is_complete else now + check_after for state in states],
        decides_ats=[change.decides_at for change in changes.calls],
    )
    await _write_contacts(connection, changes, {change.row.provider_account_id for change in changes.calls}, now)
    await _write_late_analyses(connection, changes.late_analyses, now)


async def _write_late_analyses(connection: Connection, late: Sequence[LateAnalysis], now: datetime) -> None:
    """Send contacts who asked for a callback to review. For others, the analysis has come and says nothing of it."""
    requests = {each.campaign_contact_id: each for each in late if each.request is not None}
    if content := [each.campaign_contact_id for each in late if each.request is None]:
        await callbacks.note_analysis(connection, ids=content, reason=NO_ANALYSIS, now=now)
    if requests:
        reasons = [each.request or "" for each in requests.values()]
        in_review = await callbacks.review_late_requests(connection, ids=list(requests), reasons=reasons, now=now)
        for campaign_contact_id in in_review:
            call_id = str(requests[campaign_contact_id].call_id)
            log(
                "inbox.late_callback_request",
                level="warning",
                campaign_contact_id=str(campaign_contact_id),
                call_id=call_id,
            )


async def _write_contacts(connection: Connection, changes: BatchChanges, accounts: set[UUID], now: datetime) -> None:
    if changes.contacts:
        await contact_steps.write_campaign_contacts(
            connection,
            now=now,
            ids=[change.id for change in changes.contacts],
            statuses=[change.status for change in changes.contacts],
            attempts=[change.attempts for change in changes.contacts],
            faults=[change.faults for change in changes.contacts],
            next_attempt_ats=[change.next_attempt_at for change in changes.contacts],
            last_outcomes=[change.outcome for change in changes.contacts],
            status_reasons=[change.reason for change in changes.contacts],
            voicemail_left_ats=[change.voicemail_left_at for change in changes.contacts],
            callback_ats=[change.callback_at for change in changes.contacts],
            callbacks=[change.callbacks for change in changes.contacts],
            callback_tries=[change.callback_tries for change in changes.contacts],
            callback_lates=[change.callback_late for change in changes.contacts],
        )
    if changes.do_not_call:
        organization_ids = [each.organization_id for each in changes.do_not_call]
        phones = [each.phone for each in changes.do_not_call]
        await do_not_call_queries.block_phones_during_call(
            connection, now=now, organization_ids=organization_ids, phones=phones
        )
    if changes.campaigns:
        await batches.wake_campaigns(
            connection, now=now, ids=sorted(changes.campaigns), provider_account_ids=sorted(accounts)
        )
        await batches.notify_campaigns(connection, ids=sorted(changes.campaigns))
