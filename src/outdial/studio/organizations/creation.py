"""A user without an organization creates one, and becomes its owner.

The first user of an empty installation always may. For others it is a setting: otherwise everyone who can sign up could
become a tenant, whose calls the dialers place.
"""

from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.budgets import BudgetSettings, set_budgets
from outdial.campaigns.create import NewOrganization, create_organization
from outdial.campaigns.errors import InvalidBudget
from outdial.db.queries import audit, members, organizations
from outdial.db.session import Connection
from outdial.domain.ids import new_id
from outdial.studio.organizations.service import Name
from outdial.studio.web.context import StudioCaller
from outdial.studio.web.errors import InvalidInput, PermissionDenied

MAY_NOT: Final = (
    "Organizations are created on the server here: ask an admin to invite you, or to run outdial organization create"
)


class OwnOrganization(BaseModel):
    """The name of an organization to create, and the time zone in which the days of its budgets begin."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    time_zone: Annotated[str, Field(max_length=100)]


async def may_create(caller: StudioCaller) -> bool:
    """Return whether the caller may create an organization."""
    async with caller.studio.database.as_service() as connection:
        return await _may_create(connection, caller)


async def create_own(caller: StudioCaller, new: OwnOrganization) -> UUID:
    """Create an organization with its own account, owned by the caller; raises PermissionDenied or InvalidInput.

    The account has no key yet: no name that a user may choose leads to a key in the environment.
    """
    now, user_id = caller.studio.clock.now(), caller.user_id
    async with caller.studio.database.as_service() as connection:
        # Two users who are both the first wait for each other.
        await organizations.lock_creation(connection)
        if user_id is None or not await _may_create(connection, caller):
            raise PermissionDenied(MAY_NOT)
        created = NewOrganization(new.name.strip(), credential=f"org_{new_id(now).hex}", account_name="Retell")
        organization_id = await create_organization(connection, created, now)
        await members.set_member(connection, organization_id=organization_id, user_id=user_id, role="owner", now=now)
        await audit.record_audit(
            connection,
            organization_id=organization_id,
            actor=caller.actor.name,
            action="create_organization",
            subject_type="organization",
            subject_id=str(organization_id),
            details="{}",
        )
        budgets = BudgetSettings(time_zone=new.time_zone, day_cents=None, month_cents=None)
        try:
            await set_budgets(connection, organization_id, budgets, actor=caller.actor, now=now)
        except InvalidBudget:
            raise InvalidInput("The organization was not created", {"time_zone": "choose a time zone"}) from None
    return organization_id


async def _may_create(connection: Connection, caller: StudioCaller) -> bool:
    if caller.user_id is None:
        return False
    found = await organizations.read_creation_facts(connection, user_id=caller.user_id)
    return not found.is_member and (caller.studio.settings.anyone_creates or not found.has_organizations)
