"""Budgets in simulated runs: set, raised and removed by operators, with the simulators' own costs as the witness."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from outdial.promises.spending import BilledCall, BudgetedCalls, overspending
from outdial.retell.simulator import DueWebhook, SimulatedWorkspace
from outdial.retell.simulator.clock import epoch_ms, from_epoch_ms
from outdial.retell.simulator.faults import Fault, FaultKind
from tests.support import factories

PAST_COST = 2
"""What the agent's earlier calls cost, in cents. Calls of the run cost more, so the first estimates are too low."""
PAST_CALLS = 20


@dataclass(slots=True)
class BudgetWitness:
    """The budgets of a run and their changes. Its chance is its own, so that the rest of a seed stays as it is."""

    chance: random.Random
    limits: dict[UUID, list[tuple[datetime, int | None]]] = field(default_factory=dict)
    """By campaign, and for the budget of a day by organization: since when each limit applies."""

    async def populate(
        self, observer: asyncpg.Connection, tenant: factories.Tenant, campaigns: list[UUID], start: datetime
    ) -> None:
        """Give the agent a past, the organization a budget for the day, and the campaigns budgets, as chance has it."""
        await _past_calls(observer, tenant, start - timedelta(days=30))
        if self.chance.random() < 0.5:
            await self._set(observer, tenant.organization_id, start, self.chance.choice((60, 150)), of_day=True)
        for campaign_id in campaigns:
            if self.chance.random() < 0.7:
                await self._set(observer, campaign_id, start, self.chance.choice((0, 25, 60, 120)))

    def faults(self) -> list[Fault]:
        """Return faults of costs: some webhooks of a run come without them, and sometimes all of a call."""
        shares = {"call_ended": self.chance.choice((0, 0.5)), "call_analyzed": self.chance.choice((0, 0.3))}
        return [Fault(kind=FaultKind.hide_cost, event=name, probability=share) for name, share in shares.items()]

    async def raise_some(self, observer: asyncpg.Connection, now: datetime) -> None:
        """Raise the budget of a campaign that waits, now and then."""
        if self.chance.random() < 0.1:
            waiting = await observer.fetchval("select min(id::text)::uuid from campaigns where waiting_for = 'budget'")
            if waiting in self.limits:
                await self._set(observer, waiting, now, (self.limits[waiting][-1][1] or 0) + 40)

    async def remove_all(self, observer: asyncpg.Connection, now: datetime) -> None:
        """Remove every budget, so that calls whose cost stays unknown do not keep a campaign from its end."""
        for owner, changes in self.limits.items():
            if changes[-1][1] is not None:
                await self._set(observer, owner, now, None)

    async def breaches(self, observer: asyncpg.Connection, workspaces: dict[str, SimulatedWorkspace]) -> Iterator[str]:
        """Return what broke a promise about budgets, by the costs of the simulators."""
        bills = {
            bill["call_id"]: bill
            for workspace in workspaces.values()
            for bill in map(workspace.bills.bill_of, workspace.calls.values())
        }
        calls = await observer.fetch(_CALLS)
        found = []
        for owner, changes in self.limits.items():
            of_owner = [call for call in calls if owner in (call["campaign_id"], call["organization_id"])]
            days = {call["claimed_at"].date() if call["organization_id"] == owner else None for call in of_owner}
            for day in days:
                counted = [call for call in of_owner if day in (None, call["claimed_at"].date())]
                budget = BudgetedCalls(
                    name=f"{owner} {day or ''}",
                    limit_cents=0,
                    least_cents=PAST_COST,
                    calls=[
                        _billed(call, limit, bills) for call in counted if (limit := _limit(changes, call)) is not None
                    ],
                )
                found += list(overspending(budget))
        for row in await observer.fetch(_SPENDING):
            mine = [call for call in calls if call["campaign_id"] == row["campaign_id"]]
            spent, reserved = _settled(mine, bills)
            # Rounding both would tell 41.225 from a sum of floats that is the least bit below it.
            if abs(float(row["spent"]) - spent) >= 0.005 or row["reserved"] != reserved:
                found.append(f"{dict(row)} is counted, but {spent:.2f} were reported and {reserved} reserved")
        return iter(found)

    async def _set(
        self, observer: asyncpg.Connection, owner: UUID, now: datetime, cents: int | None, *, of_day: bool = False
    ) -> None:
        self.limits.setdefault(owner, []).append((now, cents))
        if of_day:
            await factories.insert(
                observer, "organization_budgets", organization_id=owner, day_cents=cents, updated_at=now
            )
            return
        await observer.execute(
            "update organization_budgets set day_cents = $2 where organization_id = $1", owner, cents
        )
        await observer.execute("update campaigns set budget_cents = $2 where id = $1", owner, cents)


