"""Starts stay below the provider's rate over any sequence of claims, and live calls below its limit."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.pacing import (
    HEADROOM,
    SLOWEST,
    Pace,
    after_capacity_refusal,
    after_slots,
    fair_share,
    free_slots,
    next_claim_at,
    recovered,
    spacing,
    start_slots,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
rates = st.one_of(st.integers(1, 2_000).map(float), st.floats(0.01, 50))
factors = st.sampled_from([1.0, 0.5, 0.25, 0.125, SLOWEST])
spans = st.timedeltas(timedelta(), timedelta(seconds=3))


def pace_of(rate: float, factor: float = 1.0, backoff_until: datetime | None = None) -> Pace:
    return Pace(rate, factor, NOW, backoff_until)


def most_in_one_second(starts: list[datetime]) -> int:
    # The fullest half-open window begins at a start.
    most = first = 0
    for index, start in enumerate(starts):
        while start - starts[first] >= SECOND:
            first += 1
        most = max(most, index - first + 1)
    return most


claims = st.lists(
    st.tuples(spans, st.integers(0, 60), spans, st.sampled_from(["claim", "claim", "claim", "refused", "recover"])),
    max_size=30,
)


@given(rates, claims)
def test_no_second_holds_more_starts_than_the_limit(
    rate: float, sequence: list[tuple[timedelta, int, timedelta, str]]
) -> None:
    pace, now, starts = pace_of(rate), NOW, list[datetime]()
    for wait, limit, horizon, action in sequence:
        now += wait
        if action == "refused":
            pace = after_capacity_refusal(pace, now, hold=2 * SECOND)
        elif action == "recover":
            pace = recovered(pace, now)
        slots = start_slots(pace, now, limit, horizon)
        pace = replace(pace, next_start_at=after_slots(pace, slots))
        starts += slots

    assert most_in_one_second(starts) <= max(1, math.floor(rate))
    least = timedelta(seconds=HEADROOM / rate)
    assert all(later - earlier >= least for earlier, later in pairwise(starts))


@given(st.integers(1, 2_000))
def test_a_steady_stream_uses_almost_the_whole_limit(rate: int) -> None:
    starts = start_slots(pace_of(rate), NOW, 10**6, 60 * SECOND)

    assert most_in_one_second(starts) <= rate
    assert len(starts) >= 60 * rate / HEADROOM * 0.9


@pytest.mark.parametrize("rate", [1, 2, 5, 16, 20, 50])
def test_starts_that_arrive_up_to_50_ms_late_stay_within_the_limit(rate: int) -> None:
    starts = start_slots(pace_of(rate), NOW, 10**6, 30 * SECOND)
    late = timedelta(milliseconds=49)
    worst = sorted(start + late * (index % (rate + 1) == 0) for index, start in enumerate(starts))

    assert most_in_one_second(worst) <= rate


@given(rates, factors, spans, st.integers(0, 60), spans)
def test_slots_rise_by_the_spacing_inside_the_horizon(
    rate: float, factor: float, ahead: timedelta, limit: int, horizon: timedelta
) -> None:
    pace = replace(pace_of(rate, factor), next_start_at=NOW + ahead)

    slots = start_slots(pace, NOW, limit, horizon)

    assert len(slots) <= limit
    assert all(NOW + ahead <= slot <= NOW + horizon for slot in slots)
    assert all(later - earlier == spacing(pace) for earlier, later in pairwise(slots))
    assert bool(slots) is (limit > 0 and ahead <= horizon)
    assert after_slots(pace, slots) == (slots[-1] + spacing(pace) if slots else NOW + ahead)


def test_a_start_long_overdue_is_allowed_now_and_earns_no_burst() -> None:
    pace = replace(pace_of(1), next_start_at=NOW - timedelta(days=1))

    assert start_slots(pace, NOW, 10, SECOND) == [NOW]


def test_a_fractional_limit_above_one_is_cut_and_one_below_is_kept() -> None:
    assert spacing(pace_of(1.5)) == timedelta(seconds=1.05)
    assert spacing(pace_of(0.5)) == timedelta(seconds=2.1)
    assert spacing(pace_of(4, factor=0.5)) == timedelta(seconds=0.525)


@given(rates, factors, spans, spans.filter(bool))
def test_the_next_claim_finds_a_start_and_comes_no_sooner_than_half_a_horizon_before(
    rate: float, factor: float, ahead: timedelta, horizon: timedelta
) -> None:
    pace = replace(pace_of(rate, factor), next_start_at=NOW + ahead)

    at = next_claim_at(pace, NOW, horizon)

    assert at >= NOW
    assert start_slots(pace, at, 1, horizon)
    assert at == NOW or pace.next_start_at - at <= horizon / 2 + timedelta(microseconds=1)


def test_claims_at_a_high_rate_come_by_the_half_horizon_not_by_the_token() -> None:
    pace, now, claims_made, started = pace_of(1_000), NOW, 0, 0
    while now < NOW + 10 * SECOND:
        slots = start_slots(pace, now, 10**6, SECOND)
        pace = replace(pace, next_start_at=after_slots(pace, slots))
        claims_made, started = claims_made + 1, started + len(slots)
        now = next_claim_at(pace, now, SECOND)

    assert claims_made <= 20
    assert started >= 9_000


def test_a_refusal_halves_the_rate_down_to_the_slowest() -> None:
    pace = pace_of(16)
    seen = []
    for _ in range(6):
        pace = after_capacity_refusal(pace, NOW, hold=30 * SECOND)
        seen.append(pace.rate_factor)

    assert seen == [0.5, 0.25, 0.125, SLOWEST, SLOWEST, SLOWEST]
    assert pace.backoff_until == NOW + 30 * SECOND
    assert pace.next_start_at == NOW + spacing(pace)


def test_a_refusal_never_brings_the_next_start_forward() -> None:
    far = NOW + timedelta(minutes=5)

    assert after_capacity_refusal(replace(pace_of(5), next_start_at=far), NOW, SECOND).next_start_at == far


def test_the_rate_recovers_when_the_backoff_has_passed_and_not_before() -> None:
    slow = after_capacity_refusal(pace_of(5), NOW, hold=30 * SECOND)

    assert recovered(slow, NOW + 29 * SECOND) is slow
    back = recovered(slow, NOW + 30 * SECOND)
    assert (back.rate_factor, back.backoff_until, back.next_start_at) == (1.0, None, slow.next_start_at)


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, 10),
        ({"live": 12}, 6),
        ({"live": 18}, 0),
        ({"live": 40}, 0),
        ({"share": 6}, 6),
        ({"share": 6, "live": 17}, 1),
        ({"campaign_limit": 5, "campaign_live": 2}, 3),
        ({"campaign_limit": 5, "campaign_live": 9}, 0),
        ({"campaign_limit": 0}, 0),
        ({"batch_size": 4}, 4),
        ({"reserved_inbound": 30}, 0),
    ],
)
def test_free_slots_are_the_least_of_share_campaign_and_batch(changes: dict[str, int | None], free: int) -> None:
    situation: dict[str, int | None] = {
        "concurrency_limit": 20,
        "reserved_inbound": 2,
        "live": 0,
        "campaign_limit": None,
        "campaign_live": 0,
        "batch_size": 10,
        "share": 18,
    }

    assert free_slots(**situation | changes) == free  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("capacity", "weight", "total_weight", "share"),
    [
        (18, 1, 1, 18),
        (18, 1, 3, 6),
        (17, 1, 3, 6),
        (18, 2, 3, 12),
        (20, 1, 257, 1),
        (20, 256, 257, 20),
        (0, 1, 2, 0),
        (5, 1, 0, 5),
    ],
)
def test_a_share_is_the_part_of_the_capacity_by_weight_rounded_up(
    capacity: int, weight: int, total_weight: int, share: int
) -> None:
    assert fair_share(capacity, weight, total_weight) == share
