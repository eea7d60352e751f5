"""API routes for members."""

from uuid import UUID

from fastapi import Response

from outdial.studio.members import service as members
from outdial.studio.members.service import MemberSummary, PasswordReset, RoleChange
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}/members", tags=["members"])


@router.get("")
async def list_members(context: CurrentOrganization) -> list[MemberSummary]:
    """List the members of the organization."""
    async with context.transaction() as connection:
        return await members.list_members(connection, context)


@router.patch("/{user_id}")
async def change_role(context: CurrentOrganization, user_id: UUID, new: RoleChange) -> MemberSummary:
    """Change a member's role."""
    context.require("admin")
    async with context.transaction() as connection:
        return await members.change_role(connection, context, user_id, new.role)


@router.post("/{user_id}/password-reset", status_code=201)
async def begin_password_reset(context: CurrentOrganization, user_id: UUID) -> PasswordReset:
    """Make a page on which a member sets a new password, once and within 24 hours. Send them its address yourself.

    Returns 403 for owners, members of several organizations and operators of the server, and 409 on a Supabase project,
    whose Auth emails such links.
    """
    context.require("admin")
    async with context.transaction() as connection:
        return await members.begin_password_reset(connection, context, user_id)


@router.delete("/{user_id}", status_code=204)
async def remove_member(context: CurrentOrganization, user_id: UUID) -> Response:
    """Remove a member. Every member may remove themselves."""
    async with context.transaction() as connection:
        await members.remove_member(connection, context, user_id)
    return Response(status_code=204)
