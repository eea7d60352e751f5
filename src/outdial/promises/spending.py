"""Checks Promise.BUDGETS after a run: overspend never exceeds what was in flight when a budget was reached.

The provider is the witness: what each call cost, and when that could be known here and surely was.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from outdial.db.queries import evidence
from outdial.db.queries.evidence import BudgetEvidence, ClaimEvidence
from outdial.db.session import Database
from outdial.promises.checks import PromiseCheck
from outdial.promises.promise import Promise

CLAIM_WAITS: Final = timedelta(seconds=5)
"""A claim may learn costs that were sent this long after its time: it waits for locks before it reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledCall:
    """A call with its cost by the provider's records.

    `limit_cents` is the budget at the time of the claim. `sent_at` is when the cost was sent here first, `accepted_at`
    when it was surely known here; None if never.
    """

    id: str
    claimed_at: datetime
    limit_cents: int
    cost_cents: float
    sent_at: datetime | None
    accepted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetedCalls:
    """A budget and the calls that count against it, by the provider's records.

    No estimate is lower than `least_cents`, what the agents' cheapest call costs.
    """

    name: str
    limit_cents: int
    least_cents: float
    calls: Sequence[BilledCall]


async def gather_budgets(database: Database, costs: Iterable[Mapping[str, Any]]) -> list[BudgetedCalls]:
    """Read the budgets and the claims; `costs` are the provider's, as the simulator lists them."""
    async with database.as_service() as connection:
        budgets = await evidence.all_budgets(connection)
        claims = await evidence.all_claims(connection)
    bills = {bill["call_id"]: bill for bill in costs}
    least = min((bill["cost_cents"] for bill in bills.values() if bill["cost_cents"]), default=1.0)
    return [
        BudgetedCalls(
            name=name,
            limit_cents=limit,
            least_cents=least,
            calls=[_billed(claim, limit, bills) for claim in counted],
        )
        for budget in budgets
        for name, limit, counted in _counted(budget, claims)
    ]


def check_budgets(budgets: Sequence[BudgetedCalls]) -> PromiseCheck:
    """Check Promise.BUDGETS: what was known and in flight left room for each call when it was claimed."""
    return PromiseCheck(
        promise=Promise.BUDGETS,
        examined="; ".join(f"{each.name}: {_spent(each):.2f} of {each.limit_cents / 100:.2f} spent" for each in budgets)
        or "no budgets",
        breaches=[breach for each in budgets for breach in overspending(each)],
    )


class _Change(IntEnum):
    """What changes the use of a budget, in the order in which changes of the same instant count.

    The order never blames a claim for what may have come after it.
    """

    SENT = 1
    CLAIMED = 2
    ACCEPTED = 3


def overspending(budget: BudgetedCalls) -> Iterator[str]:
    """Yield a sentence for each call that was claimed when its budget had no room for it.

    Costs that were surely known count in full, and a call in flight or claimed counts `least_cents`.
    """
    limits = {call.id: call.limit_cents for call in budget.calls}
    changes = [
        (at, change, call.id, call.cost_cents)
        for call in budget.calls
        for at, change in (
            (call.sent_at, _Change.SENT),
            (call.claimed_at, _Change.CLAIMED),
            (call.accepted_at, _Change.ACCEPTED),
        )
        if at is not None
    ]
    known, in_flight = 0.0, 0
    for at, change, call_id, cost in sorted(changes):
        match change:
            case _Change.SENT:
                in_flight -= 1
            case _Change.ACCEPTED:
                known += cost
            case _Change.CLAIMED:
                in_flight += 1
                if known + budget.least_cents * in_flight > limits[call_id]:
                    yield (
                        f"{budget.name}: call {call_id} was claimed at {at:%d %H:%M:%S} with {known:.2f} cents known"
                        f" and {in_flight} calls in flight, of a budget of {limits[call_id]} cents"
                    )


def _spent(budget: BudgetedCalls) -> float:
    return sum(call.cost_cents for call in budget.calls) / 100


def _counted(budget: BudgetEvidence, claims: Sequence[ClaimEvidence]) -> Iterator[tuple[str, int, list[ClaimEvidence]]]:
    """Yield each budget with a limit and the claims that count against it: of a campaign, a day, or a month."""
    if budget.campaign_id is not None:
        if budget.budget_cents is not None:
            mine = [claim for claim in claims if claim.campaign_id == budget.campaign_id]
            yield f"campaign {budget.name}", budget.budget_cents, mine
        return
    zone = ZoneInfo(budget.time_zone or "UTC")
    own = [claim for claim in claims if claim.organization_id == budget.organization_id]
    for cents, format_ in ((budget.day_cents, "%Y-%m-%d"), (budget.month_cents, "%Y-%m")):
        if cents is not None:
            for period, counted in groupby(own, key=lambda claim: claim.claimed_at.astimezone(zone).strftime(format_)):
                yield f"{budget.name} {period}", cents, list(counted)


def _billed(claim: ClaimEvidence, limit_cents: int, bills: Mapping[str, Mapping[str, Any]]) -> BilledCall:
    bill = bills.get(claim.retell_call_id or "", {})
    return BilledCall(
        id=str(claim.id),
        claimed_at=claim.claimed_at,
        limit_cents=limit_cents,
        cost_cents=bill.get("cost_cents") or 0.0,
        # A call that the provider never had costs nothing, and it is not in flight.
        sent_at=_time(bill["sent_ms"], before=CLAIM_WAITS) if bill else claim.claimed_at,
        accepted_at=_time(bill["accepted_ms"]) if bill else None,
    )


def _time(at_ms: int | None, before: timedelta = timedelta()) -> datetime | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC) - before
