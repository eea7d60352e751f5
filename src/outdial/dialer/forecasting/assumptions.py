"""How calls go: the past calls of an organization, or documented defaults, from which a forecast draws."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from outdial.domain.outcomes import Outcome
from outdial.domain.policies.number_pool import BY_PERSON

FEWEST_CALLS: Final = 100
"""With fewer past calls, defaults fill up to this number."""
FEWEST_OF_AN_ATTEMPT: Final = 50
"""First and later attempts are drawn from their own calls if each have so many, otherwise from all together."""
DEFAULTS_COUNT_AS: Final = 20
"""The defaults are known as badly as a history of so many calls: those of an organization may differ by that much."""
USUAL_LIKENESS: Final = 0.01
"""How much alike the calls of a day are assumed to be: an answer rate of 40% is then 35% or 45% on many days."""
USUAL_COUNTS_AS: Final = 4
"""The assumption counts as much as so many days of the history."""
LEAST_LIKENESS: Final = 0.001
"""Days are never taken to be more alike than this: it keeps the draws of a day at 1,000 calls."""


@dataclass(frozen=True, slots=True)
class PastCall:
    """How a call went: its outcome, how long it held a line, and its cost in cents.

    `callback_after` is how long after its end the contact asked to be called back, None without such a wish.
    """

    outcome: Outcome
    line_s: float
    cost_cents: float
    callback_after: timedelta | None = field(default=None, kw_only=True)


_DEFAULT_SHARES: Final = (
    (30, PastCall(Outcome.ANSWERED, 120.0, 20.0)),
    (24, PastCall(Outcome.VOICEMAIL, 35.0, 4.0)),
    (34, PastCall(Outcome.NO_ANSWER, 30.0, 0.0)),
    (5, PastCall(Outcome.BUSY, 3.0, 0.0)),
    (4, PastCall(Outcome.DECLINED, 8.0, 0.0)),
    (2, PastCall(Outcome.INVALID_NUMBER, 2.0, 0.0)),
    (1, PastCall(Outcome.PROVIDER_FAULT, 2.0, 0.0)),
)
"""Of 100 calls. docs/forecasts.md has this table."""


def _mixed(shares: Sequence[tuple[int, PastCall]]) -> tuple[PastCall, ...]:
    """Return the calls in an order whose every beginning has about the same mix."""
    placed = [((index + 0.5) / count, call) for count, call in shares for index in range(count)]
    return tuple(call for _, call in sorted(placed, key=lambda each: each[0]))


DEFAULT_CALLS: Final = _mixed(_DEFAULT_SHARES)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAssumptions:
    """Calls to draw from, for first and for later attempts; `past_calls` of them really happened.

    The calls of one day resemble each other, so that a history tells less than as many independent calls would. It
    counts as `independent_calls` of them. The calls of a day to come differ from the average of all days as much as
    `calls_of_a_day` calls drawn at random do.
    """

    first: Sequence[PastCall]
    later: Sequence[PastCall]
    past_calls: int
    independent_calls: int
    calls_of_a_day: int

    def history_of_a_run(self, chance: random.Random) -> "CallAssumptions":
        """Draw the calls of one run, with replacement: past calls show the mix of the next ones only roughly."""
        return self._drawn(chance, self.independent_calls)

    def day_of_a_run(self, chance: random.Random) -> "CallAssumptions":
        """Draw the calls of one day of a run from those of the run."""
        return self._drawn(chance, self.calls_of_a_day)

    def _drawn(self, chance: random.Random, calls: int) -> "CallAssumptions":
        first = later = chance.choices(self.first, k=calls)
        if self.later is not self.first:
            # Each kind of attempt is known from its own part of the history.
            total = len(self.first) + len(self.later)
            first = first[: max(1, round(calls * len(self.first) / total))]
            later = chance.choices(self.later, k=max(1, round(calls * len(self.later) / total)))
        return replace(self, first=first, later=later)


@dataclass(frozen=True, slots=True)
class DatedCall:
    """A past call with its number for the contact and its day."""

    attempt: int
    day: date
    call: PastCall


def assume_calls(history: Sequence[DatedCall]) -> CallAssumptions:
    """Return what to draw from, given the newest past calls."""
    first = [each.call for each in history if each.attempt == 1]
    later = [each.call for each in history if each.attempt > 1]
    likeness = likeness_within_days(history)
    missing = max(0, FEWEST_CALLS - len(history))
    if min(len(first), len(later)) < FEWEST_OF_AN_ATTEMPT:
        first = later = [*first, *later, *DEFAULT_CALLS[:missing]]
    days = len({each.day for each in history})
    of_history = len(history) / (1 + max(0.0, len(history) / max(1, days) - 1) * likeness)
    return CallAssumptions(
        first=first,
        later=later,
        past_calls=len(history),
        independent_calls=max(1, round(of_history + DEFAULTS_COUNT_AS * missing / FEWEST_CALLS)),
        calls_of_a_day=round(1 / likeness),
    )


def likeness_within_days(history: Sequence[DatedCall]) -> float:
    """Return how much alike the calls of one day are: the intraclass correlation of answered calls.

    0 means that days do not differ by more than chance, 1 that all calls of a day go the same way. It is estimated by
    an analysis of variance between the days of the history; USUAL_LIKENESS counts as much as USUAL_COUNTS_AS days.
    """
    days = defaultdict[date, list[int]](list)
    for each in history:
        days[each.day].append(each.call.outcome in BY_PERSON)
    calls, between = sum(map(len, days.values())), len(days) - 1
    if between < 1 or calls <= len(days):
        return USUAL_LIKENESS
    average = sum(map(sum, days.values())) / calls
    rates = {day: sum(answered) / len(answered) for day, answered in days.items()}
    of_days = sum(len(answered) * (rates[day] - average) ** 2 for day, answered in days.items()) / between
    within = sum(len(answered) * rates[day] * (1 - rates[day]) for day, answered in days.items()) / (calls - len(days))
    size = (calls - sum(len(answered) ** 2 for answered in days.values()) / calls) / between
    spread = of_days + (size - 1) * within
    measured = max(0.0, (of_days - within) / spread) if spread > 0 else 0.0
    likeness = (USUAL_COUNTS_AS * USUAL_LIKENESS + between * measured) / (USUAL_COUNTS_AS + between)
    return max(LEAST_LIKENESS, likeness)
