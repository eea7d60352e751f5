"""What the end of a call changes about its contact: final status, retry, callback or review."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Final, assert_never
from uuid import UUID

import msgspec

from outdial.db.queries.calls import ReportedCall
from outdial.domain.call import CallDetails, CallState
from outdial.domain.calling_hours import local_times
from outdial.domain.contact import ContactStatus
from outdial.domain.errors import InvalidCallbackPolicy, InvalidRetryPolicy
from outdial.domain.outcomes import Outcome, RetryClass
from outdial.domain.policies.callback_requests import (
    ASKED,
    HOLD,
    RETRY_AFTER,
    CallBackAt,
    UnclearCallback,
    may_ask,
    read_request,
)
from outdial.domain.policies.callbacks import DEFAULT_CALLBACK_POLICY, CallbackPolicy, parse_callback_policy
from outdial.domain.policies.voicemail import MESSAGE_LEFT, AfterMessage
from outdial.domain.retry import (
    DEFAULT_POLICY,
    Complete,
    ContactStep,
    Fail,
    RetryAt,
    RetryPolicy,
    Review,
    next_step,
    parse_retry_policy,
)

NO_ANALYSIS: Final = "completed before the analysis of the call came"
"""The status_reason of a contact: a request to be called back may still be in the analysis."""
CANCELLED: Final = ("cancelling", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactChange:
    """The columns of a campaign contact after the end of a call."""

    id: UUID
    status: ContactStatus
    attempts: int
    faults: int
    next_attempt_at: datetime | None
    outcome: str
    reason: str | None
    callbacks: int
    callback_at: datetime | None = None
    callback_tries: int = 0
    callback_late: str | None = None
    voicemail_left_at: datetime | None = None


def hold_until(row: ReportedCall, state: CallState, *, now: datetime, retry_speed: float) -> datetime | None:
    """Return until when the contact waits for the analysis of its call; None when the call decides at once.

    A contact waits only after a call in which it can have asked for a callback.
    """
    outcome = state.outcome
    if outcome is None or state.details.analysis is not None or row.is_erased:
        return None
    if row.contact_status != ContactStatus.CALLING or row.campaign_status in CANCELLED:
        return None
    if not may_ask(_callback_policy(row.callback_policy), outcome):
        return None
    return row.decides_at or now + HOLD / retry_speed


def contact_change(
    row: ReportedCall,
    outcome: Outcome,
    details: CallDetails,
    *,
    corrected: Outcome | None,
    now: datetime,
    retry_speed: float,
) -> ContactChange:
    """Return the contact after `outcome`, which replaces `corrected` if given: its attempt or fault is undone first."""
    if corrected is not None:
        row = _undone(row, corrected)
    ended_at = min(details.ended_at or now, now)
    match _request(row, outcome, details, ended_at):
        case CallBackAt(at, words):
            at = ended_at + (at - ended_at) / retry_speed
            if row.contact_status == ContactStatus.REVIEW:
                return _after_step(row, outcome, Review(_late(words, at, row.zone_key)))
            return _callback(row, outcome, at)
        case UnclearCallback(reason):
            return _after_step(row, outcome, Review(reason))
        case None:
            change = _after_step(row, outcome, _next_step(row, outcome, now, retry_speed))
            change = _with_message(change, row, outcome, now)
            is_early = details.analysis is None and may_ask(_callback_policy(row.callback_policy), outcome)
            if is_early and change.status is ContactStatus.COMPLETED and change.reason is None:
                return replace(change, reason=NO_ANALYSIS)
            return change
        case never:
            assert_never(never)


def _next_step(row: ReportedCall, outcome: Outcome, now: datetime, retry_speed: float) -> ContactStep:
    if row.callback_try == 1 and outcome.retry_class is RetryClass.RETRY:
        # It was promised: the retry policy and the attempt limit apply after the second try.
        return RetryAt(now + RETRY_AFTER / retry_speed, charged=True)
    return next_step(
        _policy(row.retry_policy, retry_speed),
        outcome,
        attempts=row.attempts,
        faults=row.faults,
        max_attempts=row.max_attempts,
        has_other_number=row.has_other_number,
        ended_at=now,
        seed=row.id.bytes,
    )


def late_request(
    row: ReportedCall, outcome: Outcome, details: CallDetails, *, now: datetime, retry_speed: float
) -> str | None:
    """Return the reason for a review, if the contact asked for a callback in a call that has decided about it already.

    Only a member brings such a contact back, because its campaign may have completed since.
    """
    ended_at = min(details.ended_at or now, now)
    match _request(row, outcome, details, ended_at):
        case CallBackAt(at, words):
            return _late(words, ended_at + (at - ended_at) / retry_speed, row.zone_key)
        case UnclearCallback(reason):
            return reason
        case None:
            return None
        case never:
            assert_never(never)


def _request(
    row: ReportedCall, outcome: Outcome, details: CallDetails, ended_at: datetime
) -> CallBackAt | UnclearCallback | None:
    return read_request(
        _callback_policy(row.callback_policy),
        outcome,
        details.analysis,
        callbacks=row.callbacks,
        zone_key=row.zone_key,
        ended_at=ended_at,
    )


def _late(words: str, at: datetime, zone_key: str) -> str:
    zone, local = next(iter(local_times(zone_key, at).items()))
    return f"{ASKED}: {words!r}, that is {local[:16]} in {zone}; the analysis came late: decide when to call again"


def _with_message(change: ContactChange, row: ReportedCall, outcome: Outcome, now: datetime) -> ContactChange:
    """Note the voicemail message that the call has left, after which the campaign may want no further call."""
    if row.message_then is None or outcome is not Outcome.VOICEMAIL:
        return change
    if AfterMessage(row.message_then) is AfterMessage.STOP and change.status is ContactStatus.PENDING:
        return replace(
            change,
            status=ContactStatus.COMPLETED,
            next_attempt_at=None,
            reason=MESSAGE_LEFT,
            voicemail_left_at=now,
            callback_at=None,
            callback_tries=0,
        )
    return replace(change, reason=change.reason or MESSAGE_LEFT, voicemail_left_at=now)


def _undone(row: ReportedCall, corrected: Outcome) -> ReportedCall:
    is_conversation = corrected.retry_class is RetryClass.DONE or corrected is Outcome.CALLBACK_REQUESTED
    if is_conversation and row.contact_status == ContactStatus.PENDING:
        return replace(row, callbacks=max(0, row.callbacks - 1), callback_at=None)
    if is_conversation and row.contact_status == ContactStatus.REVIEW:
        return replace(row, faults=max(0, row.faults - 1))
    if corrected.retry_class in (RetryClass.FAULT, RetryClass.ACCOUNT, RetryClass.HOLD):
        return replace(row, faults=max(0, row.faults - 1))
    return replace(row, attempts=max(0, row.attempts - 1))


def _callback(row: ReportedCall, outcome: Outcome, at: datetime) -> ContactChange:
    """Return the contact that waits for its callback. The call in which it asked for one charges no attempt."""
    status, reason = ContactStatus.PENDING, None
    if row.campaign_status in CANCELLED:
        status, reason = ContactStatus.CANCELLED, "campaign cancelled"
    return ContactChange(
        id=row.campaign_contact_id,
        status=status,
        attempts=row.attempts,
        faults=0,
        next_attempt_at=at,
        outcome=outcome,
        reason=reason,
        callbacks=row.callbacks + 1,
        callback_at=at if status is ContactStatus.PENDING else None,
    )


def _after_step(row: ReportedCall, outcome: Outcome, step: ContactStep) -> ContactChange:
    change = partial(ContactChange, id=row.campaign_contact_id, outcome=outcome, callbacks=row.callbacks)
    charged = row.attempts + 1
    match step:
        case Complete():
            return change(
                status=ContactStatus.COMPLETED, attempts=charged, faults=row.faults, next_attempt_at=None, reason=None
            )
        case Fail(reason):
            return change(
                status=ContactStatus.FAILED, attempts=charged, faults=row.faults, next_attempt_at=None, reason=reason
            )
        case Review(reason):
            return change(
                status=ContactStatus.REVIEW,
                attempts=row.attempts,
                faults=row.faults + 1,
                next_attempt_at=None,
                reason=reason,
            )
        case RetryAt(at, uses_attempt):
            status = ContactStatus.PENDING
            status_reason: str | None = None
            if row.contact_status == ContactStatus.REVIEW:
                status = ContactStatus.FAILED
                status_reason = "ended after review began; not called again"
            elif row.campaign_status in CANCELLED:
                status = ContactStatus.CANCELLED
                status_reason = "campaign cancelled"
            callback_at, tries, late = None, 0, None
            if status is ContactStatus.PENDING and not uses_attempt and row.callback_try:
                callback_at, tries = row.callback_at, row.callback_try - 1
                late = f"an earlier attempt at it failed: {outcome}"
            elif status is ContactStatus.PENDING and row.callback_try == 1:
                callback_at, tries = at, 1
            return change(
                status=status,
                attempts=charged if uses_attempt else row.attempts,
                faults=0 if uses_attempt else row.faults + 1,
                next_attempt_at=at,
                reason=status_reason,
                callback_at=callback_at,
                callback_tries=tries,
                callback_late=late,
            )
        case never:
            assert_never(never)


@lru_cache(maxsize=1024)
def _policy(raw: str, speed: float) -> RetryPolicy:
    # Policies are validated before they are stored. One that bypassed validation must not block the inbox.
    try:
        policy = parse_retry_policy(msgspec.json.decode(raw))
    except InvalidRetryPolicy:
        policy = DEFAULT_POLICY
    return policy if speed == 1 else policy.faster(speed)


@lru_cache(maxsize=1024)
def _callback_policy(raw: str) -> CallbackPolicy:
    try:
        return parse_callback_policy(msgspec.json.decode(raw))
    except InvalidCallbackPolicy:
        return DEFAULT_CALLBACK_POLICY
