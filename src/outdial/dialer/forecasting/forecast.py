"""Forecasts when a campaign finishes and what it costs, from many runs over virtual time."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Generic, TypeAlias, TypeVar

from outdial.dialer.forecasting.open_times import OpenTimes
from outdial.dialer.forecasting.simulation import CampaignRun, ForecastFacts, lines_of

RUNS: Final = 40

Value = TypeVar("Value", float, datetime)


@dataclass(frozen=True, slots=True)
class Percentiles(Generic[Value]):
    """Values that 10, 50 and 90 of 100 campaigns should not exceed."""

    p10: Value
    p50: Value
    p90: Value

    def holds(self, value: Value) -> bool:
        """Return whether a value lies within p10 and p90."""
        return self.p10 <= value <= self.p90


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignForecast:
    """What a campaign will do from `made_at` on: `cost_cents` and `calls` are those still to come.

    `past_calls` of the calls it is based on really happened; with fewer than 100, defaults fill up. In
    `unfinished_runs` of RUNS, contacts were left when a budget was used up; `finish_at` is None where these are so many
    that p90 is not known.
    """

    made_at: datetime
    contacts: int
    past_calls: int
    finish_at: Percentiles[datetime] | None
    cost_cents: Percentiles[float]
    calls: Percentiles[float]
    unfinished_runs: int = 0

    @property
    def budget_sentence(self) -> str | None:
        """What the forecast says about budgets, as a sentence without a period; None if none is used up."""
        if not self.unfinished_runs:
            return None
        first = f"In {self.unfinished_runs} of {RUNS} runs, a budget is used up first and contacts wait for it"
        return first if self.finish_at is not None else f"{first}: the finish time is unknown"


class ForecastGap(StrEnum):
    """Why there is no forecast; the value is the code in the API."""

    NO_CONTACTS = "no_contacts"
    NO_LINES = "no_lines"
    NEVER_OPENS = "never_opens"

    def sentence(self) -> str:
        """Return the reason and what to do."""
        return _GAPS[self]


_GAPS: Final = {
    ForecastGap.NO_CONTACTS: "No forecast: there are no contacts left to call",
    ForecastGap.NO_LINES: "No forecast: the limits of the campaign and its account allow no calls; raise a limit",
    ForecastGap.NEVER_OPENS: "No forecast: no contact can be called within 400 days; check hours and rules",
}

Forecast: TypeAlias = CampaignForecast | ForecastGap


def forecast_campaign(facts: ForecastFacts, *, made_at: datetime, seed: int, runs: int = RUNS) -> Forecast:
    """Run the campaign `runs` times and return the percentiles; the same seed gives the same forecast.

    It takes about a second of CPU: call it outside of transactions, in a thread.
    """
    if round(facts.contacts) == 0:
        return ForecastGap.NO_CONTACTS
    if lines_of(facts.limits) == 0:
        return ForecastGap.NO_LINES
    open_times, chance = OpenTimes(facts.hours, facts.start_at), random.Random(seed)
    ends = [CampaignRun(facts, open_times, chance).to_the_end() for _ in range(runs)]
    unfinished = sum(end.waits_for_budget for end in ends)
    if not unfinished and not any(end.calls for end in ends):
        return ForecastGap.NEVER_OPENS
    never = datetime.max.replace(tzinfo=UTC)
    return CampaignForecast(
        made_at=made_at,
        contacts=round(facts.contacts),
        past_calls=facts.calls.past_calls,
        finish_at=None
        if unfinished >= outer_runs(runs)
        else percentiles([never if end.waits_for_budget else end.finish_at for end in ends]),
        cost_cents=percentiles([end.cost_cents for end in ends]),
        calls=percentiles([end.calls for end in ends]),
        unfinished_runs=unfinished,
    )


def outer_runs(runs: int) -> int:
    """Return k: the k-th lowest of the runs is p10, and the k-th highest p90."""
    return max(1, int(0.1 * (runs + 1)))


def percentiles(values: Sequence[Value]) -> Percentiles[Value]:
    """Return p10, p50 and p90 of the runs; all are values that occur.

    Of n runs, the k-th lowest is chosen so that one run more would fall below it with a probability of k / (n + 1), at
    most 0.1, and likewise from above: with 40 runs, that is the 4th of them.
    """
    ordered = sorted(values)
    outer = outer_runs(len(ordered)) - 1
    return Percentiles(ordered[outer], ordered[round((len(ordered) - 1) * 0.5)], ordered[-1 - outer])
