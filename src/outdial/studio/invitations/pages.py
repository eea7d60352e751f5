"""Forms that resend, revoke, accept and decline invitations.

The members page invites, and the list of organizations shows what the caller has received.
"""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from outdial.studio.invitations import service as invitations
from outdial.studio.invitations.sending import show_sent
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentCaller, CurrentOrganization
from outdial.studio.web.forms import Form
from outdial.studio.web.visitors import own_url

router = APIRouter()


@router.post("/o/{organization_id}/invitations/withdraw")
async def withdraw_invitation_page(context: CurrentOrganization, form: Form) -> Response:
    """Revoke an invitation."""
    email = forms.text(form, "email")
    async with context.transaction() as connection:
        await invitations.withdraw(connection, context, email)
    return forms.redirect(f"/o/{context.organization_id}/members", f"Invitation to {email} revoked.")


@router.post("/o/{organization_id}/invitations/resend")
async def resend_invitation_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Give an invitation a new link, and email it where the project's Auth sends email."""
    email = forms.text(form, "email")
    async with context.transaction() as connection:
        resent = await invitations.resend(connection, context, email, own_url(request, ""))
    return await show_sent(request, context, resent)


@router.post("/invitations/{organization_id}/accept")
async def accept_invitation_page(caller: CurrentCaller, organization_id: UUID, form: Form) -> Response:
    """Become a member."""
    async with caller.transaction() as connection:
        await invitations.answer_invitation(connection, caller, organization_id, accepts=True)
    return forms.redirect(f"/o/{organization_id}/campaigns", "You are now a member.")


@router.post("/invitations/{organization_id}/decline")
async def decline_invitation_page(caller: CurrentCaller, organization_id: UUID, form: Form) -> Response:
    """Decline an invitation."""
    async with caller.transaction() as connection:
        await invitations.answer_invitation(connection, caller, organization_id, accepts=False)
    return forms.redirect("/organizations", "Invitation declined.")