async def deliver(workspace: SimulatedWorkspace, webhook: DueWebhook, now: datetime) -> None:
    """Note that a webhook with a cost leaves for the receiver."""
    if webhook.has_cost:
        workspace.bills.sent(webhook.call_id, epoch_ms(now))


async def settled(observer: asyncpg.Connection, workspaces: dict[str, SimulatedWorkspace], now: datetime) -> None:
    """Note that every cost that was sent is known, unless an event still waits to be applied."""
    if not await observer.fetchval("select exists (select from webhook_events where status = 'pending')"):
        for workspace in workspaces.values():
            workspace.bills.accepted_all(epoch_ms(now))


def _limit(changes: list[tuple[datetime, int | None]], call: Any) -> int | None:
    return [cents for at, cents in changes if at <= call["claimed_at"]][-1]


def _billed(call: Any, limit: int, bills: dict[str, Any]) -> BilledCall:
    bill = bills.get(call["retell_call_id"], {"cost_cents": 0, "sent_ms": epoch_ms(call["claimed_at"])})
    sent, accepted = bill["sent_ms"], bill.get("accepted_ms")
    return BilledCall(
        id=str(call["id"]),
        claimed_at=call["claimed_at"],
        limit_cents=limit,
        cost_cents=bill["cost_cents"] or 0,
        sent_at=None if sent is None else from_epoch_ms(sent),
        accepted_at=None if accepted is None else from_epoch_ms(accepted),
    )


def _settled(calls: list[Any], bills: dict[str, Any]) -> tuple[float, int]:
    """Return what the reported calls of a campaign cost, and what is reserved for those whose cost was never sent."""
    spent, reserved = 0.0, 0
    for call in calls:
        bill = bills.get(call["retell_call_id"])
        if bill is not None and bill["sent_ms"] is not None:
            spent += bill["cost_cents"]
        elif bill is not None:
            reserved += call["reserved_cents"] or 0
    return spent, reserved


async def _past_calls(observer: asyncpg.Connection, tenant: factories.Tenant, at: datetime) -> None:
    past = await factories.create_campaign(
        observer, tenant, status="completed", next_batch_at=None, created_at=at, finished_at=at
    )
    entry = await factories.create_campaign_contact(observer, past, status="completed")
    for number in range(PAST_CALLS):
        await factories.create_call(
            observer,
            entry,
            status="ended",
            request_deadline=None,
            next_check_at=None,
            attempt_number=number + 1,
            cost_cents=PAST_COST,
            requested_at=at,
            created_at=at,
        )


_CALLS = """
select c.id, c.campaign_id, c.organization_id, c.retell_call_id, c.reserved_cents, c.created_at as claimed_at
from calls c where c.cost_cents is distinct from 2 or c.retell_call_id is not null order by c.created_at, c.id
"""
_SPENDING = """
select s.campaign_id, sum(s.spent_cents) as spent, sum(s.reserved_cents)::bigint as reserved
from spending s join campaigns m on m.id = s.campaign_id
where m.retell_agent_id is not null and exists (
  select from calls c where c.campaign_id = m.id and c.retell_call_id is not null)
group by s.campaign_id
"""
