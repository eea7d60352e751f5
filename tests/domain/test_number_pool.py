"""Choosing the caller number of a call, and when a number rests."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.policies.number_pool import (
    BLOCKED_IN_A_ROW,
    COMPARED_CALLS,
    ChosenNumber,
    NumberChoice,
    NumberFigures,
    NumberPool,
    NumbersBusy,
    PoolNumber,
    RestReason,
    cap_of_day,
    rest_after,
    seldom_answered,
)

NOW = datetime(2026, 3, 10, 17, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
SAN_FRANCISCO, OAKLAND, NEW_YORK, LONDON = "+14155550100", "+15105550100", "+12125550100", "+442079460100"
PHONE = "+14155550199"


def number(phone: str, **facts: object) -> PoolNumber:
    return replace(PoolNumber(phone=phone), **facts)  # type: ignore[arg-type]


def chosen(pool: NumberPool, phone: str = PHONE, **given: object) -> ChosenNumber | NumbersBusy:
    return pool.choose(phone, ["US-CA"], **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("numbers", "last", "expected", "reason"),
    [
        ([SAN_FRANCISCO, OAKLAND, NEW_YORK], NEW_YORK, NEW_YORK, NumberChoice.LAST),
        ([NEW_YORK, OAKLAND, SAN_FRANCISCO], None, SAN_FRANCISCO, NumberChoice.SAME_AREA_CODE),
        ([NEW_YORK, OAKLAND, LONDON], None, OAKLAND, NumberChoice.SAME_STATE),
        ([LONDON, NEW_YORK], None, NEW_YORK, NumberChoice.SAME_COUNTRY),
        ([LONDON, "+4930123456"], None, LONDON, NumberChoice.LEAST_USED),
        ([NEW_YORK], None, NEW_YORK, NumberChoice.ONLY),
        ([SAN_FRANCISCO, OAKLAND], "+19995550100", SAN_FRANCISCO, NumberChoice.SAME_AREA_CODE),
    ],
)
def test_the_nearest_number_is_chosen(
    numbers: list[str], last: str | None, expected: str, reason: NumberChoice
) -> None:
    pool = NumberPool([number(phone) for phone in numbers], NOW)
    assert chosen(pool, last=last) == ChosenNumber(expected, reason)


def test_of_equally_near_numbers_the_one_with_the_fewest_calls_is_chosen_and_each_choice_counts() -> None:
    pool = NumberPool([number(f"+1415555010{last}", calls=last) for last in range(3)], NOW)
    assert [chosen(pool).phone[-1] for _ in range(6)] == ["0", "1", "0", "2", "1", "0"]  # type: ignore[union-attr]


def test_numbers_with_many_calls_take_turns_and_the_one_whose_last_call_is_the_longest_ago_goes_first() -> None:
    counts = {0: 5000, 1: COMPARED_CALLS, 2: COMPARED_CALLS + 7}
    numbers = [
        number(f"+1415555010{last}", calls=calls, last_call_at=NOW - last * timedelta(minutes=1))
        for last, calls in counts.items()
    ]
    pool = NumberPool(numbers, NOW)
    assert [chosen(pool).phone[-1] for _ in range(6)] == ["2", "1", "0", "2", "1", "0"]  # type: ignore[union-attr]
    pool = NumberPool([*numbers, number("+14155550109", calls=COMPARED_CALLS - 1, last_call_at=NOW)], NOW)
    assert [chosen(pool).phone[-1] for _ in range(2)] == ["9", "2"]  # type: ignore[union-attr]


def test_a_number_that_was_blocked_for_a_phone_or_rests_or_is_capped_is_not_chosen() -> None:
    capped = number(OAKLAND, daily_cap=10, calls=10, cap_frees_at=LATER)
    resting = number(SAN_FRANCISCO, rests_until=LATER + timedelta(hours=1))
    pool = NumberPool([resting, capped, number(NEW_YORK)], NOW)
    assert chosen(pool) == ChosenNumber(NEW_YORK, NumberChoice.SAME_COUNTRY)
    busy = chosen(pool, avoid=[NEW_YORK])
    assert busy == NumbersBusy(until=LATER, numbers=2, resting=1, capped=1)
    assert busy.sentence("at three") == (
        "No caller number is free: 1 resting, 1 at its daily cap; the first is free at three"
    )
    assert pool.wait() is None
    assert NumberPool([resting], NOW).wait() == NumbersBusy(until=resting.rests_until, numbers=1, resting=1, capped=0)
    assert NumberPool([resting], LATER + timedelta(hours=1)).wait() is None


def test_a_cap_and_an_untested_number_limit_the_calls_of_a_claim() -> None:
    capped = number(NEW_YORK, daily_cap=10, calls=8)
    untested = number(OAKLAND, is_tested=False)
    suspected = number(SAN_FRANCISCO, blocked_in_a_row=2)
    assert NumberPool([capped], NOW).room() == 2
    assert NumberPool([untested], NOW).room() is None
    pool = NumberPool([capped, untested, suspected], NOW)
    assert pool.room() == 2 + 3 + 1
    taken = [chosen(pool) for _ in range(7)]
    assert sum(isinstance(each, ChosenNumber) for each in taken) == 6
    assert taken[-1] == NumbersBusy(until=None, numbers=3, resting=0, capped=1)
    assert "2 waiting for the end of a call" in taken[-1].sentence("")


@pytest.mark.parametrize(
    ("blocked", "reason"),
    [
        ([], None),
        ([True, True], None),
        ([True, True, True], RestReason.BLOCKED_IN_A_ROW),
        ([False, True, True, True], None),
        ([False, True] * 2 + [True] + [False] * 44, None),  # 49 calls are too few for a share
        ([False, True] * 2 + [True] + [False] * 45, RestReason.BLOCKED_SHARE),
        ([False, True] * 2 + [False] * 46, None),
        ([False] * 47 + [True] * 2 + [False] + [True], None),  # the 51st does not count
    ],
)
def test_a_number_rests_after_three_blocked_calls_in_a_row_or_five_percent_of_fifty(
    blocked: list[bool], reason: RestReason | None
) -> None:
    assert rest_after(blocked) is reason


def test_a_number_that_is_answered_half_as_often_as_the_others_rests() -> None:
    def figures(phone: str, calls: int, answered: int) -> NumberFigures:
        return NumberFigures(phone=phone, calls=calls, answered=answered)

    good, fair, poor = figures("a", 100, 40), figures("b", 100, 30), figures("c", 100, 17)
    assert seldom_answered([good, fair, poor]) == ["c"]
    assert seldom_answered([good, fair, replace(poor, answered=18)]) == []
    # At exactly half of 36 % it rests.
    assert seldom_answered([good, replace(fair, answered=32), replace(poor, answered=18)]) == ["c"]
    assert seldom_answered([figures("a", 315, 63), figures("b", 70, 7)]) == ["b"]
    assert seldom_answered([good, replace(poor, calls=49, answered=0)]) == []
    assert seldom_answered([replace(good, calls=49, answered=49), poor]) == []
    assert seldom_answered([poor]) == []
    assert seldom_answered([replace(good, answered=0), replace(poor, answered=0)]) == []


@pytest.mark.parametrize(
    ("days", "hours", "cap"),
    [(4, 0, 20), (4, 23, 20), (4, 24, 40), (4, 95, 80), (4, 96, 100), (0, 0, 100), (4, -5, 20)],
)
def test_the_cap_of_a_new_number_grows_in_even_steps(days: int, hours: int, cap: int) -> None:
    since = NOW - timedelta(hours=hours)
    assert cap_of_day(100, warm_up_days=days, warm_up_from=since, now=NOW) == cap
    assert cap_of_day(None, warm_up_days=days, warm_up_from=since, now=NOW) is None
    assert cap_of_day(1, warm_up_days=days, warm_up_from=since, now=NOW) == 1


facts = st.builds(
    PoolNumber,
    phone=st.sampled_from([f"+1415555{last:04}" for last in range(20)]),
    calls=st.integers(0, 6),
    live=st.integers(0, 4),
    daily_cap=st.none() | st.integers(1, 8),
    blocked_in_a_row=st.integers(0, 3),
    is_tested=st.booleans(),
    rests_until=st.none() | st.just(NOW) | st.just(LATER),
)


@given(numbers=st.lists(facts, min_size=1, max_size=6, unique_by=lambda each: each.phone), calls=st.integers(1, 30))
def test_no_claim_passes_a_cap_a_rest_or_the_calls_that_may_be_blocked_before_one(
    numbers: list[PoolNumber], calls: int
) -> None:
    pool = NumberPool(numbers, NOW)
    room = pool.room()
    made = [each.phone for each in [chosen(pool) for _ in range(calls)] if isinstance(each, ChosenNumber)]
    assert len(made) == (calls if room is None else min(calls, room))
    for one in numbers:
        count = made.count(one.phone)
        if count and one.daily_cap is not None:
            assert one.calls + count <= one.daily_cap
        if count and one.blocked_in_a_row:
            assert one.blocked_in_a_row + one.live + count <= BLOCKED_IN_A_ROW
        assert not count or one.rests_until != LATER
