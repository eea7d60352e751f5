"""Routes of the API for members."""

from uuid import UUID

from fastapi import APIRouter, Response

from outdial.studio.members import service as members
from outdial.studio.members.service import NewPerson, NewRole, Person
from outdial.studio.web.context import AtWork

router = APIRouter(prefix="/organizations/{organization_id}/members", tags=["members"])


@router.get("")
async def list_members(at: AtWork) -> list[Person]:
    """List who works for the organization."""
    async with at.transaction() as connection:
        return await members.list_members(connection, at)


@router.post("", status_code=201)
async def add_member(at: AtWork, new: NewPerson) -> Person:
    """Take a user into the organization. Repeating it changes nothing: somebody who works here already gets 409."""
    at.require("admin")
    async with at.transaction() as connection:
        return await members.add_person(connection, at, new)


@router.patch("/{user_id}")
async def change_role(at: AtWork, user_id: UUID, new: NewRole) -> Person:
    """Give somebody another role."""
    at.require("admin")
    async with at.transaction() as connection:
        return await members.change_role(connection, at, user_id, new.role)


@router.delete("/{user_id}", status_code=204)
async def remove_member(at: AtWork, user_id: UUID) -> Response:
    """Let somebody go; everybody may leave by themselves."""
    async with at.transaction() as connection:
        await members.remove_person(connection, at, user_id)
    return Response(status_code=204)
