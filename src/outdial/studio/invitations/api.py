"""API routes for invitations."""

from uuid import UUID

from fastapi import Request, Response

from outdial.studio.invitations import service as invitations
from outdial.studio.invitations.service import InvitationSummary, NewInvitation, ReceivedInvitation
from outdial.studio.web.context import CurrentCaller, CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.visitors import own_url

router = ApiRouter(tags=["members"])


@router.get("/organizations/{organization_id}/invitations")
async def list_invitations(request: Request, context: CurrentOrganization) -> list[InvitationSummary]:
    """List the open invitations of the organization."""
    context.require("admin")
    async with context.transaction() as connection:
        return await invitations.list_invitations(connection, context, own_url(request, ""))


@router.post("/organizations/{organization_id}/invitations", status_code=201)
async def invite_member(request: Request, context: CurrentOrganization, new: NewInvitation) -> InvitationSummary:
    """Invite a user by email address. They become a member by opening the link, which is valid for 7 days and once.

    Returns 409 for members and for addresses that are already invited. This sends no email: send them the link.
    """
    context.require("admin")
    async with context.transaction() as connection:
        return await invitations.invite(connection, context, new, own_url(request, ""))


@router.post("/organizations/{organization_id}/invitations/{email}/resend")
async def resend_invitation(request: Request, context: CurrentOrganization, email: str) -> InvitationSummary:
    """Give an invitation a new link, valid for 7 days. The former link ends."""
    context.require("admin")
    async with context.transaction() as connection:
        return await invitations.resend(connection, context, email, own_url(request, ""))


@router.delete("/organizations/{organization_id}/invitations/{email}", status_code=204)
async def withdraw_invitation(context: CurrentOrganization, email: str) -> Response:
    """Withdraw an invitation."""
    context.require("admin")
    async with context.transaction() as connection:
        await invitations.withdraw(connection, context, email)
    return Response(status_code=204)


@router.get("/invitations")
async def list_received_invitations(caller: CurrentCaller) -> list[ReceivedInvitation]:
    """List the invitations to the caller's email address."""
    async with caller.transaction() as connection:
        return await invitations.received_invitations(connection, caller)


@router.post("/invitations/{organization_id}/accept", status_code=204)
async def accept_invitation(caller: CurrentCaller, organization_id: UUID) -> Response:
    """Become a member of the organization with this id."""
    async with caller.transaction() as connection:
        await invitations.answer_invitation(connection, caller, organization_id, accepts=True)
    return Response(status_code=204)


@router.post("/invitations/{organization_id}/decline", status_code=204)
async def decline_invitation(caller: CurrentCaller, organization_id: UUID) -> Response:
    """Decline the invitation to the organization with this id."""
    async with caller.transaction() as connection:
        await invitations.answer_invitation(connection, caller, organization_id, accepts=False)
    return Response(status_code=204)
