"""Compares the provider's ledger with the database: the promises that a finished run lets anybody check.

Pure functions over evidence that `outdial.promises.evidence` gathers; the demo, and tests that break things, end with them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from outdial.db.evidence import CallRow, CampaignRow, ContactRow, LimitRow
from outdial.domain.contact import OPEN, ContactStatus
from outdial.domain.outcomes import RetryClass
from outdial.retell.dispositions import outcome_of

# Two requests of one second may reach the provider this much closer than they were sent.
JITTER_MS = 50

# The other classes use up no attempt of the contact.
CHARGED = frozenset({RetryClass.DONE, RetryClass.RETRY, RetryClass.FINAL, RetryClass.DO_NOT_CALL})


@dataclass(frozen=True, slots=True)
class Request:
    """One create-phone-call request as the provider's ledger has it; `arrived_ms` is real time, in Unix milliseconds.

    `result` is accepted (a new call), replayed (the call that its key had made before) or refused. `answered` is False
    when the caller could not tell from the answer, or had none.
    """

    arrived_ms: int
    result: str
    reason: str | None
    answered: bool
    call_id: str | None
    to_number: str | None
    idempotency_key: str | None
    metadata_call_id: str | None


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """A call as the provider tells it: from `created_ms` to `ended_ms`, in its own time, None while it lives.

    `analysis` is JSON text with its keys in order, so that it can be compared.
    """

    call_id: str
    to_number: str
    created_ms: int
    ended_ms: int | None
    disconnection_reason: str | None
    transcript: str | None
    analysis: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What both sides say of a run with one provider account; the rows are those of that account's campaigns."""

    requests: Sequence[Request]
    provider_calls: Sequence[ProviderCall]
    calls: Sequence[CallRow]
    contacts: Sequence[ContactRow]
    campaigns: Sequence[CampaignRow]
    limits: LimitRow


@dataclass(frozen=True, slots=True)
class Check:
    """A promise by its number in the design, what was looked at, and everything that broke it."""

    promise: int
    says: str
    looked_at: str
    breaches: Sequence[str]

    @property
    def holds(self) -> bool:
        """Tell whether nothing broke the promise."""
        return not self.breaches


@dataclass(frozen=True, slots=True)
class Resolved:
    """Calls whose create-call request had an answer that told nothing, and how many of them are known now."""

    ambiguous: int
    resolved: int


def audit(evidence: Evidence) -> list[Check]:
    """Check promises 1, 3, 5, 6 and 7, in that order."""
    return [
        Check(
            1,
            "one call for one attempt, whatever was asked again",
            f"{len(evidence.requests)} requests for {len(evidence.calls)} calls",
            list(_asked_twice(evidence)),
        ),
        Check(
            3,
            "never two calls to one phone at a time",
            f"{len({call.to_number for call in evidence.provider_calls})} phones",
            list(_overlapping(evidence.provider_calls)),
        ),
        Check(
            5,
            "completed means that every contact has a final status",
            f"{len(evidence.contacts)} contacts",
            [*_not_final(evidence), *_wrong_counts(evidence)],
        ),
        Check(
            6,
            "each call ended here as it ended there",
            f"{len(evidence.provider_calls)} calls with transcript and analysis",
            list(_not_as_reported(evidence)),
        ),
        Check(7, "never above the limits of the account", _limits_text(evidence), list(_over_limits(evidence))),
    ]


def resolved(evidence: Evidence) -> Resolved:
    """Count the calls of which nobody knew for a while whether they existed."""
    status = {str(call.id): call.status for call in evidence.calls}
    keys = {r.idempotency_key for r in evidence.requests if r.idempotency_key is not None and not r.answered}
    known = [key for key in keys if status.get(key) in ("ended", "refused", "released")]
    return Resolved(len(keys), len(known))


