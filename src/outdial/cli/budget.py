"""`outdial organization budget`: what the calls of an organization may cost on a day and in a month."""

from typing import Annotated
from uuid import UUID

import typer

from outdial.campaigns.budgets import BudgetSettings, set_budgets
from outdial.campaigns.lifecycle import Actor
from outdial.cli.errors import InvalidArgument
from outdial.cli.finding import find_organization
from outdial.cli.output import AsJson, cell, console, print_json
from outdial.clock import SystemClock
from outdial.db.queries.dialing import budgets
from outdial.db.session import Connection, Database
from outdial.dialer.budgets.limits import DEFAULT_ZONE, organization_uses
from outdial.domain.limits import BUDGET_CENTS
from outdial.domain.policies.budget import amount, budget_day
from outdial.stack.local import as_service

MOST_LISTED = 20
clock = SystemClock()


def budget(
    organization: Annotated[str, typer.Argument(help="Organization id or name.")],
    day_cents: Annotated[
        int | None, typer.Option(min=0, max=BUDGET_CENTS.most, help="Budget per day, in cents.")
    ] = None,
    month_cents: Annotated[
        int | None, typer.Option(min=0, max=BUDGET_CENTS.most, help="Budget per month, in cents.")
    ] = None,
    zone: Annotated[str | None, typer.Option(help="Time zone in which days begin, such as America/New_York.")] = None,
    no_budget: Annotated[bool, typer.Option("--no-budget", help="Remove both budgets.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show or set the budgets of an organization, and the calls with unknown cost.

    Without options it changes nothing. Options that are left out keep their value.
    """
    if no_budget and (day_cents is not None or month_cents is not None):
        raise InvalidArgument("--no-budget excludes --day-cents and --month-cents")

    async def work(database: Database) -> dict[str, object]:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            if no_budget or zone is not None or day_cents is not None or month_cents is not None:
                stored = await budgets.read_organization_budget(connection, organization_id=organization_id)
                kept = None if no_budget else stored
                new = BudgetSettings(
                    time_zone=zone or (stored.time_zone if stored else DEFAULT_ZONE),
                    day_cents=day_cents if day_cents is not None else (kept.day_cents if kept else None),
                    month_cents=month_cents if month_cents is not None else (kept.month_cents if kept else None),
                )
                await set_budgets(connection, organization_id, new, actor=Actor(), now=clock.now())
            return await _read(connection, organization_id)

    found = as_service(work)
    lines = found.pop("lines")
    if as_json:
        print_json(found)
        return
    assert isinstance(lines, list)
    for line in lines or ["No budgets."]:
        console.print(line, markup=False, soft_wrap=True)


async def _read(connection: Connection, organization_id: UUID) -> dict[str, object]:
    stored = await budgets.read_organization_budget(connection, organization_id=organization_id)
    unknown = await budgets.unknown_costs(
        connection,
        organization_id=organization_id,
        campaign_id=None,
        before_at=None,
        before_id=None,
        limit=MOST_LISTED,
    )
    uses, now = [], clock.now()
    if stored is not None:
        uses = await organization_uses(connection, organization_id, stored, budget_day(stored.time_zone, now))
    lines = [
        f"{use.scope}: {amount(use.limit_cents)}, {amount(use.spent_cents)} spent,"
        f" {amount(use.reserved_cents)} reserved"
        for use in uses
    ]
    return {
        "time_zone": stored.time_zone if stored else DEFAULT_ZONE,
        "budgets": [use.amounts() for use in uses],
        "unknown_costs": [
            {
                "call": call.id,
                "campaign": call.campaign_name,
                "reserved_cents": call.reserved_cents,
                "age_s": round((now - (call.ended_at or call.created_at)).total_seconds()),
            }
            for call in unknown
        ],
        "lines": lines
        + [
            f"cost not known since {cell(call.ended_at or call.created_at)}: call {call.id} of {call.campaign_name},"
            f" {amount(call.reserved_cents)} reserved"
            for call in unknown
        ],
    }
