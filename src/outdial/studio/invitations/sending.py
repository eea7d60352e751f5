"""Sends the link of an invitation, where the project's Auth sends email, and shows it in any case."""

from urllib.parse import quote, urlsplit

from fastapi import Request, Response

from outdial.auth.client import AuthRefused, AuthUnavailable, LinkSent, TooManyAttempts
from outdial.log import log
from outdial.studio.invitations.service import InvitationSummary
from outdial.studio.sign_in.returning import new_return_link
from outdial.studio.web import forms
from outdial.studio.web.context import OrganizationContext


async def show_sent(request: Request, context: OrganizationContext, invitation: InvitationSummary) -> Response:
    """Email the link of a new invitation, and return to the members, where the link can be copied."""
    email, studio = invitation.email, context.studio
    shown = f"/o/{context.organization_id}/members?invited={quote(email)}"
    if studio.local_auth is not None or invitation.link is None:
        return forms.redirect(shown)
    result = await studio.auth.send_invitation(email, new_return_link(request, urlsplit(invitation.link).path))
    match result:
        case LinkSent():
            return forms.redirect(shown, f"Invitation sent to {email}.")
        case AuthRefused(message=reason):
            pass
        case TooManyAttempts():
            reason = "too many emails have been sent"
        case AuthUnavailable(reason=cause):
            log("studio.auth_unavailable", level="warning", reason=cause)
            reason = "Auth is unavailable"
    return forms.redirect(shown, f"{email} is invited, but no email was sent ({reason}). Send them the link.", "warn")
