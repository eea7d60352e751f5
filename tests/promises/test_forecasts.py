"""Promise.FORECASTS: p10 and p90 are what they are called, and what happened is stored as the provider says."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from outdial.dialer.forecasting.forecast import CampaignForecast, Percentiles
from outdial.dialer.forecasting.record import ForecastOccasion, StoredForecast
from outdial.promises.forecasts import ForecastOutcome, check_forecasts
from tests.support.factories import NOW


def outcome(ended_after_h: float, cost_cents: float = 100.0, *, finished_at: datetime | None = None) -> ForecastOutcome:
    """Return a campaign that was forecast to take one to three hours and to cost from 50 to 150 cents."""
    last_end = NOW + timedelta(hours=ended_after_h)
    hours = [NOW + timedelta(hours=each) for each in (1, 2, 3)]
    forecast = CampaignForecast(
        made_at=NOW,
        contacts=10,
        past_calls=100,
        finish_at=Percentiles(*hours),
        cost_cents=Percentiles(50.0, 100.0, 150.0),
        calls=Percentiles(10.0, 15.0, 20.0),
    )
    stored = StoredForecast(
        id=UUID(int=1),
        made_for=ForecastOccasion.START,
        forecast=forecast,
        spent_cents=0.0,
        calls_made=0,
        finished_at=finished_at or last_end + timedelta(seconds=4),
        actual_cost_cents=cost_cents,
        actual_calls=15,
    )
    return ForecastOutcome(name="acme", stored=stored, last_end=last_end, cost_cents=cost_cents)


def test_forecasts_that_hold_as_often_as_they_say_are_reported() -> None:
    check = check_forecasts([outcome(2)] * 15 + [outcome(4)] * 5)

    assert check.holds
    assert check.examined == "15 of 20 ended within, 20 of 20 cost within"
    assert check_forecasts([]).holds


def test_forecasts_that_seldom_hold_are_refuted() -> None:
    check = check_forecasts([outcome(2)] * 9 + [outcome(2, cost_cents=500.0)] * 11)

    assert check.breaches == ["only 9 of 20 campaigns cost within p10 and p90 of their forecasts"]


def test_what_happened_must_be_what_the_provider_says() -> None:
    early = outcome(2, finished_at=NOW + timedelta(hours=1))
    dear = replace(outcome(2), cost_cents=120.0)

    [wrong_end], [wrong_cost] = (check_forecasts([each]).breaches for each in (early, dear))
    assert "its last call ended at 2026-03-10 19:00:00" in wrong_end
    assert wrong_cost == "acme: its calls cost 120.0000, stored is 100.0"
