"""What happens to a contact after a call: completed, failed, review, or a retry."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias, assert_never

from outdial.domain.errors import InvalidRetryPolicy
from outdial.domain.limits import LONGEST_DELAY_DAYS, RETRY_ATTEMPTS
from outdial.domain.outcomes import RETRYABLE, Outcome, RetryClass
from outdial.domain.policies.durations import read_duration

_LONGEST = timedelta(days=LONGEST_DELAY_DAYS)
_SETTINGS = frozenset({"jitter", "fault_delay", "fault_delay_max", "max_faults"})

_REVIEW_REASONS = {
    Outcome.CALLBACK_REQUESTED: "the contact asked for a callback; decide when to call again",
    Outcome.BLOCKED: "the caller number was marked as spam or blocked by the network; call from another number",
}


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often and how soon to call again after one outcome.

    `delays[k - 1]` follows the contact's k-th charged attempt, and the last delay repeats. `max_attempts` counts
    all charged attempts of the contact, as the campaign's cap does; the smaller of the two holds.
    """

    delays: tuple[timedelta, ...]
    max_attempts: int | None = None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The rules of a campaign: per outcome, and for faults, which charge no attempt.

    A delay is stretched by a factor between 1 and 1 + `jitter`. After fault k the delay is `fault_delay` times
    2 ** (k - 1), at most `fault_delay_max` before jitter; fault number `max_faults` sends the contact to review.
    """

    rules: Mapping[Outcome, RetryRule]
    jitter: float
    fault_delay: timedelta
    fault_delay_max: timedelta
    max_faults: int

    def last_attempt(self, outcome: Outcome, max_attempts: int) -> int:
        """Return the attempt after which no other one follows this outcome; `max_attempts` is the campaign's cap.

        Attempts with other outcomes may be more: one that ends with this outcome then is the last one too.
        """
        rule = self.rules.get(outcome)
        if rule is None:
            return 1
        return max_attempts if rule.max_attempts is None else min(max_attempts, rule.max_attempts)

    def most_attempts(self, max_attempts: int) -> int:
        """Return how many attempts a contact can have, with whatever outcomes."""
        return max((self.last_attempt(outcome, max_attempts) for outcome in self.rules), default=1)

    def faster(self, speed: float) -> "RetryPolicy":
        """Return the policy with every delay divided by `speed`, for simulated calls in simulated time."""
        rules = {
            outcome: replace(rule, delays=tuple(delay / speed for delay in rule.delays))
            for outcome, rule in self.rules.items()
        }
        return replace(
            self,
            rules=MappingProxyType(rules),
            fault_delay=self.fault_delay / speed,
            fault_delay_max=self.fault_delay_max / speed,
        )


DEFAULT_POLICY = RetryPolicy(
    rules=MappingProxyType(
        {
            Outcome.NO_ANSWER: RetryRule((timedelta(minutes=30), timedelta(hours=2), timedelta(days=1))),
            Outcome.BUSY: RetryRule((timedelta(minutes=10), timedelta(minutes=30), timedelta(hours=2))),
            Outcome.VOICEMAIL: RetryRule((timedelta(hours=4), timedelta(days=1))),
            Outcome.IVR: RetryRule((timedelta(days=1),), max_attempts=2),
            Outcome.DECLINED: RetryRule((timedelta(days=1),), max_attempts=2),
        }
    ),
    jitter=0.1,
    fault_delay=timedelta(minutes=1),
    fault_delay_max=timedelta(hours=1),
    max_faults=10,
)


@dataclass(frozen=True, slots=True)
class Complete:
    """The contact is completed."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The contact has failed, for the given reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Review:
    """A member must review the contact, for the given reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The contact is due again at a time. `charged` is True if the call used an attempt."""

    at: datetime
    charged: bool


ContactStep: TypeAlias = Complete | Fail | Review | RetryAt


def next_step(
    policy: RetryPolicy,
    outcome: Outcome,
    *,
    attempts: int,
    faults: int,
    max_attempts: int,
    has_other_number: bool = False,
    ended_at: datetime,
    seed: bytes,
) -> ContactStep:
    """Return the next step for the contact of a call that has ended.

    `attempts` and `faults` are the contact's counts before this call, `max_attempts` the campaign's cap, `seed`
    the call id's bytes: the same seed gives the same jitter. `has_other_number` says whether the campaign has a caller
    number that was not blocked for the contact: after a blocked call, it is called from there.
    """
    fraction = int.from_bytes(hashlib.blake2b(seed, digest_size=6).digest(), "big") / 2**48
    stretch = 1 + policy.jitter * fraction
    match outcome.retry_class:
        case RetryClass.DONE:
            return Complete()
        case RetryClass.RETRY:
            return _after_attempt(
                policy, outcome=outcome, made=attempts + 1, cap=max_attempts, ended_at=ended_at, stretch=stretch
            )
        case RetryClass.FAULT:
            return _after_fault(policy, outcome=outcome, met=faults + 1, ended_at=ended_at, stretch=stretch)
        case RetryClass.ACCOUNT:
            return RetryAt(ended_at + policy.fault_delay * stretch, charged=False)
        case RetryClass.FINAL | RetryClass.DO_NOT_CALL:
            return Fail(outcome)
        case RetryClass.HOLD if outcome is Outcome.BLOCKED and has_other_number:
            return RetryAt(ended_at + policy.fault_delay * stretch, charged=False)
        case RetryClass.HOLD:
            unnamed = f"the call ended with outcome {outcome}; decide whether to call again"
            return Review(_REVIEW_REASONS.get(outcome, unnamed))
        case never:
            assert_never(never)


