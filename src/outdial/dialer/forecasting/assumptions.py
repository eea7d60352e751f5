"""How calls go: the past calls of an organization, or documented defaults, from which a forecast draws."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from outdial.domain.outcomes import Outcome

FEWEST_CALLS: Final = 100
"""With fewer past calls, defaults fill up to this number."""
FEWEST_OF_AN_ATTEMPT: Final = 50
"""First and later attempts are drawn from their own calls if each have so many, otherwise from all together."""


@dataclass(frozen=True, slots=True)
class PastCall:
    """How a call went: its outcome, how long it held a line, and its cost in cents."""

    outcome: Outcome
    line_s: float
    cost_cents: float


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


@dataclass(frozen=True, slots=True)
class CallAssumptions:
    """Calls to draw from, for first and for later attempts; `past_calls` of them really happened."""

    first: Sequence[PastCall]
    later: Sequence[PastCall]
    past_calls: int

    def resampled(self, chance: random.Random) -> "CallAssumptions":
        """Draw the calls of one run, with replacement: past calls show the mix of the next ones only roughly."""
        return CallAssumptions(
            chance.choices(self.first, k=len(self.first)),
            chance.choices(self.later, k=len(self.later)),
            self.past_calls,
        )


def assume_calls(first: Sequence[PastCall], later: Sequence[PastCall]) -> CallAssumptions:
    """Return what to draw from, given past calls that were first attempts and later ones."""
    past = len(first) + len(later)
    if min(len(first), len(later)) >= FEWEST_OF_AN_ATTEMPT:
        return CallAssumptions(first, later, past)
    calls = [*first, *later, *DEFAULT_CALLS[: max(0, FEWEST_CALLS - past)]]
    return CallAssumptions(calls, calls, past)
