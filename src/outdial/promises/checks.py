"""Checks the promises after a run: compares the provider's ledger with the database.

Pure functions over the evidence that `outdial.promises.evidence` gathers. The demo and the chaos tests end with them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from outdial.db.queries.evidence import (
    AccountLimits,
    CallEvidence,
    CampaignEvidence,
    ContactEvidence,
    EvidenceOfTestCall,
    NumberRest,
)
from outdial.domain.contact import OPEN, ContactStatus
from outdial.domain.outcomes import Outcome, RetryClass
from outdial.domain.phone import mask
from outdial.domain.policies.number_pool import BLOCKED_IN_A_ROW
from outdial.promises.promise import Promise
from outdial.retell.dispositions import outcome_of

# Two requests may reach the provider this much closer together than they were sent.
JITTER_MS = 50

DAY_MS = 24 * 60 * 60 * 1000

# Retry classes that consume an attempt of the contact.
CHARGED = frozenset({RetryClass.DONE, RetryClass.RETRY, RetryClass.FINAL, RetryClass.DO_NOT_CALL})


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRequest:
    """One create-phone-call request in the provider's ledger; `arrived_ms` is real time, in Unix milliseconds.

    `result` is accepted (a new call), replayed (the key already had a call) or refused. `answered` is False when the
    caller got no response, or none that it could interpret.
    """

    arrived_ms: int
    result: str
    reason: str | None
    answered: bool
    call_id: str | None
    to_number: str | None
    idempotency_key: str | None
    metadata_call_id: str | None
    metadata_test_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """A call in the provider's records: `created_ms` and `ended_ms` in its own time, None while the call is live.

    `analysis` is JSON text with sorted keys, for comparison. `test_call_id` is from the metadata of a test call, and
    `is_callback` is what the agent was given.
    """

    call_id: str
    from_number: str
    to_number: str
    created_ms: int
    ended_ms: int | None
    disconnection_reason: str | None
    transcript: str | None
    analysis: str | None
    test_call_id: str | None = None
    is_callback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvidence:
    """The provider's records and our rows after a run, for the campaigns of one provider account.

    The provider's clock runs `speed` times as fast as ours.
    """

    requests: Sequence[LedgerRequest]
    provider_calls: Sequence[ProviderCall]
    calls: Sequence[CallEvidence]
    contacts: Sequence[ContactEvidence]
    campaigns: Sequence[CampaignEvidence]
    limits: AccountLimits
    rests: Sequence[NumberRest] = ()
    test_calls: Sequence[EvidenceOfTestCall] = ()
    speed: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseCheck:
    """The result for one promise: what was examined, and each breach."""

    promise: Promise
    examined: str
    breaches: Sequence[str]

    @property
    def holds(self) -> bool:
        """Whether no breach was found."""
        return not self.breaches


@dataclass(frozen=True, slots=True)
class ResolvedCalls:
    """How many calls had an ambiguous response to their request, and how many of these are resolved."""

    ambiguous: int
    resolved: int


def audit(evidence: RunEvidence) -> list[PromiseCheck]:
    """Check the promises that the records of calls decide, in the order of their numbers."""
    return [
        PromiseCheck(
            promise=Promise.ONE_REQUEST,
            examined=f"{len(evidence.requests)} requests for {len(evidence.calls)} calls",
            breaches=list(_duplicate_requests(evidence)),
        ),
        PromiseCheck(
            promise=Promise.ONE_LIVE_CALL,
            examined=f"{len({call.to_number for call in evidence.provider_calls})} phones",
            breaches=list(_overlapping(evidence.provider_calls)),
        ),
        PromiseCheck(
            promise=Promise.COMPLETED,
            examined=f"{len(evidence.contacts)} contacts",
            breaches=list(_open_or_miscounted(evidence)),
        ),
        PromiseCheck(
            promise=Promise.EVENTS,
            examined=f"{len(evidence.provider_calls)} calls with transcript and analysis",
            breaches=list(_mismatches(evidence)),
        ),
        PromiseCheck(
            promise=Promise.ACCOUNT_LIMITS,
            examined=_limits_text(evidence),
            breaches=list(_over_limits(evidence)),
        ),
        PromiseCheck(
            promise=Promise.BLOCKED_NUMBERS,
            examined=f"{sum(map(is_blocked, evidence.provider_calls))} blocked calls; rests of caller numbers:"
            f" {len(evidence.rests)}",
            breaches=list(_from_burnt(evidence)),
        ),
    ]


def wish_of(analysis: str | None) -> str | None:
    """Return the time at which a contact asked to be called back, from the analysis of the call as JSON text."""
    document = msgspec.json.decode(analysis) if analysis is not None else {}
    fields = document.get("custom_analysis_data") if isinstance(document, dict) else None
    words = fields.get("callback_at") if isinstance(fields, dict) else None
    return words if isinstance(words, str) else None


def resolved(evidence: RunEvidence) -> ResolvedCalls:
    """Count the calls whose existence was in doubt for a while."""
    status = {str(call.id): call.status for call in evidence.calls}
    keys = {r.idempotency_key for r in evidence.requests if r.idempotency_key is not None and not r.answered}
    known = [key for key in keys if status.get(key) in ("ended", "refused", "released")]
    return ResolvedCalls(len(keys), len(known))


def peak_live(calls: Iterable[ProviderCall]) -> int:
    """Return the peak of concurrent calls; a call may start at the moment when another one ends."""
    calls = list(calls)
    changes = sorted(
        [(call.created_ms, 1) for call in calls] + [(call.ended_ms, -1) for call in calls if call.ended_ms is not None]
    )
    live = most = 0
    for _, change in changes:
        live += change
        most = max(most, live)
    return most


def peak_in_window(moments: Sequence[int], window: int) -> int:
    """Return the most of the sorted `moments` that fall into any half-open window of this length."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def _duplicate_requests(evidence: RunEvidence) -> Iterator[str]:
    rows = {str(call.id): call for call in evidence.calls}
    accepted: Counter[str] = Counter()
    yield from _repeated_test_calls(evidence)
    for request in evidence.requests:
        if request.to_number is None or request.metadata_test_call_id is not None:
            continue  # the provider never read it, or it is for a test call
        key = request.idempotency_key
        if key is None:
            yield f"a request for {request.to_number} carried no idempotency key"
            continue
        if request.metadata_call_id != key:
            yield f"a request for call {request.metadata_call_id} carried the key {key}"
        accepted[key] += request.result == "accepted"
        row = rows.get(key)
        if row is None:
            yield f"a request carried the key {key}, which belongs to no call in the database"
        elif request.to_number != row.phone:
            yield f"a request for call {key} went to a different phone"
    for key, times in accepted.items():
        if times > 1:
            yield f"call {key} was placed {times} times"


