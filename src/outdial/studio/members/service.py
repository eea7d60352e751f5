"""The people of an organization and what they may do; the database guards who may change whom."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from outdial.db import studio_operations as db
from outdial.db.statements import Connection
from outdial.studio.web.audit import record
from outdial.studio.web.context import MemberRole, Workplace
from outdial.studio.web.errors import Conflict, Forbidden, InvalidInput, NotFound

_OWNERS = "Owners are made and unmade by owners alone"


class Person(BaseModel):
    """Somebody who works for the organization."""

    user_id: UUID
    email: str | None
    role: str
    created_at: datetime


class NewPerson(BaseModel):
    """A user, by their e-mail address, and what they may do."""

    model_config = ConfigDict(extra="forbid")
    email: Annotated[str, Field(min_length=3, max_length=320, pattern=r"^[^\x00\s]+@[^\x00\s]+$")]
    role: MemberRole = "operator"


class NewRole(BaseModel):
    """What somebody may do from now on."""

    model_config = ConfigDict(extra="forbid")
    role: MemberRole


async def list_members(connection: Connection, at: Workplace) -> list[Person]:
    """List who works for the organization, by address."""
    rows = await db.LIST_MEMBERS.all(connection, organization_id=at.organization_id)
    return [Person.model_validate(row, from_attributes=True) for row in rows]


async def add_person(connection: Connection, at: Workplace, new: NewPerson) -> Person:
    """Take an existing user into the organization; raises InvalidInput, Conflict or Forbidden."""
    at.require("admin")
    found = await db.FIND_USER_TO_ADD.one(connection, organization_id=at.organization_id, email=new.email)
    if found.id is None:
        how = f"there is no user {new.email}: they have to sign up first, or be made with: outdial users create"
        raise InvalidInput("Nobody has this e-mail address", {"email": how})
    try:
        added = await db.ADD_PERSON.maybe(
            connection,
            organization_id=at.organization_id,
            user_id=found.id,
            role=new.role,
            now=at.studio.clock.now(),
        )
    except asyncpg.InsufficientPrivilegeError:
        raise Forbidden(_OWNERS) from None
    if added is None:
        raise Conflict(f"{new.email} works here already: change their role instead")
    await record(connection, at, "add_member", "member", found.id, {"role": new.role})
    return await _find(connection, at, found.id)


async def change_role(connection: Connection, at: Workplace, user_id: UUID, role: MemberRole) -> Person:
    """Give somebody another role; raises NotFound, Forbidden, or Conflict for the last owner."""
    at.require("admin")
    person = await _find(connection, at, user_id)
    try:
        changed = await db.CHANGE_ROLE.maybe(connection, organization_id=at.organization_id, user_id=user_id, role=role)
    except asyncpg.InsufficientPrivilegeError:
        raise Forbidden(_OWNERS) from None
    except asyncpg.CheckViolationError:
        raise Conflict("The organization would be left without an owner: make somebody else one first") from None
    if changed is None:
        raise Forbidden(_OWNERS)
    if person.role != role:
        await record(connection, at, "change_role", "member", user_id, {"from": person.role, "to": role})
    return await _find(connection, at, user_id)


async def remove_person(connection: Connection, at: Workplace, user_id: UUID) -> None:
    """Let somebody go, which everybody may do for themselves; raises as `change_role` does."""
    is_own = user_id == at.member.user_id
    if not is_own:
        at.require("admin")
    person = await _find(connection, at, user_id)
    # Written first: who has left may write nothing more. Viewers may write nothing at all, and their going is seen.
    if at.may("operator"):
        await record(connection, at, "remove_member", "member", user_id, {"role": person.role})
    try:
        removed = await db.REMOVE_PERSON.maybe(connection, organization_id=at.organization_id, user_id=user_id)
    except asyncpg.CheckViolationError:
        raise Conflict("The organization would be left without an owner: make somebody else one first") from None
    if removed is None:
        raise Forbidden(_OWNERS)


async def _find(connection: Connection, at: Workplace, user_id: UUID) -> Person:
    for person in await list_members(connection, at):
        if person.user_id == user_id:
            return person
    raise NotFound("Nobody with this id works here")
