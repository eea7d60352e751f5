"""What calls may cost: the budgets that limit a claim, and how much a claim reserves for each call.

Every amount is in cents. A budget counts known costs, and the reservations of calls whose cost is not known yet.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from math import ceil
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from outdial.domain.calling_hours import is_zone_name

START_ESTIMATE_CENTS: Final = 100
"""What a claim reserves for a call of an agent with fewer than KNOWN_CALLS: about 8 minutes at 12 cents each."""
KNOWN_CALLS: Final = 20
"""Calls with a cost that an agent needs before they decide about its reservations."""
NEARLY_USED: Final = Decimal("0.8")
"""The part of a budget whose use is reported."""


_AMOUNT: Final = re.compile(r"\$?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.([0-9]{1,2}))?", re.ASCII)


class BudgetScope(StrEnum):
    """What a budget limits: a whole campaign, or an organization on a day or in a month."""

    CAMPAIGN = "campaign"
    DAY = "day"
    MONTH = "month"


SCOPE_NAMES: Final[Mapping[BudgetScope, str]] = MappingProxyType(
    {
        BudgetScope.CAMPAIGN: "campaign's budget",
        BudgetScope.DAY: "organization's budget for the day",
        BudgetScope.MONTH: "organization's budget for the month",
    }
)


class BudgetLevel(StrEnum):
    """How much of a budget is used: less than NEARLY_USED, more, or so much that another call has no room."""

    OPEN = "open"
    NEARLY_USED = "nearly_used"
    USED_UP = "used_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """A budget and how much of it is used. `resets_at` is when it starts again; None for the budget of a campaign."""

    scope: BudgetScope
    limit_cents: int
    spent_cents: Decimal
    reserved_cents: Decimal
    resets_at: datetime | None = None

    @property
    def used_cents(self) -> Decimal:
        """Known costs and reservations together."""
        return self.spent_cents + self.reserved_cents

    @property
    def left_cents(self) -> Decimal:
        """What further calls may cost; 0 once more is used than the budget."""
        return max(self.limit_cents - self.used_cents, Decimal(0))

    @property
    def is_nearly_used(self) -> bool:
        """Whether at least NEARLY_USED of the budget is used."""
        return self.used_cents >= NEARLY_USED * self.limit_cents

    def level(self, estimate_cents: int) -> BudgetLevel:
        """Return how much is used, where a claim reserves `estimate_cents` for a call."""
        if self.left_cents < estimate_cents:
            return BudgetLevel.USED_UP
        return BudgetLevel.NEARLY_USED if self.is_nearly_used else BudgetLevel.OPEN

    def amounts(self) -> dict[str, object]:
        """Return the budget and its use as JSON-serializable values."""
        return {
            "budget": self.scope,
            "limit_cents": self.limit_cents,
            "spent_cents": float(self.spent_cents),
            "reserved_cents": float(self.reserved_cents),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimBudget:
    """The budgets that limit the calls of a campaign, at least one, and what a claim reserves for each call.

    `day` is the day of the organization that the reservations count for.
    """

    uses: Sequence[BudgetUse]
    estimate_cents: int
    day: date

    @property
    def room(self) -> int:
        """How many calls every budget has room for."""
        return min(int(use.left_cents // self.estimate_cents) for use in self.uses)

    @property
    def used_up(self) -> BudgetUse | None:
        """The budget without room for a call; of several, the one that starts again last, or never."""
        full = [use for use in self.uses if use.left_cents < self.estimate_cents]
        never = datetime.max.replace(tzinfo=UTC)
        return max(full, key=lambda use: use.resets_at or never, default=None)


def budget_record(budget: ClaimBudget | None) -> dict[str, object]:
    """Return what a decision records: the reservation, its day, and each budget as the claim found it."""
    if budget is None:
        return {}
    record: dict[str, object] = {"reserved_cents": budget.estimate_cents, "day": budget.day.isoformat()}
    for use in budget.uses:
        record |= {
            f"{use.scope}_limit_cents": use.limit_cents,
            f"{use.scope}_spent_cents": float(use.spent_cents),
            f"{use.scope}_reserved_cents": float(use.reserved_cents),
        }
    return record


def estimate_cents(costs: Sequence[Decimal]) -> int:
    """Return what to reserve for a call: the 95th percentile of these costs in whole cents, at least 1.

    `costs` are those of the agent's last calls that cost something. With fewer than KNOWN_CALLS, it is the higher of
    START_ESTIMATE_CENTS and the highest cost.
    """
    if len(costs) < KNOWN_CALLS:
        return max(START_ESTIMATE_CENTS, ceil(max(costs, default=Decimal(0))))
    ordered = sorted(costs)
    return max(1, ceil(ordered[ceil(len(ordered) * 95 / 100) - 1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetDay:
    """The day and the month of a budget in its zone, and when the next ones begin."""

    day: date
    month: date
    next_day_at: datetime
    next_month_at: datetime


def budget_day(time_zone: str, now: datetime) -> BudgetDay:
    """Return the day of a budget at `now`; a zone that is not known counts as UTC."""
    zone = ZoneInfo(time_zone) if is_zone_name(time_zone) else ZoneInfo("UTC")
    day = now.astimezone(zone).date()
    month = day.replace(day=1)
    next_month = (month + timedelta(days=32)).replace(day=1)
    return BudgetDay(
        day=day,
        month=month,
        next_day_at=datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC),
        next_month_at=datetime.combine(next_month, time(), zone).astimezone(UTC),
    )


def amount(cents: Decimal | int) -> str:
    """Return an amount for messages, in dollars with two places."""
    return f"${cents / Decimal(100):,.2f}"


def read_amount(text: str) -> int | None:
    """Return an amount as people write it, such as 1,250 or 99.50, in cents; None if it is not one."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        return None
    whole, part = found.groups()
    return int(whole.replace(",", "")) * 100 + int((part or "0").ljust(2, "0"))


def amount_text(cents: int | None) -> str:
    """Return an amount as `read_amount` reads it; empty for None."""
    return "" if cents is None else f"{cents // 100}.{cents % 100:02}"


def budget_sentence(budget: ClaimBudget | None, at: str) -> str:
    """Return why calls wait for a budget, as a sentence without a period; `at` is when the budget starts again."""
    use = None if budget is None else budget.used_up
    if budget is None or use is None:
        return "The budget is used up"
    reserved = f", {amount(use.reserved_cents)} reserved" if use.reserved_cents else ""
    # A reservation is more than most calls cost: once the cost is known, the rest is free again.
    may_resume = use.reserved_cents and use.spent_cents + budget.estimate_cents <= use.limit_cents
    then = f"it renews {at}" if at else "raise it to continue"
    if may_resume:
        then += ", or wait: the reserved calls may cost less"
    return (
        f"The {SCOPE_NAMES[use.scope]} of {amount(use.limit_cents)} cannot cover another call of about"
        f" {amount(budget.estimate_cents)}: {amount(use.spent_cents)} spent{reserved}; {then}"
    )
