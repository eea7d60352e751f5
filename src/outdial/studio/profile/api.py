"""API route for the caller."""

from typing import Literal
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel

from outdial.studio.organizations.service import MemberOrganization, list_memberships
from outdial.studio.profile.service import AccountSession, end_session, list_sessions
from outdial.studio.web.context import CurrentCaller, is_platform_operator
from outdial.studio.web.errors import ResourceNotFound
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(tags=["me"])


class CallerProfile(BaseModel):
    """Who calls: a user, or a back end with the secret key (`service`), which is a member of every organization.

    `is_platform_operator` is true when the caller manages functions whatever their role in an organization.
    """

    kind: Literal["user", "service"]
    user_id: UUID | None
    email: str | None
    is_platform_operator: bool
    organizations: list[MemberOrganization]


@router.get("/me/sessions")
async def list_my_sessions(caller: CurrentCaller) -> list[AccountSession]:
    """List the caller's sessions, the current one first. A back end with the secret key has none."""
    async with caller.transaction() as connection:
        return [] if caller.user_id is None else await list_sessions(connection, caller)


@router.delete("/me/sessions/{session_id}", status_code=204)
async def end_my_session(caller: CurrentCaller, session_id: UUID) -> Response:
    """End a session of the caller."""
    if caller.user_id is None:
        raise ResourceNotFound("A back end has no sessions")
    async with caller.transaction() as connection:
        await end_session(connection, caller, session_id)
    return Response(status_code=204)


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
