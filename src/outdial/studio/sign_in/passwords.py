"""Forgotten passwords: an email of the project's Auth, or on plain Postgres a link that an admin has made."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from outdial.auth.client import AuthRefused, AuthUnavailable, LinkSent, TooManyAttempts
from outdial.auth.local.passwords import SHORTEST, PasswordQueueFull
from outdial.auth.local.service import AuthRefusal
from outdial.db.queries.auth import accounts
from outdial.log import log
from outdial.studio.sign_in.reset_rights import may_reset
from outdial.studio.sign_in.returning import new_return_link
from outdial.studio.web import forms
from outdial.studio.web.context import StudioState, studio_state
from outdial.studio.web.errors import ResourceNotFound, ServiceUnavailable
from outdial.studio.web.sessions import StudioSession, expired_session_cookie
from outdial.studio.web.visitors import EXPIRED_FORM, is_own_form, problem_of, visitor_page

router = APIRouter()
_LONGEST_EMAIL = 320
_ENDED = "This link has been used or has expired. Ask an admin for a new one"


@router.get("/sign-in/forgot")
async def forgot_password_page(request: Request) -> Response:
    """Say how to get a new password."""
    return _forgot(request)


@router.post("/sign-in/forgot")
async def recover_password_page(request: Request) -> Response:
    """Have the project's Auth email a link. The response is the same for an unknown address."""
    studio, form = studio_state(request), await forms.read_form(request)
    email = forms.short_text(form, "email", _LONGEST_EMAIL)
    if not is_own_form(request, form) or studio.local_auth is not None:
        return _forgot(request, email=email, problem=EXPIRED_FORM, status=403)
    if "@" not in email:
        return _forgot(request, email=email, error="Enter your email address", status=400)
    result = await studio.auth.recover(email, new_return_link(request, "/account"))
    match result:
        case AuthUnavailable():
            unavailable = problem_of(result)
            return _forgot(request, email=email, problem=unavailable.text, status=unavailable.status)
        case AuthRefused(code=code):
            log("studio.recovery_refused", level="warning", reason=code)
        case LinkSent() | TooManyAttempts():
            # Auth limits the emails to an address it knows: another response would show that it does.
            pass
    return _forgot(request, email=email, is_sent=True)


@router.get("/reset-password/{token}")
async def reset_password_page(request: Request, token: str) -> Response:
    """Show the form of a new password to a user with a link."""
    await _user_of(studio_state(request), token)
    return _reset(request, token)


@router.post("/reset-password/{token}")
async def set_password_page(request: Request, token: str) -> Response:
    """Set the password, once, and end the user's sessions."""
    studio, form = studio_state(request), await forms.read_form(request)
    user_id = await _user_of(studio, token)
    if not is_own_form(request, form):
        return _reset(request, token, problem=EXPIRED_FORM, status=403)
    password = str(form.get("password") or "")
    if len(password) < SHORTEST:
        return _reset(request, token, error=f"Enter a password of at least {SHORTEST} characters", status=400)
    assert studio.local_auth is not None
    try:
        changed = await studio.local_auth.reset_password(token, password)
    except PasswordQueueFull:
        raise ServiceUnavailable("Too many sign-ins at the same time: try again in a moment") from None
    if isinstance(changed, AuthRefusal):
        return _reset(request, token, error=changed.message, status=400)
    if changed is None:
        raise ResourceNotFound(_ENDED)
    async with studio.database.as_service() as connection:
        await accounts.audit_account_change(connection, user_id=user_id, action="reset_password")
    response = forms.redirect("/sign-in", "Password changed. Sign in with the new one")
    session = request.scope.get("outdial_session")
    if isinstance(session, StudioSession) and session.user_id == str(user_id):
        # Their sessions have ended, also this browser's. Someone else who is signed in here stays signed in.
        response.headers.append("set-cookie", expired_session_cookie(secure=studio.settings.secure))
    return response


async def _user_of(studio: StudioState, token: str) -> UUID:
    """Return the user whose password a token resets; raises ResourceNotFound.

    The link ends with the rights of its maker.
    """
    reset = None if studio.local_auth is None else await studio.local_auth.find_reset(token)
    if reset is None or not await may_reset(
        studio, user_id=reset.user_id, organization_id=reset.organization_id, made_by=reset.made_by
    ):
        raise ResourceNotFound(_ENDED)
    return reset.user_id


def _forgot(
    request: Request,
    *,
    email: str = "",
    problem: str | None = None,
    error: str | None = None,
    is_sent: bool = False,
    status: int = 200,
) -> Response:
    values = {"email": email, "problem": problem, "error": error, "is_sent": is_sent}
    has_email = studio_state(request).local_auth is None
    return visitor_page(request, "sign_in/forgot.html", status=status, has_email=has_email, **values)


def _reset(
    request: Request, token: str, *, problem: str | None = None, error: str | None = None, status: int = 200
) -> Response:
    values = {"url": f"/reset-password/{token}", "problem": problem, "error": error, "shortest": SHORTEST}
    return visitor_page(request, "sign_in/reset.html", status=status, **values)
