"""Promise.BUDGETS: a claim without room in a budget is found, and no claim is blamed for what it could not know."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from outdial.promises.spending import BilledCall, BudgetedCalls, check_budgets

START = datetime(2026, 3, 10, 17, 0, tzinfo=UTC)


def call(number: int, *, at: int, cost: float = 40, known: int | None = None) -> BilledCall:
    """Return a call that was claimed after `at` seconds, and whose cost was known after `known`."""
    known_at = None if known is None else START + timedelta(seconds=known)
    return BilledCall(
        id=f"call_{number}",
        claimed_at=START + timedelta(seconds=at),
        limit_cents=100,
        cost_cents=cost,
        sent_at=known_at,
        accepted_at=known_at,
    )


@pytest.mark.parametrize(
    ("calls", "late"),
    [
        pytest.param([call(1, at=0, known=5), call(2, at=6, known=9)], [], id="room"),
        pytest.param([call(1, at=0, cost=400, known=9), call(2, at=1)], [], id="in flight when it was reached"),
        pytest.param([call(1, at=0, cost=400, known=9), call(2, at=10)], ["call_2"], id="claimed afterwards"),
        pytest.param([call(n, at=0) for n in range(10)], [], id="ten at 10 cents"),
        pytest.param([call(n, at=0) for n in range(11)], ["the last"], id="reservations are not counted"),
        pytest.param([call(1, at=0, cost=400, known=9), call(2, at=9)], [], id="the same moment"),
        pytest.param([*(call(n, at=0, cost=0, known=2) for n in range(10)), call(11, at=3)], [], id="cost nothing"),
    ],
)
def test_no_call_is_claimed_after_its_budget_is_reached(calls: list[BilledCall], late: list[str]) -> None:
    budget = BudgetedCalls(name="Spring", limit_cents=100, least_cents=10, calls=calls)
    check = check_budgets([budget])
    assert check.holds == (not late)
    assert len(check.breaches) == len(late)
    assert check.examined.startswith("Spring: ")


def test_each_call_is_compared_with_the_budget_of_its_time() -> None:
    raised = replace(call(2, at=10), limit_cents=500)
    calls = [call(1, at=0, cost=400, known=9), raised]
    assert check_budgets([BudgetedCalls(name="Spring", limit_cents=500, least_cents=10, calls=calls)]).holds