def parse_retry_policy(raw: Mapping[str, object]) -> RetryPolicy:
    """Return the policy written in `campaigns.retry_policy`; raise InvalidRetryPolicy naming the key.

    The form is `{"no_answer": {"delays": ["30m", "2h"], "max_attempts": 3}, "jitter": 0.1, "fault_delay": "1m",
    "fault_delay_max": "1h", "max_faults": 10}`; a duration is `<n>s`, `m`, `h` or `d`, or an int of seconds, at
    most 30 days. Whatever is left out is taken from DEFAULT_POLICY, also within a rule.
    """
    unknown = raw.keys() - _SETTINGS - RETRYABLE
    if unknown:
        known = ", ".join(sorted(_SETTINGS | RETRYABLE))
        raise InvalidRetryPolicy(f"unknown key {min(unknown)!r}; use {known}")
    rules = {
        outcome: _parse_rule(outcome, raw[outcome], rule) if outcome in raw else rule
        for outcome, rule in DEFAULT_POLICY.rules.items()
    }
    fault_delay = _parse_duration("fault_delay", raw.get("fault_delay", "1m"))
    fault_delay_max = max(fault_delay, DEFAULT_POLICY.fault_delay_max)
    if "fault_delay_max" in raw:
        fault_delay_max = _parse_duration("fault_delay_max", raw["fault_delay_max"])
    if fault_delay_max < fault_delay:
        raise InvalidRetryPolicy("fault_delay_max: must be at least as long as fault_delay")
    jitter = raw.get("jitter", DEFAULT_POLICY.jitter)
    if not isinstance(jitter, int | float) or isinstance(jitter, bool) or not 0 <= jitter <= 1:
        raise InvalidRetryPolicy(f"jitter: {jitter!r} is not a number from 0 to 1")
    return RetryPolicy(
        rules=MappingProxyType(rules),
        jitter=float(jitter),
        fault_delay=fault_delay,
        fault_delay_max=fault_delay_max,
        max_faults=_parse_count("max_faults", raw.get("max_faults", DEFAULT_POLICY.max_faults)),
    )


def _after_attempt(
    policy: RetryPolicy, outcome: Outcome, made: int, cap: int, ended_at: datetime, stretch: float
) -> ContactStep:
    rule = policy.rules.get(outcome)
    if rule is None:
        return Fail(f"{outcome}, and the retry policy has no rule for it")
    if made >= policy.last_attempt(outcome, cap):
        return Fail(f"{outcome} after {made} attempt{'' if made == 1 else 's'}")
    delay = rule.delays[min(made, len(rule.delays)) - 1]
    return RetryAt(ended_at + delay * stretch, charged=True)


def _after_fault(policy: RetryPolicy, outcome: Outcome, met: int, ended_at: datetime, stretch: float) -> ContactStep:
    if met >= policy.max_faults:
        return Review(f"{met} fault{'' if met == 1 else 's'}, most recently {outcome}")
    delay = min(policy.fault_delay * 2 ** min(met - 1, 24), policy.fault_delay_max)
    return RetryAt(ended_at + delay * stretch, charged=False)


def _parse_rule(key: str, raw: object, default: RetryRule) -> RetryRule:
    if not isinstance(raw, Mapping):
        raise InvalidRetryPolicy(f'{key}: must be an object, such as {{"delays": ["30m"], "max_attempts": 3}}')
    unknown = raw.keys() - {"delays", "max_attempts"}
    if unknown:
        raise InvalidRetryPolicy(f"{key}: unknown key {min(unknown)!r}; use delays, max_attempts")
    delays, max_attempts = default.delays, default.max_attempts
    if "delays" in raw:
        written = raw["delays"]
        if not isinstance(written, list | tuple) or not written:
            raise InvalidRetryPolicy(f'{key}.delays: must be a list of durations, such as ["30m", "2h", "1d"]')
        delays = tuple(_parse_duration(f"{key}.delays", item) for item in written)
    if "max_attempts" in raw:
        max_attempts = _parse_count(f"{key}.max_attempts", raw["max_attempts"])
    return RetryRule(delays, max_attempts)


def _parse_duration(key: str, raw: object) -> timedelta:
    duration = read_duration(raw) if isinstance(raw, str) else None
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 < raw <= _LONGEST.total_seconds():
        duration = timedelta(seconds=raw)
    if duration is None or not timedelta() < duration <= _LONGEST:
        raise InvalidRetryPolicy(
            f"{key}: {raw!r} is not a duration; write it as 90s, 30m, 2h or 1d, up to {_LONGEST.days}d"
        )
    return duration


def _parse_count(key: str, raw: object) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or raw not in RETRY_ATTEMPTS:
        raise InvalidRetryPolicy(f"{key}: {raw!r} is not a whole number {RETRY_ATTEMPTS}")
    return raw
