"""Reads the budgets that limit a campaign: locked for a claim, and without locks for pages and commands."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, TypedDict
from uuid import UUID

from outdial.db.queries import audit
from outdial.db.queries.batches import LockedCampaign
from outdial.db.queries.dialing import budgets
from outdial.db.session import Connection, encode_json
from outdial.domain.policies.budget import (
    BudgetDay,
    BudgetScope,
    BudgetUse,
    ClaimBudget,
    budget_day,
    estimate_cents,
)
from outdial.log import log

DEFAULT_ZONE: Final = "UTC"
"""The zone of the days of a campaign's budget, while its organization has none."""


class CallReservation(TypedDict):
    """What a claim reserves for each call, and the day it counts for."""

    reserved_cents: int | None
    spent_on: date | None


def reservation(budget: ClaimBudget | None) -> CallReservation:
    """Return the columns of a call's reservation; both are null without a budget."""
    if budget is None:
        return {"reserved_cents": None, "spent_on": None}
    return {"reserved_cents": budget.estimate_cents, "spent_on": budget.day}


async def lock_budget(connection: Connection, campaign: LockedCampaign, now: datetime) -> ClaimBudget | None:
    """Return the budgets that limit a claim, None without any, and report those that are nearly used up.

    Needs the locks of the campaign and its account. The row of the organization's budgets is locked after them, because
    claims of its other accounts count against it too.
    """
    organization = await budgets.lock_organization_budget(connection, organization_id=campaign.organization_id)
    if organization is None and campaign.budget_cents is None:
        return None
    today = budget_day(DEFAULT_ZONE if organization is None else organization.time_zone, now)
    uses: list[BudgetUse] = []
    if campaign.budget_cents is not None:
        spent = await budgets.campaign_spending(connection, campaign_id=campaign.id)
        uses.append(
            BudgetUse(
                scope=BudgetScope.CAMPAIGN,
                limit_cents=campaign.budget_cents,
                spent_cents=spent.spent_cents,
                reserved_cents=spent.reserved_cents,
            )
        )
        if uses[0].is_nearly_used and campaign.budget_alerted_at is None:
            await budgets.note_campaign_alert(connection, campaign_id=campaign.id, now=now)
            await report_budget(connection, campaign.organization_id, campaign.id, uses[0])
    if organization is not None:
        of_organization = await organization_uses(connection, campaign.organization_id, organization, today)
        await report_organization(connection, campaign.organization_id, organization, of_organization, today)
        uses += of_organization
    agent = campaign.retell_agent_id
    costs = await _recent_costs(connection, campaign.organization_id, [agent])
    return ClaimBudget(uses=uses, estimate_cents=estimate_cents(costs[agent]), day=today.day)


async def organization_uses(
    connection: Connection, organization_id: UUID, budget: budgets.OrganizationBudget, today: BudgetDay
) -> list[BudgetUse]:
    """Return the budgets of an organization for this day and this month."""
    spent = await budgets.organization_spending(
        connection, organization_id=organization_id, today=today.day, month=today.month
    )
    uses: list[BudgetUse] = []
    if budget.day_cents is not None:
        uses.append(
            BudgetUse(
                scope=BudgetScope.DAY,
                limit_cents=budget.day_cents,
                spent_cents=spent.day_spent_cents,
                reserved_cents=spent.day_reserved_cents,
                resets_at=today.next_day_at,
            )
        )
    if budget.month_cents is not None:
        uses.append(
            BudgetUse(
                scope=BudgetScope.MONTH,
                limit_cents=budget.month_cents,
                spent_cents=spent.month_spent_cents,
                reserved_cents=spent.month_reserved_cents,
                resets_at=today.next_month_at,
            )
        )
    return uses


