"""Arithmetic of the limits: when calls may start, and how many may be live at once."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

HEADROOM = 1.05
"""Starts are HEADROOM / calls_per_second apart: requests that arrive up to 50 ms unevenly stay within the limit."""

LATENESS = timedelta(milliseconds=20)
"""A request may leave this late: with the network's own unevenness, it stays within HEADROOM."""

_UNLIMITED = timedelta(microseconds=50)

SLOWEST = 1 / 16
"""The smallest `rate_factor`: repeated refusals slow an account down but never stop it."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """The pacing state of a provider account.

    `calls_per_second` is the provider's limit, above 0, fractions allowed; `rate_factor` is 1.0, or less after
    capacity refusals, until `backoff_until`; no call starts before `next_start_at`.
    """

    calls_per_second: float
    rate_factor: float
    next_start_at: datetime
    backoff_until: datetime | None


def spacing(pace: Pace) -> timedelta:
    """Return the time between two starts, in whole microseconds, rounded up.

    With a limit of n calls per second, n + 1 starts span n spacings, at least HEADROOM seconds, so no half-open
    second holds more than n. A fraction above 1 is cut (1.5 would let 2 starts into some seconds); a limit
    below 1 is kept as it is (one start in 1 / limit seconds).
    """
    limit = pace.calls_per_second
    whole = math.floor(limit) if limit >= 1 else limit
    return math.ceil(HEADROOM / (whole * pace.rate_factor) * 1_000_000) * _MICROSECOND


def is_unlimited(step: timedelta) -> bool:
    """Return whether starts are allowed faster than ten processes could send requests: 20,000 a second."""
    return step < _UNLIMITED


def start_slots(pace: Pace, now: datetime, limit: int, horizon: timedelta) -> list[datetime]:
    """Return at most `limit` start times, a spacing apart, from `now` or `next_start_at` to `now + horizon`.

    The first may lie on `now + horizon` itself. Commit `after_slots` with the claim: the bound on starts per
    second then holds over any sequence of claims, by any number of processes.
    """
    first, step = max(now, pace.next_start_at), spacing(pace)
    room = (now + horizon - first) // step + 1
    return [first + step * index for index in range(min(limit, room))]


def after_slots(pace: Pace, slots: list[datetime]) -> datetime:
    """Return the new `next_start_at` once `slots` are taken."""
    return slots[-1] + spacing(pace) if slots else pace.next_start_at


def next_claim_at(pace: Pace, now: datetime, horizon: timedelta) -> datetime:
    """Return when the next claim pays: half a horizon before the next start is allowed, or `now`.

    A claim then gets at least one start at low rates, and half a horizon of starts at high rates.
    """
    return max(now, pace.next_start_at - horizon / 2)


def after_capacity_refusal(pace: Pace, now: datetime, hold: timedelta) -> Pace:
    """Return the pace after the provider refused for capacity (429): half the rate for `hold`, at least SLOWEST.

    Call it once for a batch with refusals, not once per refused call.
    """
    slower = replace(pace, rate_factor=max(SLOWEST, pace.rate_factor / 2), backoff_until=now + hold)
    return replace(slower, next_start_at=max(pace.next_start_at, now + spacing(slower)))


def recovered(pace: Pace, now: datetime) -> Pace:
    """Return the pace at its full rate once `backoff_until` has passed, else unchanged.

    The rate recovers in one step: starts stay spaced, so there is no burst, and the next refusal halves it again.
    """
    if pace.backoff_until is None or now < pace.backoff_until:
        return pace
    return replace(pace, rate_factor=1.0, backoff_until=None)


def fair_share(capacity: int, weight: int, total_weight: int) -> int:
    """Return how many live calls a campaign may hold: its part of the capacity by weight, rounded up.

    `total_weight` is that of all campaigns that want to call, this one included.
    """
    return -(-capacity * weight // max(weight, total_weight))


def free_slots(
    *,
    concurrency_limit: int,
    reserved_inbound: int,
    live: int,
    campaign_limit: int | None,
    campaign_live: int,
    batch_size: int,
    share: int,
) -> int:
    """Return how many calls a campaign may claim now, never below 0.

    `live` counts the account's live calls, `campaign_live` the campaign's. `share` is the campaign's `fair_share`.
    """
    capacity = concurrency_limit - reserved_inbound
    most = share if campaign_limit is None else min(share, campaign_limit)
    return max(0, min(capacity - live, most - campaign_live, batch_size))