def _repeated_test_calls(evidence: RunEvidence) -> Iterator[str]:
    """Report test calls that were requested or placed twice: unlike a call of a campaign, none is requested again."""
    phones = {str(call.id): call.phone for call in evidence.test_calls}
    requests = [request for request in evidence.requests if request.metadata_test_call_id is not None]
    for request in requests:
        test_call_id = request.metadata_test_call_id or ""
        if request.idempotency_key != test_call_id or request.metadata_call_id is not None:
            yield f"the request for test call {test_call_id} carried the ids of another call"
        if phones.get(test_call_id) not in (request.to_number, "erased"):
            yield f"a request for test call {test_call_id} went to a phone that no one requested"
    placed = Counter(call.test_call_id for call in evidence.provider_calls if call.test_call_id is not None)
    for what, times in (("requested", Counter(each.metadata_test_call_id for each in requests)), ("placed", placed)):
        yield from (f"test call {id_} was {what} {count} times" for id_, count in times.items() if count > 1)


def _overlapping(calls: Iterable[ProviderCall]) -> Iterator[str]:
    by_phone: dict[str, list[ProviderCall]] = defaultdict(list)
    for call in calls:
        by_phone[call.to_number].append(call)
    for same_phone in by_phone.values():
        same_phone.sort(key=lambda call: call.created_ms)
        for earlier, later in pairwise(same_phone):
            if earlier.ended_ms is None or later.created_ms < earlier.ended_ms:
                yield f"{later.call_id} started before {earlier.call_id}, to the same phone, had ended"


def _open_or_miscounted(evidence: RunEvidence) -> Iterator[str]:
    open_contacts = Counter(c.campaign_id for c in evidence.contacts if ContactStatus(c.status) in OPEN)
    for campaign in evidence.campaigns:
        if campaign.status in ("completed", "cancelled") and open_contacts[campaign.id]:
            yield f"campaign {campaign.id} is {campaign.status} with {open_contacts[campaign.id]} open contacts"
    made = Counter(call.campaign_contact_id for call in evidence.calls)
    earlier = {contact.id: contact.earlier_calls for contact in evidence.contacts}
    charged = Counter(
        call.campaign_contact_id
        for call in evidence.calls
        if call.disconnection_reason is not None
        and outcome_of(call.disconnection_reason).retry_class in CHARGED
        and call.attempt_number > earlier.get(call.campaign_contact_id, 0)
    )
    # A call in which the contact asked for a callback uses no attempt, unless its analysis came too late.
    free = Counter(call.campaign_contact_id for call in evidence.calls if wish_of(call.analysis) is not None)
    for contact in evidence.contacts:
        if contact.call_count != made[contact.id]:
            yield f"contact {contact.id} counts {contact.call_count} calls but has {made[contact.id]}"
        if not charged[contact.id] - free[contact.id] <= contact.attempts <= charged[contact.id]:
            yield f"contact {contact.id} was charged {contact.attempts} attempts, but {charged[contact.id]} calls count"


