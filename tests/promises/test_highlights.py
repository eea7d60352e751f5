"""The demo's report says what became of callbacks, caller numbers, the budget and the forecast."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from outdial.db.queries.evidence import AccountLimits, DayPartCount, NumberRest, VoicemailCount
from outdial.dialer.forecasting.forecast import CampaignForecast, Percentiles
from outdial.domain.policies.budget import BudgetScope, BudgetUse
from outdial.promises.checks import RunEvidence
from outdial.promises.highlights import ForecastOfRest, Highlights
from tests.promises.test_checks import START, provider_call

GOOD, SPAM = "+12125550100", "+13125550100"
RUN = RunEvidence(
    requests=[],
    provider_calls=[
        *(provider_call(number, from_number=GOOD) for number in range(4)),
        *(provider_call(number, from_number=SPAM, disconnection_reason="marked_as_spam") for number in range(4, 7)),
    ],
    calls=[],
    contacts=[],
    campaigns=[],
    limits=AccountLimits(credential="default", concurrency_limit=1, calls_per_second=1.0),
    rests=[NumberRest(phone=SPAM, since=START, until=START + timedelta(hours=24), calls=0)],
)
SHOWN = Highlights(
    callback_delays=[0.2, 0.7],
    voicemail=VoicemailCount(reached=21, left_for=17),
    day_parts=[DayPartCount(part="morning", calls=3, waiting=0), DayPartCount(part="afternoon", calls=0, waiting=3)],
    budget=BudgetUse(
        scope=BudgetScope.CAMPAIGN, limit_cents=6000, spent_cents=Decimal("1517.4"), reserved_cents=Decimal(12)
    ),
    forecast=ForecastOfRest(
        forecast=CampaignForecast(
            made_at=START,
            contacts=200,
            past_calls=90,
            finish_at=Percentiles(*(START + timedelta(seconds=seconds) for seconds in (20, 23, 27))),
            cost_cents=Percentiles(545.0, 800.0, 1256.0),
            calls=Percentiles(279.0, 300.0, 336.0),
        ),
        calls_made=90,
        spent_cents=634.0,
    ),
    finished_at=START + timedelta(seconds=24.4),
    calls=390,
    spent_cents=1517.4,
)


def test_each_part_of_the_demo_is_a_line() -> None:
    assert SHOWN.numbers(RUN) == {
        "calls by caller number": f"4 from {GOOD}; 3 from {SPAM}, 3 of them blocked, rests until 2026-03-11 17:00 UTC",
        "callbacks": "2 made, the latest 0.7 s after the time asked for",
        "voicemail messages": "left for 17 contacts; 21 calls reached a voicemail",
        "parts of the day": "3 calls in the morning; 0 calls in the afternoon, 3 contacts wait for it",
        "budget of the campaign": "$60.00: $15.17 spent, $0.12 reserved for calls of unknown cost, $44.71 left",
        "forecast after 90 calls": "279 to 336 more calls for $5.45 to $12.56, done in 20 to 27 s (p10 to p90)",
        "what happened then": "300 more calls for $8.83, done in 24 s",
    }


def test_a_run_without_callbacks_and_forecast_says_so() -> None:
    numbers = replace(SHOWN, callback_delays=[], forecast=None).numbers(replace(RUN, rests=[]))
    assert numbers["callbacks"] == "none"
    assert str(numbers["calls by caller number"]).endswith("3 of them blocked")
    assert "what happened then" not in numbers
