"""Forms that withdraw, accept and decline invitations.

The members page invites, and the list of organizations shows what the caller has received.
"""

from uuid import UUID

from fastapi import APIRouter, Response

from outdial.studio.invitations import service as invitations
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentCaller, CurrentOrganization
from outdial.studio.web.forms import Form

router = APIRouter()


@router.post("/o/{organization_id}/invitations/withdraw")
async def withdraw_invitation_page(context: CurrentOrganization, form: Form) -> Response:
    """Withdraw an invitation."""
    email = forms.text(form, "email")
    async with context.transaction() as connection:
        await invitations.withdraw(connection, context, email)
    return forms.redirect(f"/o/{context.organization_id}/members", f"Invitation to {email} withdrawn.")


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
