"""The page of an invitation's link: set a name and a password, or sign in, and accept."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from outdial.auth import AccessDenied, identify, parse_mode
from outdial.auth.client import AuthRefused, LinkSent, SignedIn
from outdial.auth.local.passwords import SHORTEST, PasswordQueueFull
from outdial.auth.local.service import EMAIL_EXISTS, AuthRefusal, LocalAuth
from outdial.db.queries.invitations import InvitationOfLink
from outdial.domain import limits
from outdial.studio.invitations import service as invitations
from outdial.studio.sign_in.returning import new_return_link
from outdial.studio.sign_in.starting import begin_session
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentCaller, StudioCaller, StudioState, studio_state
from outdial.studio.web.errors import ServiceUnavailable
from outdial.studio.web.forms import Form
from outdial.studio.web.visitors import (
    EXPIRED_FORM,
    client_of,
    is_own_form,
    keep_session,
    new_session,
    problem_of,
    visitor_page,
)

router = APIRouter()
_USER: Final = [parse_mode("user")]
# Where sign-ups are on, anyone may have signed up with the address, and no admin can reset the password of a user who
# is no member yet.
_OTHER_PASSWORD: Final = (
    "This email address already has an account with another password. If you do not know it, ask the operator of this "
    "server to run outdial users passwd"
)
_OPERATOR: Final = "This address belongs to an operator of this server. Create the user with: outdial users create"


@router.get("/join/{token}")
async def show_invitation_page(request: Request, token: str) -> Response:
    """Show the invitation of a link."""
    return _show(request, token, await invitations.invitation_of_link(studio_state(request), token))


@router.post("/join/{token}")
async def join_page(request: Request, token: str) -> Response:
    """Make the invited user with a name and a password, sign them in, and accept."""
    studio, form = studio_state(request), await forms.read_form(request)
    invitation = await invitations.invitation_of_link(studio, token)
    name, password = forms.short_text(form, "name", limits.LONGEST_NAME), str(form.get("password") or "")
    if not is_own_form(request, form) or studio.local_auth is None:
        return _show(request, token, invitation, problem=EXPIRED_FORM, name=name, status=403)
    if invitation.email in studio.settings.operators:
        return _show(request, token, invitation, problem=_OPERATOR, name=name, status=403)
    errors = {} if name else {"name": "Enter your name"}
    if not password:
        errors["password"] = f"Enter a password of at least {SHORTEST} characters"
    if errors:
        return _show(request, token, invitation, name=name, errors=errors, status=400)
    made = await _make_user(studio.local_auth, invitation.email, name, password)
    if isinstance(made, AuthRefusal) and made != EMAIL_EXISTS:
        return _show(request, token, invitation, name=name, errors={"password": made.message}, status=400)
    # A user who exists has signed in here with their password: both are the same form, so that the page of a link does
    # not show whether its address has an account.
    device = request.headers.get("user-agent", "")
    result = await studio.auth.sign_in(invitation.email, password, address=client_of(request), device=device)
    if not isinstance(result, SignedIn):
        refused = problem_of(result)
        text = _OTHER_PASSWORD if refused.status == 401 else refused.text
        return _show(request, token, invitation, name=name, errors={"password": text}, status=refused.status)
    if result.factors:
        return begin_session(request, result, f"/join/{token}")
    organization_id = await _accept(studio, token, result)
    response = forms.redirect(f"/o/{organization_id}/campaigns", f"Welcome to {invitation.organization_name}.")
    keep_session(request, new_session(result), response)
    return response


@router.post("/join/{token}/accept")
async def accept_link_page(caller: CurrentCaller, token: str, form: Form) -> Response:
    """Become a member, as the signed-in user of the invited address."""
    async with caller.transaction() as connection:
        organization_id = await invitations.answer_link(connection, caller, token, accepts=True)
    return forms.redirect(f"/o/{organization_id}/campaigns", "You are now a member.")


@router.post("/join/{token}/decline")
async def decline_link_page(caller: CurrentCaller, token: str, form: Form) -> Response:
    """Decline the invitation, as the signed-in user of the invited address."""
    async with caller.transaction() as connection:
        await invitations.answer_link(connection, caller, token, accepts=False)
    return forms.redirect("/", "Invitation declined.")


@router.post("/join/{token}/email")
async def email_link_page(request: Request, token: str) -> Response:
    """Have the project's Auth email a link that signs the invited user in, and leads back to the invitation."""
    studio, form = studio_state(request), await forms.read_form(request)
    invitation = await invitations.invitation_of_link(studio, token)
    if not is_own_form(request, form) or studio.local_auth is not None:
        return _show(request, token, invitation, problem=EXPIRED_FORM, status=403)
    result = await studio.auth.send_invitation(invitation.email, new_return_link(request, f"/join/{token}"))
    match result:
        case LinkSent():
            return _show(request, token, invitation, is_sent=True)
        case AuthRefused(message=message):
            return _show(request, token, invitation, problem=f"No email was sent: {message}", status=400)
    refused = problem_of(result)
    return _show(request, token, invitation, problem=refused.text, status=refused.status)


async def _make_user(auth: LocalAuth, email: str, name: str, password: str) -> object:
    try:
        # Not confirmed: the link may have been copied, so it does not show who reads email at this address.
        return await auth.create_user(email, password, user_metadata={"name": name}, is_confirmed=False)
    except PasswordQueueFull:
        raise ServiceUnavailable("Too many sign-ins at the same time: try again in a moment") from None


async def _accept(studio: StudioState, token: str, signed_in: SignedIn) -> UUID:
    headers = {"authorization": f"Bearer {signed_in.access_token}"}
    identity = await identify(headers, _USER, studio.keyring, studio.verifier)
    if isinstance(identity, AccessDenied):
        raise ServiceUnavailable(identity.message)
    caller = StudioCaller(studio, identity)
    async with caller.transaction() as connection:
        return await invitations.answer_link(connection, caller, token, accepts=True)


def _show(
    request: Request,
    token: str,
    invitation: InvitationOfLink,
    *,
    problem: str | None = None,
    name: str = "",
    errors: Mapping[str, str] | None = None,
    is_sent: bool = False,
    status: int = 200,
) -> Response:
    return visitor_page(
        request,
        "invitations/join.html",
        status=status,
        url=f"/join/{token}",
        invitation=invitation,
        is_invited=(request.scope.get("outdial_viewer") or "").lower() == invitation.email,
        has_email=studio_state(request).local_auth is None,
        is_sent=is_sent,
        problem=problem,
        name=name,
        errors=errors or {},
        shortest=SHORTEST,
    )
