"""The people of an organization and what they may do; the database guards who may change whom."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries import members
from outdial.db.session import Connection
from outdial.studio.web.audit import record
from outdial.studio.web.context import MemberRole, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict, ResourceNotFound

_OWNERS = "Owners are made and unmade by owners alone"


class OrganizationMember(BaseModel):
    """Somebody who works for the organization."""

    user_id: UUID
    email: str | None
    role: str
    created_at: datetime


class NewMember(BaseModel):
    """A user, by their e-mail address, and what they may do."""

    model_config = ConfigDict(extra="forbid")
    email: Annotated[str, Field(min_length=3, max_length=320, pattern=r"^[^\x00\s]+@[^\x00\s]+$")]
    role: MemberRole = "operator"


class RoleChange(BaseModel):
    """What somebody may do from now on."""

    model_config = ConfigDict(extra="forbid")
    role: MemberRole


async def list_members(connection: Connection, context: OrganizationContext) -> list[OrganizationMember]:
    """List who works for the organization, by address."""
    rows = await members.list_members(connection, organization_id=context.organization_id)
    return [OrganizationMember.model_validate(row, from_attributes=True) for row in rows]


async def add_member(connection: Connection, context: OrganizationContext, new: NewMember) -> OrganizationMember:
    """Take an existing user into the organization; raises InvalidInput, Conflict or Forbidden."""
    context.require("admin")
    user_id = await members.find_user_to_add(connection, organization_id=context.organization_id, email=new.email)
    if user_id is None:
        how = f"there is no user {new.email}: they have to sign up first, or be made with: outdial users create"
        raise InvalidInput("Nobody has this e-mail address", {"email": how})
    try:
        added = await members.add_member(
            connection,
            organization_id=context.organization_id,
            user_id=user_id,
            role=new.role,
            now=context.studio.clock.now(),
        )
    except asyncpg.InsufficientPrivilegeError:
        raise PermissionDenied(_OWNERS) from None
    if added is None:
        raise ResourceConflict(f"{new.email} works here already: change their role instead")
    await record(connection, context, "add_member", "member", user_id, {"role": new.role})
    return await _find(connection, context, user_id)


async def change_role(
    connection: Connection, context: OrganizationContext, user_id: UUID, role: MemberRole
) -> OrganizationMember:
    """Give somebody another role; raises NotFound, Forbidden, or Conflict for the last owner."""
    context.require("admin")
    person = await _find(connection, context, user_id)
    try:
        changed = await members.change_role(
            connection, organization_id=context.organization_id, user_id=user_id, role=role
        )
    except asyncpg.InsufficientPrivilegeError:
        raise PermissionDenied(_OWNERS) from None
    except asyncpg.CheckViolationError:
        raise ResourceConflict(
            "The organization would be left without an owner: make somebody else one first"
        ) from None
    if changed is None:
        raise PermissionDenied(_OWNERS)
    if person.role != role:
        await record(connection, context, "change_role", "member", user_id, {"from": person.role, "to": role})
    return await _find(connection, context, user_id)


async def remove_member(connection: Connection, context: OrganizationContext, user_id: UUID) -> None:
    """Let somebody go, which everybody may do for themselves; raises as `change_role` does."""
    is_own = user_id == context.caller.user_id
    if not is_own:
        context.require("admin")
    person = await _find(connection, context, user_id)
    # Written first: who has left may write nothing more. Viewers may write nothing at all, and their going is seen.
    if context.may("operator"):
        await record(connection, context, "remove_member", "member", user_id, {"role": person.role})
    try:
        removed = await members.remove_member(connection, organization_id=context.organization_id, user_id=user_id)
    except asyncpg.CheckViolationError:
        raise ResourceConflict(
            "The organization would be left without an owner: make somebody else one first"
        ) from None
    if removed is None:
        raise PermissionDenied(_OWNERS)


async def _find(connection: Connection, context: OrganizationContext, user_id: UUID) -> OrganizationMember:
    for person in await list_members(connection, context):
        if person.user_id == user_id:
            return person
    raise ResourceNotFound("Nobody with this id works here")
