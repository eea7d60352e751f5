"""API route for the caller."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from outdial.studio.functions.operators import is_platform_operator
from outdial.studio.organizations.service import MemberOrganization, list_memberships
from outdial.studio.web.context import CurrentCaller

router = APIRouter(tags=["me"])


class CallerProfile(BaseModel):
    """Who calls: a user, or a back end with the secret key (`service`), which is a member of every organization.

    `is_platform_operator` is true when the caller manages functions whatever their role in an organization.
    """

    kind: Literal["user", "service"]
    user_id: UUID | None
    email: str | None
    is_platform_operator: bool
    organizations: list[MemberOrganization]


@router.get("/me")
async def get_me(caller: CurrentCaller) -> CallerProfile:
    """Return the caller, with the organizations they are a member of."""
    async with caller.transaction() as connection:
        organizations = await list_memberships(connection, caller)
    return CallerProfile(
        kind="service" if caller.user_id is None else "user",
        user_id=caller.user_id,
        email=caller.email,
        is_platform_operator=is_platform_operator(caller),
        organizations=organizations,
    )
