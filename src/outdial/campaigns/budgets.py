"""Sets what the calls of an organization may cost on a day and in a month."""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from outdial.campaigns.errors import InvalidBudget
from outdial.campaigns.lifecycle import Actor
from outdial.db.queries import audit, batches
from outdial.db.queries.dialing import budgets
from outdial.db.session import Connection, encode_json
from outdial.domain.calling_hours import is_zone_name
from outdial.domain.limits import BUDGET_CENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    """The budgets of an organization in cents, None for none, and the time zone in which their days begin."""

    time_zone: str
    day_cents: int | None
    month_cents: int | None


async def set_budgets(
    connection: Connection, organization_id: UUID, new: BudgetSettings, *, actor: Actor, now: datetime
) -> None:
    """Store the budgets; raises InvalidBudget. Campaigns that wait for the former ones are claimed for again."""
    if not is_zone_name(new.time_zone):
        raise InvalidBudget("time_zone", f"{new.time_zone!r} is not a time zone; use a name such as America/New_York")
    for field, cents in (("day_cents", new.day_cents), ("month_cents", new.month_cents)):
        if cents is not None and cents not in BUDGET_CENTS:
            raise InvalidBudget(field, f"must be a whole number of cents {BUDGET_CENTS}, not {cents}")
    await budgets.set_organization_budget(connection, organization_id=organization_id, now=now, **asdict(new))
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="change_budget",
        subject_type="organization",
        subject_id=str(organization_id),
        details=encode_json(asdict(new)),
    )
    woken = await batches.wake_campaigns_of_organization(connection, organization_id=organization_id, now=now)
    await batches.notify_campaigns(connection, ids=woken)