def _mismatches(evidence: RunEvidence) -> Iterator[str]:
    rows: dict[str, CallEvidence | EvidenceOfTestCall] = {}
    rows |= {call.retell_call_id: call for call in evidence.calls if call.retell_call_id is not None}
    rows |= {call.retell_call_id: call for call in evidence.test_calls if call.retell_call_id is not None}
    known = {call.call_id for call in evidence.provider_calls}
    for call in evidence.provider_calls:
        row = rows.get(call.call_id)
        if row is None:
            yield f"{call.call_id} is missing from the database"
            continue
        if isinstance(row, CallEvidence) is (call.test_call_id is not None):
            yield f"{call.call_id} is a test call on one side only"
        expected: Mapping[str, tuple[object, object]] = {
            "status": (row.status, "ended"),
            "phone": (row.phone, call.to_number),
            "disconnection_reason": (row.disconnection_reason, call.disconnection_reason),
            "outcome": (row.outcome, outcome_of(call.disconnection_reason)),
            "transcript": (row.transcript, call.transcript),
            "analysis": (row.analysis, call.analysis),
        }
        for name, (here, there) in expected.items():
            if here != there:
                yield f"{call.call_id}: {name} is {_short(here)} here and {_short(there)} there"
    yield from (f"{call_id} is in the database but not at the provider" for call_id in rows.keys() - known)


def _over_limits(evidence: RunEvidence) -> Iterator[str]:
    most, allowed = peak_live(evidence.provider_calls), evidence.limits.concurrency_limit
    if most > allowed:
        yield f"{most} concurrent calls, {allowed} allowed"
    refused = sum(request.reason == "concurrency" for request in evidence.requests)
    if refused:
        yield f"{refused} requests arrived while the account was at its concurrency limit"
    rate = evidence.limits.calls_per_second
    # Below one call per second, the window grows: 0.5 is one start in two seconds.
    per_window = max(1, int(rate))
    window_ms = round(1000 * per_window / rate)
    planned = sorted(round(call.requested_at.timestamp() * 1000) for call in evidence.calls)
    for what, moments in (("planned", planned), ("placed", _placed(evidence))):
        peak = peak_in_window(moments, window_ms - JITTER_MS)
        if peak > per_window:
            yield f"{peak} starts were {what} within a second, {rate:g} allowed"


def _from_burnt(evidence: RunEvidence) -> Iterator[str]:
    for rest in evidence.rests:
        if rest.calls:
            yield f"{rest.calls} calls were claimed from {mask(rest.phone)} while it rested from {rest.since:%d %H:%M}"
    by_number: dict[str, list[ProviderCall]] = defaultdict(list)
    for call in evidence.provider_calls:
        by_number[call.from_number].append(call)
    for number, calls in by_number.items():
        made = peak_in_window(sorted(call.created_ms for call in calls), DAY_MS)
        if made > BLOCKED_IN_A_ROW and all(map(is_blocked, calls)):
            yield f"{made} calls were made from {mask(number)} in a day, and each was blocked"


def is_blocked(call: ProviderCall) -> bool:
    """Return whether the provider ended a call because of its caller number."""
    return outcome_of(call.disconnection_reason) is Outcome.BLOCKED


def _placed(evidence: RunEvidence) -> list[int]:
    return sorted(request.arrived_ms for request in evidence.requests if request.result == "accepted")


def _limits_text(evidence: RunEvidence) -> str:
    bunched = sum(request.reason == "calls_per_second" for request in evidence.requests)
    made = peak_in_window(_placed(evidence), 1000 - JITTER_MS)
    return (
        f"at most {peak_live(evidence.provider_calls)} of {evidence.limits.concurrency_limit} concurrent calls,"
        f" {made} of {evidence.limits.calls_per_second:g} starts per second"
        + (f", {bunched} refused for arriving too close together" if bunched else "")
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