async def read_budgets(connection: Connection, campaign_ids: Sequence[UUID], now: datetime) -> dict[UUID, ClaimBudget]:
    """Return the budgets of those campaigns that have any, as a claim would read them now."""
    rows = await budgets.budgeted_campaigns(connection, campaign_ids=list(campaign_ids))
    # Campaigns share organizations and agents: a list of campaigns reads each of them once.
    days: dict[UUID, BudgetDay] = {}
    of_organization: dict[UUID, list[BudgetUse]] = {}
    estimates: dict[tuple[UUID, str], int] = {}
    for organization_id in {row.organization_id for row in rows}:
        organization = await budgets.read_organization_budget(connection, organization_id=organization_id)
        today = budget_day(DEFAULT_ZONE if organization is None else organization.time_zone, now)
        days[organization_id] = today
        of_organization[organization_id] = (
            [] if organization is None else await organization_uses(connection, organization_id, organization, today)
        )
        agents = {row.retell_agent_id for row in rows if row.organization_id == organization_id}
        for agent, costs in (await _recent_costs(connection, organization_id, agents)).items():
            estimates[organization_id, agent] = estimate_cents(costs)
    return {
        row.id: ClaimBudget(
            uses=[*_campaign_uses(row), *of_organization[row.organization_id]],
            estimate_cents=estimates[row.organization_id, row.retell_agent_id],
            day=days[row.organization_id].day,
        )
        for row in rows
    }


async def _recent_costs(
    connection: Connection, organization_id: UUID, agents: Collection[str]
) -> dict[str, list[Decimal]]:
    """Return what the last calls of these agents cost, by agent."""
    costs: dict[str, list[Decimal]] = {agent: [] for agent in agents}
    for row in await budgets.recent_costs(connection, organization_id=organization_id, agents=list(agents)):
        costs[row.retell_agent_id].append(row.cost_cents)
    return costs


def _campaign_uses(row: budgets.BudgetedCampaign) -> list[BudgetUse]:
    if row.budget_cents is None:
        return []
    return [
        BudgetUse(
            scope=BudgetScope.CAMPAIGN,
            limit_cents=row.budget_cents,
            spent_cents=row.spent_cents,
            reserved_cents=row.reserved_cents,
        )
    ]


async def report_organization(
    connection: Connection,
    organization_id: UUID,
    budget: budgets.OrganizationBudget,
    uses: Sequence[BudgetUse],
    today: BudgetDay,
) -> None:
    """Report each budget of an organization once for its day or month. Needs lock_organization_budget."""
    day, month = budget.day_alerted_on, budget.month_alerted_on
    due = []
    for use in uses:
        if use.is_nearly_used and use.scope is BudgetScope.DAY and day != today.day:
            day = today.day
            due.append(use)
        elif use.is_nearly_used and use.scope is BudgetScope.MONTH and month != today.month:
            month = today.month
            due.append(use)
    if due:
        await budgets.note_organization_alert(
            connection, organization_id=organization_id, day_alerted_on=day, month_alerted_on=month
        )
    for use in due:
        await report_budget(connection, organization_id, None, use)


async def report_budget(
    connection: Connection, organization_id: UUID, campaign_id: UUID | None, use: BudgetUse
) -> None:
    """Write the entry of the audit log and the warning; without `campaign_id`, it is a budget of the organization."""
    amounts = {
        "limit_cents": use.limit_cents,
        "spent_cents": float(use.spent_cents),
        "reserved_cents": float(use.reserved_cents),
    }
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor="dialer",
        action="budget_nearly_used",
        subject_type="organization" if campaign_id is None else "campaign",
        subject_id=str(campaign_id or organization_id),
        details=encode_json({"budget": use.scope, **amounts}),
    )
    log(
        "dialer.budget_nearly_used",
        level="warning",
        organization_id=str(organization_id),
        campaign_id=None if campaign_id is None else str(campaign_id),
        budget=use.scope,
        limit_cents=use.limit_cents,
        spent_cents=float(use.spent_cents),
        reserved_cents=float(use.reserved_cents),
    )
