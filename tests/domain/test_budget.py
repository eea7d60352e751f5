"""Budgets: what is left, when they start again, and what is reserved for a call."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from outdial.domain.policies.budget import (
    BudgetScope,
    BudgetUse,
    ClaimBudget,
    amount_text,
    budget_day,
    budget_sentence,
    estimate_cents,
    read_amount,
)

TOMORROW = datetime(2026, 3, 11, 4, tzinfo=UTC)


def use(limit: int, spent: int, reserved: int = 0, scope: BudgetScope = BudgetScope.CAMPAIGN) -> BudgetUse:
    """Return the use of a budget; that of a day starts again tomorrow."""
    return BudgetUse(
        scope=scope,
        limit_cents=limit,
        spent_cents=Decimal(spent),
        reserved_cents=Decimal(reserved),
        resets_at=TOMORROW if scope is BudgetScope.DAY else None,
    )


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([], 100),
        ([Decimal(250)], 250),
        ([Decimal(1)] * 19, 100),
        ([Decimal("12.1")] * 20, 13),
        ([Decimal(each) for each in range(1, 201)], 190),
        ([Decimal("0.001")] * 200, 1),
    ],
)
def test_a_claim_reserves_the_95th_percentile_of_the_last_costs(costs: list[Decimal], expected: int) -> None:
    assert estimate_cents(costs) == expected


@pytest.mark.parametrize(
    ("uses", "room"),
    [
        ([use(1000, 0)], 10),
        ([use(1000, 350, 150)], 5),
        ([use(1000, 950)], 0),
        ([use(1000, 1200)], 0),
        ([use(0, 0)], 0),
        ([use(1000, 0), use(300, 100, scope=BudgetScope.DAY)], 2),
    ],
)
def test_the_tightest_budget_decides_how_many_calls_have_room(uses: list[BudgetUse], room: int) -> None:
    budget = ClaimBudget(uses=uses, estimate_cents=100, day=date(2026, 3, 10))
    assert budget.room == room
    assert (budget.used_up is None) == (room > 0)


def test_the_budget_that_starts_again_last_is_the_reason() -> None:
    uses = [use(100, 100, scope=BudgetScope.DAY), use(100, 100)]
    budget = ClaimBudget(uses=uses, estimate_cents=10, day=date(2026, 3, 10))
    assert budget.used_up is uses[1]
    assert budget_sentence(budget, "").endswith("; raise it to continue")
    only_day = ClaimBudget(uses=uses[:1], estimate_cents=10, day=date(2026, 3, 10))
    assert "for the day of $1.00" in budget_sentence(only_day, "tomorrow")


@pytest.mark.parametrize(
    ("text", "cents"),
    [("250", 25_000), (" 1,250.5 ", 125_050), ("$99.05", 9_905), ("0", 0), ("12.345", None), ("-1", None),
     ("1,25", None), ("1e3", None), ("ten", None), ("\u0661", None), ("", None)],
)  # fmt: skip
def test_amounts_are_read_as_people_write_them(text: str, cents: int | None) -> None:
    assert read_amount(text) == cents
    if cents is not None:
        assert read_amount(amount_text(cents)) == cents


@pytest.mark.parametrize(("spent", "level"), [(0, "open"), (790, "open"), (800, "nearly_used"), (901, "used_up")])
def test_a_budget_is_used_up_when_it_has_no_room_for_a_call(spent: int, level: str) -> None:
    assert use(1000, spent).level(100) == level


def test_days_and_months_begin_at_midnight_in_the_zone() -> None:
    today = budget_day("America/New_York", datetime(2026, 4, 1, 3, 59, tzinfo=UTC))
    assert (today.day, today.month) == (date(2026, 3, 31), date(2026, 3, 1))
    assert today.next_day_at == today.next_month_at == datetime(2026, 4, 1, 4, tzinfo=UTC)
    assert budget_day("nowhere", datetime(2026, 12, 31, 23, tzinfo=UTC)).next_month_at == datetime(
        2027, 1, 1, tzinfo=UTC
    )
