"""Reports nearly used budgets beside claims: the costs of the last calls of a campaign come after its last claim."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries.dialing import budgets
from outdial.db.session import Database
from outdial.dialer.budgets.limits import organization_uses, report_budget, report_organization
from outdial.domain.policies.budget import NEARLY_USED, BudgetScope, BudgetUse, budget_day

EVERY: Final = timedelta(seconds=30)
"""How often the task looks for budgets that costs have nearly used up."""
COSTS_COME_WITHIN: Final = timedelta(days=2)
"""An organization without calls in this time has no new costs."""


class BudgetAlerts:
    """A background task: `run_once` reports the budgets that are due, and returns of how many organizations.

    Of two dialers that find the same budget, one reports it.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Look at the budgets of each organization that may have one to report."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            due = await budgets.organizations_with_budgets(
                connection, part=NEARLY_USED, since=(now - COSTS_COME_WITHIN).date()
            )
        for organization_id in due:
            await self._report_campaigns(organization_id, now)
            await self._report_organization(organization_id, now)
        return len(due)

    async def _report_campaigns(self, organization_id: UUID, now: datetime) -> None:
        async with self._database.for_organization(organization_id) as connection:
            for row in await budgets.note_campaign_alerts(
                connection, organization_id=organization_id, part=NEARLY_USED, now=now
            ):
                use = BudgetUse(
                    scope=BudgetScope.CAMPAIGN,
                    limit_cents=row.budget_cents,
                    spent_cents=row.spent_cents,
                    reserved_cents=row.reserved_cents,
                )
                await report_budget(connection, organization_id, row.id, use)

    async def _report_organization(self, organization_id: UUID, now: datetime) -> None:
        async with self._database.for_organization(organization_id) as connection:
            budget = await budgets.lock_organization_budget(connection, organization_id=organization_id)
            if budget is not None:
                today = budget_day(budget.time_zone, now)
                uses = await organization_uses(connection, organization_id, budget, today)
                await report_organization(connection, organization_id, budget, uses, today)
