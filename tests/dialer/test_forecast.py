"""Forecasts over virtual time: lines, hours, retries, caps and samples, without a database."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isclose
from zoneinfo import ZoneInfo

import pytest

from outdial.dialer.admission import LimitFacts, campaign_hours
from outdial.dialer.forecasting.assumptions import (
    DEFAULT_CALLS,
    USUAL_LIKENESS,
    CallAssumptions,
    DatedCall,
    PastCall,
    assume_calls,
    likeness_within_days,
)
from outdial.dialer.forecasting.forecast import CampaignForecast, ForecastGap, forecast_campaign, percentiles
from outdial.dialer.forecasting.open_times import OpenTimes
from outdial.dialer.forecasting.run_limits import ForecastBudget, ForecastNumber
from outdial.dialer.forecasting.simulation import SAMPLE, ContactGroup, ForecastFacts
from outdial.domain.outcomes import Outcome
from outdial.domain.pacing import Pace
from outdial.domain.place import Place
from outdial.domain.policies.budget import BudgetScope, BudgetUse, ClaimBudget, budget_day
from outdial.domain.policies.day_parts import DayPart
from outdial.domain.retry import DEFAULT_POLICY
from outdial.domain.rules import UNRESTRICTED
from outdial.rules.pack import shipped_rules
from tests.support.factories import ALL_DAY, NOW

OFFICE = '{"weekdays": [["09:00", "17:00"]]}'
NEW_YORK = Place("America/New_York", "US-NY")
ANSWERED = PastCall(Outcome.ANSWERED, 59.0, 10.0)
BUSY = PastCall(Outcome.BUSY, 3.0, 0.0)
MINUTE = timedelta(minutes=1)


def facts(
    contacts: float,
    *,
    lines: int = 10,
    calls: Sequence[PastCall] = (ANSWERED,),
    hours: str = ALL_DAY,
    max_attempts: int = 3,
    cap: int = 100,
    places: Sequence[Place] = (NEW_YORK,),
    **limits: object,
) -> ForecastFacts:
    """Return a new campaign whose calls go like `calls`; an account has 100 calls per second."""
    account: dict[str, object] = {
        "concurrency_limit": lines,
        "reserved_inbound": 0,
        "account_live": 0,
        "campaign_limit": None,
        "campaign_live": 0,
        "batch_size": 100,
        "sharers": 1,
        "pace": Pace(100.0, 1.0, NOW, None),
    }
    return ForecastFacts(
        start_at=NOW,
        groups=[
            ContactGroup(place=place, due_at=NOW, attempts=0, faults=0, contacts=contacts / len(places))
            for place in places
        ],
        hours=campaign_hours(hours, "sales", UNRESTRICTED),
        limits=LimitFacts(**(account | limits)),  # type: ignore[arg-type]
        horizon=timedelta(seconds=1),
        retry=DEFAULT_POLICY,
        max_attempts=max_attempts,
        daily_call_cap=cap,
        calls=known_calls(calls),
    )


def known_calls(calls: Sequence[PastCall]) -> CallAssumptions:
    """Return calls that go like `calls` on every day, as if a long history had shown it."""
    return CallAssumptions(
        first=calls, later=calls, past_calls=len(calls), independent_calls=1_000, calls_of_a_day=1_000
    )


def forecast(of: ForecastFacts, seed: int = 1) -> CampaignForecast:
    found = forecast_campaign(of, made_at=NOW, seed=seed, runs=10)
    assert isinstance(found, CampaignForecast), found
    return found


def about(moment: datetime, after: timedelta, within: float = 0.05) -> bool:
    return isclose((moment - NOW) / MINUTE, after / MINUTE, rel_tol=within)


@pytest.mark.parametrize(
    ("limits", "minutes"),
    [
        ({"lines": 10}, 10),
        ({"lines": 10, "campaign_limit": 5}, 20),
        ({"lines": 10, "reserved_inbound": 6}, 25),
        ({"lines": 10, "sharers": 2}, 20),
        ({"lines": 1_000, "pace": Pace(0.1, 1.0, NOW, None)}, 1_000 / 60 * 1.05 + 1),
    ],
)
def test_each_limit_of_the_account_decides_how_long_it_takes(limits: dict[str, object], minutes: float) -> None:
    found = forecast(facts(100, **limits))  # type: ignore[arg-type]

    assert about(found.finish_at.p50, minutes * MINUTE)
    assert found.cost_cents.p10 == found.cost_cents.p90 == 1_000
    assert found.calls.p50 == found.contacts == 100


@pytest.mark.parametrize(("contacts", "lines"), [(20_000, 20), (20_000, 1_000), (1_000_000, 300), (700, 40)])
def test_a_sample_of_a_large_campaign_takes_as_long_and_costs_as_much(contacts: int, lines: int) -> None:
    assert contacts > SAMPLE
    found = forecast(facts(contacts, lines=lines, pace=Pace(1_000.0, 1.0, NOW, None)))

    assert about(found.finish_at.p50, contacts / lines * MINUTE, within=0.06)
    assert isclose(found.cost_cents.p50, contacts * 10, rel_tol=0.01)


def test_a_large_sample_rests_outside_calling_hours_as_single_calls_do() -> None:
    # A Tuesday at 13:00 in New York: 4 hours remain, then 8 a day. 100,000 minutes of talk on 100 lines are 1,000.
    found = forecast(facts(100_000, lines=100, hours=OFFICE))

    first_day, whole_day, rest = 4 * 60, 8 * 60, 1_000 - 4 * 60 - 8 * 60
    assert whole_day > rest
    assert about(found.finish_at.p50, timedelta(days=2) - timedelta(hours=4) + rest * MINUTE, within=0.04)
    assert first_day + whole_day + rest == 1_000


def test_retries_wait_for_the_policy_the_hours_and_the_cap() -> None:
    unreached = PastCall(Outcome.NO_ANSWER, 30.0, 0.0)
    # After the default policy's half hour and 2 hours, the third attempt would ring at 15:33 in New York.
    same_day = forecast(facts(1, calls=[unreached], hours=OFFICE))
    capped = forecast(facts(1, calls=[unreached], hours=OFFICE, cap=2))

    assert same_day.calls.p50 == capped.calls.p50 == 3
    assert timedelta(minutes=150) < same_day.finish_at.p10 - NOW < timedelta(minutes=167)
    assert capped.finish_at.p10 - NOW >= timedelta(days=1)


def test_percentiles_widen_when_calls_go_in_different_ways() -> None:
    mixed = forecast(facts(50, calls=[ANSWERED, PastCall(Outcome.NO_ANSWER, 30.0, 0.0)]))

    assert mixed.cost_cents.p10 < mixed.cost_cents.p50 < mixed.cost_cents.p90
    assert mixed.finish_at.p10 < mixed.finish_at.p90


def test_the_same_seed_gives_the_same_forecast_and_another_one_does_not() -> None:
    campaign = facts(50, calls=DEFAULT_CALLS)

    assert forecast(campaign, seed=7) == forecast(campaign, seed=7)
    assert forecast(campaign, seed=7) != forecast(campaign, seed=8)


def test_calls_in_progress_hold_lines_and_end_before_the_forecast_does() -> None:
    begun = facts(0)
    live = ContactGroup(place=NEW_YORK, due_at=NOW, attempts=0, faults=0, contacts=10, is_calling=True)
    waiting = ContactGroup(place=NEW_YORK, due_at=NOW, attempts=0, faults=0, contacts=10)
    found = forecast(replace(begun, groups=[live, waiting]))

    assert about(found.finish_at.p50, 2 * MINUTE)


def test_no_forecast_says_why() -> None:
    never = campaign_hours(OFFICE, "sales", shipped_rules())
    closed = facts(3, places=[Place("America/New_York", "ZZ")])
    unknown_country = replace(closed, hours=never)

    assert forecast_campaign(facts(0), made_at=NOW, seed=1) is ForecastGap.NO_CONTACTS
    assert forecast_campaign(facts(3, reserved_inbound=10), made_at=NOW, seed=1) is ForecastGap.NO_LINES
    assert forecast_campaign(unknown_country, made_at=NOW, seed=1) is ForecastGap.NEVER_OPENS
    assert all(gap.sentence().startswith("No forecast: ") for gap in ForecastGap)


def test_open_times_agree_with_the_law_of_each_place() -> None:
    hours = campaign_hours('{"every_day": [["06:00", "23:00"]]}', "sales", shipped_rules())
    times, texas = OpenTimes(hours, NOW), Place("America/Chicago", "US-TX")

    at = NOW
    for _ in range(60):
        opens_at = times.opens_at(texas, at)
        assert opens_at is not None
        assert hours.at(texas).is_open(opens_at)
        if opens_at > at:
            assert not hours.at(texas).is_open(opens_at - timedelta(seconds=1))
        at = max(at + timedelta(hours=5, minutes=7), opens_at)


def budget(limit_cents: int, *, scope: BudgetScope = BudgetScope.CAMPAIGN, spent: int = 0) -> ForecastBudget:
    """Return a budget whose calls reserve 10 cents each; one of a day starts again at midnight in New York."""
    day = budget_day("America/New_York", NOW)
    use = BudgetUse(
        scope=scope,
        limit_cents=limit_cents,
        spent_cents=Decimal(spent),
        reserved_cents=Decimal(0),
        resets_at=day.next_day_at if scope is BudgetScope.DAY else None,
    )
    return ForecastBudget(ClaimBudget(uses=[use], estimate_cents=10, day=day.day), "America/New_York")


@pytest.mark.parametrize(("contacts", "left", "calls"), [(100, 300, 30), (20_000, 50_000, 5_000)])
def test_a_campaign_whose_budget_is_used_up_first_has_no_end(contacts: int, left: int, calls: int) -> None:
    found = forecast(replace(facts(contacts), budget=budget(left + 200, spent=200)))
    enough = forecast(replace(facts(contacts), budget=budget(contacts * 10 + 200)))

    assert found.finish_at is None
    assert found.unfinished_runs == 10
    assert (found.cost_cents.p90, found.calls.p90) == (left, calls)
    assert enough.finish_at is not None
    assert enough.budget_sentence is None


def test_a_budget_of_the_day_makes_a_campaign_go_on_the_next_day() -> None:
    found = forecast(replace(facts(100), budget=budget(450, scope=BudgetScope.DAY, spent=50)))
    large = forecast(replace(facts(20_000), budget=budget(90_000, scope=BudgetScope.DAY)))
    for contacts in (3, 20_000):
        assert forecast(replace(facts(contacts), budget=budget(9, scope=BudgetScope.DAY))).finish_at is None

    assert found.finish_at is not None
    # 40 calls on the first day, 45 on the second, the rest on the third.
    midnight = datetime(2026, 3, 12, 4, 0, tzinfo=UTC)
    assert midnight < found.finish_at.p10 <= found.finish_at.p90 < midnight + timedelta(hours=1)
    assert large.finish_at is not None
    assert timedelta(days=1) < large.finish_at.p50 - NOW < timedelta(days=3)


def test_caps_and_rests_of_the_caller_numbers_slow_a_campaign_down() -> None:
    capped = [ForecastNumber(daily_cap=30), ForecastNumber(daily_cap=10)]
    warming = [ForecastNumber(daily_cap=40, warm_up_days=3, warm_up_from=NOW)]
    resting = [ForecastNumber(rests_until=NOW + timedelta(hours=5))]

    assert forecast(facts(100)).finish_at.p90 - NOW < timedelta(hours=1)  # type: ignore[union-attr]
    for numbers, least, most in (
        (capped, timedelta(days=2), timedelta(days=2, hours=2)),
        (warming, timedelta(days=3), timedelta(days=3, hours=2)),
        (resting, timedelta(hours=5), timedelta(hours=6)),
        ([*resting, ForecastNumber()], timedelta(), timedelta(hours=1)),
    ):
        found = forecast(replace(facts(100), numbers=numbers))
        assert found.finish_at is not None
        assert least < found.finish_at.p50 - NOW < most, numbers


def test_a_sample_of_a_large_campaign_keeps_to_the_caps_of_its_numbers() -> None:
    found = forecast(replace(facts(20_000, lines=100), numbers=[ForecastNumber(daily_cap=2_000)]))

    assert found.finish_at is not None
    assert timedelta(days=8.5) < found.finish_at.p50 - NOW < timedelta(days=10.5)


def test_attempts_wait_for_their_part_of_the_day() -> None:
    # NOW is an afternoon in New York.
    parts = [DayPart.EVENING, DayPart.MORNING]
    unreached = PastCall(Outcome.NO_ANSWER, 30.0, 0.0)
    found = forecast(replace(facts(1, calls=[unreached], max_attempts=2), day_parts=parts))

    assert found.calls.p50 == 2
    assert found.finish_at is not None
    asked = [replace(group, is_callback=True) for group in facts(1).groups]
    called_back = forecast(replace(facts(1, calls=[ANSWERED]), groups=asked, day_parts=parts))
    assert called_back.finish_at is not None
    assert called_back.finish_at.p50 - NOW < timedelta(minutes=2)
    local = found.finish_at.p50.astimezone(ZoneInfo("America/New_York"))
    assert (local.date() - NOW.date()).days == 1
    assert local.hour < 12


def test_contacts_who_ask_for_it_are_called_back_twice_at_most() -> None:
    asks = PastCall(Outcome.ANSWERED, 59.0, 10.0, callback_after=timedelta(hours=3))
    found = forecast(facts(10, calls=[asks]))
    never = forecast(replace(facts(10, calls=[asks]), calls_back=False))

    assert (found.calls.p50, never.calls.p50) == (30, 10)
    assert found.finish_at is not None
    assert timedelta(hours=6) < found.finish_at.p50 - NOW < timedelta(hours=6, minutes=10)


def test_a_callback_that_is_not_reached_is_repeated_once_whatever_the_retry_policy_says() -> None:
    unreached = PastCall(Outcome.NO_ANSWER, 30.0, 0.0)
    asked = [replace(group, is_callback=True, attempts=1) for group in facts(1).groups]
    live = [replace(group, is_calling=True) for group in asked]
    repeated = [replace(group, callback_tries=1) for group in asked]
    last_attempt = facts(1, calls=[unreached], max_attempts=1)

    for groups, calls, longest in ((asked, 2, 32), (live, 2, 32), (repeated, 1, 1)):
        found = forecast(replace(last_attempt, groups=groups))
        assert found.calls.p50 == calls, groups
        assert found.finish_at is not None
        assert (longest - 2) * MINUTE < found.finish_at.p50 - NOW <= longest * MINUTE
    # Afterwards the retry policy goes on: half an hour and 2 hours later in the default one.
    found = forecast(replace(facts(1, calls=[unreached]), groups=[replace(asked[0], attempts=0)]))
    assert found.calls.p50 == 3
    faster = forecast(replace(last_attempt, groups=asked, callback_retry=MINUTE))
    assert faster.finish_at is not None
    assert faster.finish_at.p50 - NOW < 3 * MINUTE


def past(calls: int, *, day: int = 0, attempt: int = 1, call: PastCall = ANSWERED) -> list[DatedCall]:
    return [DatedCall(attempt, date(2026, 3, 1) + timedelta(days=day), call)] * calls


def test_few_past_calls_are_filled_up_with_defaults() -> None:
    few = assume_calls(past(10))
    enough = assume_calls(past(80) + past(60, attempt=2, call=BUSY))

    assert (len(few.first), few.past_calls) == (100, 10)
    assert {call.outcome for call in few.first} == {call.outcome for call in DEFAULT_CALLS}
    assert {call.outcome for call in enough.first} == {Outcome.ANSWERED}
    assert {call.outcome for call in enough.later} == {Outcome.BUSY}


def test_a_run_draws_a_history_of_its_own_for_each_kind_of_attempt() -> None:
    drawn = assume_calls(past(300) + past(100, attempt=2, call=BUSY)).history_of_a_run(random.Random(1))
    mixed = assume_calls(past(50) + past(50, call=BUSY))

    assert {call.outcome for call in drawn.first} == {Outcome.ANSWERED}
    assert {call.outcome for call in drawn.later} == {Outcome.BUSY}
    assert isclose(len(drawn.first) / len(drawn.later), 3, rel_tol=0.05)
    shares = {
        sum(call == BUSY for call in mixed.history_of_a_run(random.Random(seed)).first) / mixed.independent_calls
        for seed in range(40)
    }
    assert min(shares) < 0.4 < 0.6 < max(shares)


def test_calls_of_one_day_count_as_fewer_than_calls_of_many_days() -> None:
    one_day = assume_calls(past(500) + past(500, call=BUSY))
    many_days = assume_calls([call for day in range(20) for call in past(25, day=day) + past(25, day=day, call=BUSY)])
    no_history = assume_calls([])

    assert (one_day.independent_calls, one_day.calls_of_a_day) == (91, 100)
    assert many_days.independent_calls > 900
    assert many_days.calls_of_a_day > 500
    assert no_history.independent_calls == 20


def test_days_that_differ_make_the_days_of_a_run_differ() -> None:
    unlike = [call for day in range(20) for call in past(50, day=day, call=ANSWERED if day % 2 else BUSY)]
    alike = [call for day in range(20) for call in past(25, day=day) + past(25, day=day, call=BUSY)]

    assert likeness_within_days(unlike) > 0.8
    assert likeness_within_days(alike) < 0.005
    assert likeness_within_days(past(1_000)) == USUAL_LIKENESS
    assert assume_calls(unlike).independent_calls < 30


def test_a_short_history_makes_a_forecast_less_certain_than_a_long_one() -> None:
    long = assume_calls([call for day in range(20) for call in past(25, day=day) + past(25, day=day, call=BUSY)])
    short = assume_calls(past(50) + past(50, call=BUSY))

    def width(calls: CallAssumptions) -> float:
        found = forecast_campaign(replace(facts(200, max_attempts=1), calls=calls), made_at=NOW, seed=3, runs=20)
        assert isinstance(found, CampaignForecast)
        return found.cost_cents.p90 - found.cost_cents.p10

    assert width(short) > 1.5 * width(long)


def test_percentiles_are_values_that_occur() -> None:
    assert percentiles([float(value) for value in range(40, 0, -1)]) == percentiles([float(n) for n in range(1, 41)])
    spread = percentiles([float(value) for value in range(1, 41)])
    assert (spread.p10, spread.p90) == (4, 37)
    assert spread.holds(4)
    assert not spread.holds(3.9)


def test_between_p10_and_p90_lie_eight_of_ten_further_values() -> None:
    chance, inside = random.Random(1), 0
    for _ in range(1_000):
        inside += percentiles([chance.random() for _ in range(40)]).holds(chance.random())

    assert 0.77 < inside / 1_000 < 0.84
