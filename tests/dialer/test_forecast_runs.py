"""Forecasts beside what happens: 20 campaigns, dialed by the real dialer on the real tables in virtual time.

They have contacts in three states, calling hours and the shipped calling rules.
"""

from datetime import timedelta

import asyncpg
import pytest

from outdial.dialer.forecasting.record import StoredForecast
from outdial.promises.forecasts import check_forecasts
from tests.support.forecast_world import START, dial_set
from tests.support.postgres import Scratch

NEXT_DAY = START + timedelta(hours=8)


@pytest.mark.timeout(180)
async def test_at_least_16_of_20_seeded_runs_end_within_their_forecast(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    """Between p10 and p90 lie 16 of 20 on average: `benchmarks.forecast` measures more sets, this is one of them."""
    dialed = await dial_set(database.dsn_for, connection, 2)
    found = dialed.forecasts

    assert dialed.repeated == 0
    check = check_forecasts(dialed.outcomes)
    assert check.holds, check.breaches
    spent = await connection.fetchval("select sum(cost_cents) from calls")
    assert sum(each.is_finish_within is True for each in found) >= 16, [summary(each) for each in found]
    assert sum(each.is_cost_within is True for each in found) >= 16, [summary(each) for each in found]
    # The intervals say something: they are no single values, and twice as long or three times as much would not fit.
    for each in found:
        assert each.forecast.finish_at is not None
        assert each.forecast.finish_at.p10 < each.forecast.finish_at.p90
    # Nights are left out: an interval that reaches into the next morning is as long as the night.
    same_day = [each for each in found if each.forecast.finish_at and each.forecast.finish_at.p90 < NEXT_DAY]
    assert 5 <= len(same_day) <= 15
    assert sum(holds_twice_as_long(each) for each in same_day) <= len(same_day) / 5, [summary(each) for each in found]
    assert sum(each.forecast.cost_cents.holds(3 * (each.actual_cost_cents or 0)) for each in found) <= 6, [
        summary(each) for each in found
    ]
    assert sum(each.actual_cost_cents or 0 for each in found) < spent


def holds_twice_as_long(each: StoredForecast) -> bool:
    assert each.finished_at is not None
    assert each.forecast.finish_at is not None
    return each.forecast.finish_at.holds(each.finished_at + (each.finished_at - each.forecast.made_at))


def summary(each: StoredForecast) -> str:
    finish, made = each.forecast.finish_at, each.forecast.made_at
    assert each.finished_at is not None
    assert finish is not None
    times = [str(moment - made)[:7] for moment in (finish.p10, finish.p50, finish.p90, each.finished_at)]
    costs = [each.forecast.cost_cents.p10, each.forecast.cost_cents.p90, each.actual_cost_cents]
    return f"{times} {costs} {each.forecast.calls.p50} {each.actual_calls}"