def peak_live(calls: Iterable[ProviderCall]) -> int:
    """Return the most calls that lived at once; a call that ends frees its place for one that begins then."""
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
    """Return the most of the sorted `moments` that any half-open window of this length holds."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def _asked_twice(evidence: Evidence) -> Iterator[str]:
    rows = {str(call.id): call for call in evidence.calls}
    accepted: Counter[str] = Counter()
    for request in evidence.requests:
        if request.to_number is None:
            continue  # the provider never read it
        key = request.idempotency_key
        if key is None:
            yield f"a request for {request.to_number} carried no idempotency key"
            continue
        if request.metadata_call_id != key:
            yield f"a request for call {request.metadata_call_id} carried the key {key}"
        accepted[key] += request.result == "accepted"
        row = rows.get(key)
        if row is None:
            yield f"a request carried the key {key}, which is no call of ours"
        elif request.to_number != row.phone:
            yield f"a request for call {key} went to another phone"
    for key, times in accepted.items():
        if times > 1:
            yield f"call {key} was made {times} times"


def _overlapping(calls: Iterable[ProviderCall]) -> Iterator[str]:
    by_phone: dict[str, list[ProviderCall]] = defaultdict(list)
    for call in calls:
        by_phone[call.to_number].append(call)
    for same_phone in by_phone.values():
        same_phone.sort(key=lambda call: call.created_ms)
        for earlier, later in pairwise(same_phone):
            if earlier.ended_ms is None or later.created_ms < earlier.ended_ms:
                yield f"{later.call_id} began before {earlier.call_id} to the same phone had ended"


def _not_final(evidence: Evidence) -> Iterator[str]:
    open_contacts = Counter(c.campaign_id for c in evidence.contacts if ContactStatus(c.status) in OPEN)
    for campaign in evidence.campaigns:
        if campaign.status in ("completed", "cancelled") and open_contacts[campaign.id]:
            yield f"campaign {campaign.id} is {campaign.status} with {open_contacts[campaign.id]} open contacts"


def _wrong_counts(evidence: Evidence) -> Iterator[str]:
    made = Counter(call.campaign_contact_id for call in evidence.calls)
    charged = Counter(call.campaign_contact_id for call in evidence.calls if _is_charged(call))
    for contact in evidence.contacts:
        if contact.call_count != made[contact.id]:
            yield f"contact {contact.id} counts {contact.call_count} calls and has {made[contact.id]}"
        if contact.attempts != charged[contact.id]:
            yield f"contact {contact.id} was charged {contact.attempts} attempts for {charged[contact.id]}"


def _is_charged(call: CallRow) -> bool:
    reason = call.disconnection_reason
    return reason is not None and outcome_of(reason).retry_class in CHARGED


def _not_as_reported(evidence: Evidence) -> Iterator[str]:
    rows = {call.retell_call_id: call for call in evidence.calls if call.retell_call_id is not None}
    told = {call.call_id for call in evidence.provider_calls}
    for call in evidence.provider_calls:
        row = rows.get(call.call_id)
        if row is None:
            yield f"{call.call_id} is no call of the database"
        else:
            yield from _differences(row, call)
    yield from (f"{call_id} is in the database and not at the provider" for call_id in rows.keys() - told)


def _differences(row: CallRow, call: ProviderCall) -> Iterator[str]:
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


def _over_limits(evidence: Evidence) -> Iterator[str]:
    most, allowed = peak_live(evidence.provider_calls), evidence.limits.concurrency_limit
    if most > allowed:
        yield f"{most} calls lived at once, {allowed} may"
    crowded = sum(request.reason == "concurrency" for request in evidence.requests)
    if crowded:
        yield f"{crowded} requests came while the account was full"
    for what, moments in (("planned", _planned(evidence)), ("made", _made(evidence))):
        peak = peak_in_window(moments, _window_ms(evidence.limits) - JITTER_MS)
        if peak > _per_window(evidence.limits):
            yield f"{peak} starts were {what} within a second, {evidence.limits.calls_per_second:g} may be"


def _planned(evidence: Evidence) -> list[int]:
    return sorted(round(call.requested_at.timestamp() * 1000) for call in evidence.calls)


def _made(evidence: Evidence) -> list[int]:
    return sorted(request.arrived_ms for request in evidence.requests if request.result == "accepted")


def _per_window(limits: LimitRow) -> int:
    return max(1, int(limits.calls_per_second))


def _window_ms(limits: LimitRow) -> int:
    # Below one call per second, the window grows: 0.5 is one start in two seconds.
    return round(1000 * _per_window(limits) / limits.calls_per_second)


def _limits_text(evidence: Evidence) -> str:
    bunched = sum(request.reason == "calls_per_second" for request in evidence.requests)
    made = peak_in_window(_made(evidence), 1000 - JITTER_MS)
    return (
        f"at most {peak_live(evidence.provider_calls)} of {evidence.limits.concurrency_limit} calls at once,"
        f" {made} of {evidence.limits.calls_per_second:g} starts a second"
        + (f", {bunched} that had bunched up refused and given back" if bunched else "")
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
