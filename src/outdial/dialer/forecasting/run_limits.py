"""What limits the calls of a run beyond its lines: budgets, and how many calls its caller numbers may make.

In the run of a sample each call stands for `weight` calls, and one of them may be more than a day allows. What is spent
or called too early then counts for the following days.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from outdial.domain.policies.budget import BudgetScope, BudgetUse, ClaimBudget, budget_day
from outdial.domain.policies.number_pool import DAY, NumbersBusy, cap_of_day

_LOOK_AGAIN: Final = timedelta(hours=1)
"""The room of numbers is computed at least so often: caps grow during a warm-up, and rests end."""


@dataclass(frozen=True, slots=True)
class ForecastBudget:
    """The budgets that limit a campaign, as a claim reads them, and the zone of their days."""

    budget: ClaimBudget
    time_zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastNumber:
    """A caller number of a campaign, with the calls of its last 24 hours."""

    daily_cap: int | None = None
    warm_up_days: int = 0
    warm_up_from: datetime | None = None
    rests_until: datetime | None = None
    calls: int = 0


class RunBudget:
    """The budgets in a run: what its calls cost counts until the budget starts again."""

    def __init__(self, budget: ForecastBudget, weight: float) -> None:
        self._budget, self._weight = budget, weight
        self._uses = list(budget.budget.uses)

    def at(self, now: datetime, live: int) -> ClaimBudget:
        """Return the budgets as a claim would read them, with a reservation for each live call."""
        self._uses = [self._begun_again(use, now) for use in self._uses]
        reserved = Decimal(live * self._budget.budget.estimate_cents * self._weight)
        return replace(
            self._budget.budget,
            uses=[replace(use, reserved_cents=use.reserved_cents + reserved) for use in self._uses],
        )

    def spend(self, cents: float) -> None:
        """Count the cost of a call that has ended."""
        self._uses = [replace(use, spent_cents=use.spent_cents + Decimal(cents)) for use in self._uses]

    def most_cents(self, cents: float) -> float:
        """Cut the cost of a run where a call of its sample went beyond the campaign's budget."""
        left = [use.left_cents for use in self._budget.budget.uses if use.scope is BudgetScope.CAMPAIGN]
        return min([cents, *map(float, left)]) if self._weight > 1 else cents

    def _begun_again(self, use: BudgetUse, now: datetime) -> BudgetUse:
        if use.resets_at is None or use.resets_at > now:
            return use
        day = budget_day(self._budget.time_zone, now)
        return replace(
            use,
            spent_cents=max(Decimal(0), use.spent_cents - use.limit_cents) if self._weight > 1 else Decimal(0),
            reserved_cents=Decimal(0),
            resets_at=day.next_day_at if use.scope is BudgetScope.DAY else day.next_month_at,
        )


class RunNumbers:
    """The caller numbers in a run: all of them may call any contact, each as often as its cap of the day allows."""

    def __init__(self, numbers: Sequence[ForecastNumber], start: datetime, weight: float) -> None:
        self._numbers, self._start, self._weight = numbers, start, weight
        self._calls = deque[datetime]()

    def room(self, now: datetime) -> int | None:
        """Return how many calls may start now, None for any number of them."""
        caps = [
            cap_of_day(each.daily_cap, warm_up_days=each.warm_up_days, warm_up_from=each.warm_up_from, now=now)
            for each in self._awake(now)
        ]
        if None in caps:
            return None
        cap = sum(each or 0 for each in caps)
        counts_for = DAY * max(1.0, self._weight / max(1, cap))
        while self._calls and self._calls[0] + counts_for <= now:
            self._calls.popleft()
        # The calls before the start leave the last 24 hours one after another.
        passed = min(1.0, (now - self._start) / DAY)
        earlier = sum(each.calls for each in self._awake(now)) * (1 - passed)
        left = cap - earlier - len(self._calls) * self._weight
        return max(0, int(left) if self._weight == 1 else -int(-left // self._weight))

    def busy(self, now: datetime) -> NumbersBusy | None:
        """Return when to look for a free number again, None while there is one."""
        if self.room(now) != 0:
            return None
        awake = self._awake(now)
        rests = [each.rests_until for each in self._numbers if each.rests_until is not None and each.rests_until > now]
        return NumbersBusy(
            until=min(rests) if not awake else min([*rests, now + _LOOK_AGAIN]),
            numbers=len(self._numbers),
            resting=len(rests),
            capped=len(awake),
        )

    def call(self, start_at: datetime) -> None:
        """Count a call."""
        self._calls.append(start_at)

    def _awake(self, now: datetime) -> list[ForecastNumber]:
        return [each for each in self._numbers if each.rests_until is None or each.rests_until <= now]
