"""Checks Promise.FORECASTS: p10 and p90 of forecasts are what they are called.

The provider is the witness of what happened: when the last call of a campaign ended, and what its calls cost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import comb
from typing import Final

from outdial.dialer.forecasting.record import StoredForecast
from outdial.promises.checks import PromiseCheck
from outdial.promises.promise import Promise

SHARE: Final = 0.8
"""So many of the campaigns should end, and cost, between p10 and p90."""
REFUTED_BELOW: Final = 0.001
"""Forecasts are refuted if so few of them hold that SHARE would lead to as few with a lower probability only."""
LATEST: Final = timedelta(minutes=11)
"""A campaign completes so long after the end of its last call: its contact may wait 10 minutes for the analysis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastOutcome:
    """A forecast from before the first call of a campaign, and what the provider's records say of its calls."""

    name: str
    stored: StoredForecast
    last_end: datetime
    cost_cents: float


def check_forecasts(outcomes: Sequence[ForecastOutcome]) -> PromiseCheck:
    """Report how many forecasts hold; a breach is a wrong record of what happened, or far too few that hold."""
    total = len(outcomes)
    ends = sum(each.stored.is_finish_within is True for each in outcomes)
    costs = sum(each.stored.is_cost_within is True for each in outcomes)
    breaches = [breach for each in outcomes for breach in _misreported(each)]
    breaches += [
        f"only {held} of {total} campaigns {what} within p10 and p90 of their forecasts"
        for held, what in ((ends, "ended"), (costs, "cost"))
        if _at_most(held, total) < REFUTED_BELOW
    ]
    return PromiseCheck(
        promise=Promise.FORECASTS,
        examined=f"{ends} of {total} ended within, {costs} of {total} cost within",
        breaches=breaches,
    )


def _misreported(outcome: ForecastOutcome) -> Iterator[str]:
    stored = outcome.stored
    if stored.finished_at is None or not timedelta() <= stored.finished_at - outcome.last_end <= LATEST:
        yield f"{outcome.name}: its last call ended at {outcome.last_end}, stored is {stored.finished_at}"
    if stored.actual_cost_cents is None or abs(stored.actual_cost_cents - outcome.cost_cents) > 0.01:
        yield f"{outcome.name}: its calls cost {outcome.cost_cents:.4f}, stored is {stored.actual_cost_cents}"


def _at_most(held: int, total: int) -> float:
    """Return the probability that at most `held` of `total` forecasts hold if SHARE of all do."""
    return sum(comb(total, k) * SHARE**k * (1 - SHARE) ** (total - k) for k in range(held + 1))
