"""Budgets of an organization and their use, and the calls with unknown cost."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.budgets import BudgetSettings, set_budgets
from outdial.campaigns.errors import InvalidBudget
from outdial.db.queries.dialing import budgets as budget_queries
from outdial.db.session import Connection
from outdial.dialer.budgets.limits import DEFAULT_ZONE, organization_uses
from outdial.domain import limits
from outdial.domain.policies.budget import BudgetLevel, BudgetScope, BudgetUse, ClaimBudget, budget_day
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.paging import PageRequest, paginate

Cents = Annotated[int | None, Field(ge=limits.BUDGET_CENTS.least, le=limits.BUDGET_CENTS.most)]


class BudgetState(BaseModel):
    """A budget and its use: known costs, and what is reserved for calls whose cost is not known yet.

    It is `used_up` when what is left is less than a claim reserves for a call. `resets_at` is when the budget of a day
    or a month starts again.
    """

    budget: BudgetScope
    limit_cents: int
    spent_cents: float
    reserved_cents: float
    left_cents: float
    level: BudgetLevel
    resets_at: datetime | None


class OrganizationBudgets(BaseModel):
    """What the calls of an organization may cost; days and months begin at midnight in `time_zone`."""

    time_zone: str
    day_cents: int | None
    month_cents: int | None
    budgets: list[BudgetState]


class NewBudgets(BaseModel):
    """Budgets to set; null and omitted ones are removed. Without `time_zone` it stays as it is, at first UTC."""

    model_config = ConfigDict(extra="forbid")
    time_zone: Annotated[str | None, Field(max_length=100, examples=["America/New_York"])] = None
    day_cents: Cents = None
    month_cents: Cents = None


class CostlessCall(BaseModel):
    """A call that ended without a known cost: what is reserved for it still counts against the budgets."""

    id: UUID
    campaign_id: UUID
    campaign_name: str
    phone: str
    outcome: str | None
    ended_at: datetime | None
    age_s: Annotated[float, Field(description="Seconds since the call ended, or was claimed if that is not known")]
    reserved_cents: int


def budget_states(budget: ClaimBudget | None) -> list[BudgetState]:
    """Return the budgets that limit a campaign, as a claim would read them."""
    return [] if budget is None else [_state(use, budget.estimate_cents) for use in budget.uses]


def shared_budgets(budgets: Iterable[ClaimBudget]) -> list[BudgetState]:
    """Return the budgets of the organization that limit these campaigns: at the level of the agent that costs most."""
    worst: dict[BudgetScope, BudgetState] = {}
    for budget in sorted(budgets, key=lambda each: each.estimate_cents):
        shared = (state for state in budget_states(budget) if state.budget is not BudgetScope.CAMPAIGN)
        worst |= {state.budget: state for state in shared}
    return list(worst.values())


async def organization_budgets(connection: Connection, context: OrganizationContext) -> OrganizationBudgets:
    """Return the budgets of the organization and their use."""
    stored = await budget_queries.read_organization_budget(connection, organization_id=context.organization_id)
    if stored is None:
        return OrganizationBudgets(time_zone=DEFAULT_ZONE, day_cents=None, month_cents=None, budgets=[])
    today = budget_day(stored.time_zone, context.studio.clock.now())
    uses = await organization_uses(connection, context.organization_id, stored, today)
    return OrganizationBudgets(
        time_zone=stored.time_zone,
        day_cents=stored.day_cents,
        month_cents=stored.month_cents,
        budgets=[_state(use, 1) for use in uses],
    )


async def change_budgets(connection: Connection, context: OrganizationContext, new: NewBudgets) -> OrganizationBudgets:
    """Set the budgets; raises InvalidInput naming the field."""
    context.require("admin")
    zone = new.time_zone
    if zone is None:
        stored = await budget_queries.read_organization_budget(connection, organization_id=context.organization_id)
        zone = DEFAULT_ZONE if stored is None else stored.time_zone
    settings = BudgetSettings(time_zone=zone, day_cents=new.day_cents, month_cents=new.month_cents)
    now = context.studio.clock.now()
    try:
        await set_budgets(connection, context.organization_id, settings, actor=context.actor, now=now)
    except InvalidBudget as error:
        reason = sentence_case(error.reason)
        raise InvalidInput(f"Invalid budget: {reason}", {error.field: reason}) from error
    return await organization_budgets(connection, context)


async def list_unknown_costs(
    connection: Connection, context: OrganizationContext, page: PageRequest, *, campaign_id: UUID | None = None
) -> tuple[Sequence[CostlessCall], str | None]:
    """Return a page of the calls that ended without a known cost, newest first, and the cursor of the next page."""
    key = page.key(tuple[datetime, UUID])
    rows = await budget_queries.unknown_costs(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        before_at=None if key is None else key[0],
        before_id=None if key is None else key[1],
        limit=page.limit + 1,
    )
    found, following = paginate(rows, page.limit, lambda row: [row.created_at, row.id])
    now = context.studio.clock.now()
    return [_unknown_cost(row, now) for row in found], following


def _state(use: BudgetUse, estimate_cents: int) -> BudgetState:
    return BudgetState(
        budget=use.scope,
        limit_cents=use.limit_cents,
        spent_cents=float(use.spent_cents),
        reserved_cents=float(use.reserved_cents),
        left_cents=float(use.left_cents),
        level=use.level(estimate_cents),
        resets_at=use.resets_at,
    )


def _unknown_cost(row: budget_queries.UnknownCost, now: datetime) -> CostlessCall:
    age = now - (row.ended_at or row.created_at)
    return CostlessCall(
        id=row.id,
        campaign_id=row.campaign_id,
        campaign_name=row.campaign_name,
        phone=row.phone,
        outcome=row.outcome,
        ended_at=row.ended_at,
        age_s=max(0.0, age / timedelta(seconds=1)),
        reserved_cents=row.reserved_cents,
    )
