"""Checks that contacts are called back when they asked for it, against the provider's own record of their calls."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from outdial.db.queries.evidence import CallEvidence, ContactEvidence
from outdial.domain.outcomes import RetryClass
from outdial.inbox.contact_steps import NO_ANALYSIS
from outdial.promises.checks import CHARGED, JITTER_MS, PromiseCheck, ProviderCall, RunEvidence, wish_of
from outdial.promises.promise import Promise
from outdial.retell.dispositions import outcome_of

ON_TIME_MS: Final = 60_000
MOST_CALLBACKS: Final = 2
MOST_TRIES: Final = 2
_DISTANCE: Final = re.compile(r"in ([0-9]+) (minute|hour|day)s?")
_UNIT_MS: Final[Mapping[str, int]] = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}


@dataclass(slots=True, kw_only=True)
class CallbackAudit:
    """What became of the wishes to be called back, in a run whose provider's clock is `speed` times as fast as ours."""

    speed: float
    cancelled: frozenset[UUID]
    asked: int = 0
    on_time: int = 0
    reported: int = 0
    second_tries: int = 0
    others: int = 0
    breaches: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CallbackWish:
    """A contact asked to be called back, at `due_ms` in the provider's time; None for a time that is not checked.

    `is_known` is whether we have the analysis in which they asked.
    """

    due_ms: int | None
    is_known: bool


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call as the provider has it, and our row of it."""

    there: ProviderCall
    here: CallEvidence


def check_callbacks(evidence: RunEvidence) -> PromiseCheck:
    """Check Promise.CALLBACKS: each callback starts within a minute of the time asked for, or says why it is late.

    The witness of who asked, when they asked for, and when they were called is the provider's record alone. It knows
    times that count from the end of the call, such as `in 20 minutes`.
    """
    rows = {call.retell_call_id: call for call in evidence.calls if call.retell_call_id is not None}
    by_contact: dict[UUID, list[RecordedCall]] = defaultdict(list)
    for call in sorted(evidence.provider_calls, key=lambda call: call.created_ms):
        row = rows.get(call.call_id)
        if row is not None:
            by_contact[row.campaign_contact_id].append(RecordedCall(call, row))
    cancelled = frozenset(campaign.id for campaign in evidence.campaigns if campaign.status == "cancelled")
    counts = CallbackAudit(speed=evidence.speed, cancelled=cancelled)
    for contact in evidence.contacts:
        # The provider does not know of what a member has decided, such as a callback that the contact did not ask for.
        if contact.has_member_callback:
            counts.others += 1
        else:
            counts.breaches += _breaches(contact, _before_members(contact, by_contact[contact.id]), counts)
    return PromiseCheck(
        promise=Promise.CALLBACKS,
        examined=(
            f"{counts.asked} wishes to be called back: {counts.on_time} calls on time, {counts.reported} late with the"
            f" reason, {counts.second_tries} second tries, {counts.others} left to members or ended otherwise"
        ),
        breaches=counts.breaches,
    )


def _before_members(contact: ContactEvidence, calls: Sequence[RecordedCall]) -> Sequence[RecordedCall]:
    """Return the calls before a member decided about the contact: from then on, the member says when it is called."""
    at = contact.changed_by_member_at
    return calls if at is None else [call for call in calls if call.here.requested_at < at]


def _breaches(contact: ContactEvidence, calls: Sequence[RecordedCall], counts: CallbackAudit) -> Iterator[str]:
    """Follow the calls of a contact in the order in which the provider made them."""
    wish: CallbackWish | None = None
    callbacks = tries = 0
    is_begun = False
    for call in calls:
        reason = outcome_of(call.there.disconnection_reason).retry_class
        if not call.there.is_callback:
            if wish is not None and not is_begun:
                yield f"{call.there.call_id} is an ordinary call to a contact who waits for a callback"
        elif wish is None or tries == MOST_TRIES:
            yield f"{call.there.call_id} is a callback for which the contact did not ask, or a third try"
        else:
            if not is_begun:
                callbacks += 1
                yield from _mistimed(call, wish, counts)
            is_begun = True
            counts.second_tries += tries == 1
            # A call that failed on the way to the contact is not a try.
            tries += reason in CHARGED
        if (words := wish_of(call.there.analysis)) is not None and call.there.ended_ms is not None:
            counts.asked += 1
            wish = CallbackWish(_due_ms(words, call.there.ended_ms), wish_of(call.here.analysis) is not None)
            tries, is_begun = 0, False
        elif reason is RetryClass.DONE or tries == MOST_TRIES:
            wish = None
    if callbacks > MOST_CALLBACKS:
        yield f"contact {contact.id} was called back {callbacks} times"
    if wish is not None:
        unkept = (
            _not_tried_again(contact, calls[-1]) if is_begun else _not_called_back(contact, wish, callbacks, counts)
        )
        yield from unkept


def _not_tried_again(contact: ContactEvidence, last: RecordedCall) -> Iterator[str]:
    """Report a contact that failed after the first try of its callback."""
    is_unreached = outcome_of(last.there.disconnection_reason).retry_class is RetryClass.RETRY
    # Another attempt, such as one that the provider refused, may have ended it.
    is_newest = contact.call_count == last.here.attempt_number
    is_left_alone = contact.changed_by_member_at is None
    if is_unreached and is_newest and is_left_alone and last.there.is_callback and contact.status == "failed":
        yield f"contact {contact.id} was not reached by {last.there.call_id}, and not called a second time"


def _not_called_back(
    contact: ContactEvidence, wish: CallbackWish, callbacks: int, counts: CallbackAudit
) -> Iterator[str]:
    counts.others += 1
    # A cancelled campaign does not wait for the analyses of its last calls.
    if contact.campaign_id in counts.cancelled or contact.changed_by_member_at is not None:
        return
    is_excused = contact.status_reason is not None and not (wish.is_known and contact.status_reason == NO_ANALYSIS)
    if callbacks < MOST_CALLBACKS and contact.status == "completed" and not is_excused:
        yield f"contact {contact.id} asked to be called back and is completed without it"


def _mistimed(call: RecordedCall, wish: CallbackWish, counts: CallbackAudit) -> Iterator[str]:
    if wish.due_ms is None:
        return
    late_ms = call.there.created_ms - wish.due_ms
    if late_ms < -JITTER_MS:
        yield f"{call.there.call_id} started {-late_ms / 1000:g} s before the time asked for"
    elif late_ms <= ON_TIME_MS * counts.speed:
        counts.on_time += 1
    elif call.here.callback_late is not None:
        counts.reported += 1
    else:
        yield f"{call.there.call_id} started {late_ms / 1000:g} s after the time asked for, and no reason is reported"


def _due_ms(words: str, ended_ms: int) -> int | None:
    distance = _DISTANCE.fullmatch(words)
    return None if distance is None else ended_ms + int(distance[1]) * _UNIT_MS[distance[2]]
