"""The page of the caller's account."""

from collections.abc import Mapping
from functools import cache
from typing import Final
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from outdial.auth.client import AuthUnavailable
from outdial.auth.local.passwords import SHORTEST
from outdial.domain import limits
from outdial.domain.calling_hours import is_zone_name
from outdial.log import log
from outdial.studio.profile import service as profile
from outdial.studio.profile.service import PasswordChange
from outdial.studio.web import forms
from outdial.studio.web.appearance import keep_choice
from outdial.studio.web.context import CurrentCaller, StudioCaller, studio_state
from outdial.studio.web.errors import InvalidInput, NotSignedIn
from outdial.studio.web.filters import CHOSEN_ZONE_COOKIE, check_zone, chosen_zone
from outdial.studio.web.forms import Form
from outdial.studio.web.rendering import page
from outdial.studio.web.sessions import StudioSession, expired_session_cookie
from outdial.studio.web.visitors import client_of

router = APIRouter()
_URL: Final = "/account"
# Not the names by country that are left from before, such as US/Eastern.
_PLACES: Final = (
    "Africa/", "America/", "Antarctica/", "Arctic/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/",
    "Pacific/",
)  # fmt: skip


@router.get("/account")
async def account_page(request: Request, caller: CurrentCaller) -> HTMLResponse:
    """Show the caller's account."""
    return await show_account(request, caller)


@router.post("/account/name")
async def change_name_page(request: Request, caller: CurrentCaller, form: Form) -> Response:
    """Change the caller's name."""
    name = forms.short_text(form, "name", limits.LONGEST_NAME)
    if not name:
        return await show_account(request, caller, {"name": "Enter your name"}, {"name": name})
    auth, session = caller.studio.auth, session_of(request)
    try:
        profile.own_user(await auth.change_user(session.access_token, name=name), "name")
    except InvalidInput as error:
        return await show_account(request, caller, error.fields, {"name": name})
    return forms.redirect(_URL, "Name saved.")


@router.post("/account/password")
async def change_password_page(request: Request, caller: CurrentCaller, form: Form) -> Response:
    """Change the caller's password, and end their other sessions."""
    present, new = (str(form.get(name) or "") for name in ("present", "new"))
    if len(new) < SHORTEST:
        return await show_account(request, caller, {"new": f"Enter a password of at least {SHORTEST} characters"})
    change = PasswordChange(present=present, new=new, address=client_of(request))
    try:
        await profile.change_password(caller, session_of(request), change)
    except InvalidInput as error:
        return await show_account(request, caller, error.fields)
    return forms.redirect(_URL, "Password changed. Your other sessions have ended.")


@router.post("/account/time-zone")
async def choose_zone_page(request: Request, caller: CurrentCaller, form: Form) -> Response:
    """Choose the time zone of all pages in this browser; without one, it is that of the device."""
    name = forms.text(form, "time_zone")
    response = forms.redirect(_URL, "Time zone saved.")
    if not name:
        secure = studio_state(request).settings.secure
        response.delete_cookie(CHOSEN_ZONE_COOKIE, httponly=True, samesite="lax", secure=secure)
        return response
    try:
        check_zone("time_zone", name)
    except InvalidInput as error:
        return await show_account(request, caller, error.fields, {"time_zone": name})
    keep_choice(request, response, CHOSEN_ZONE_COOKIE, name)
    return response


@router.post("/account/sessions/{session_id}/end")
async def end_session_page(caller: CurrentCaller, session_id: UUID, form: Form) -> Response:
    """End one of the caller's other sessions."""
    async with caller.transaction() as connection:
        await profile.end_session(connection, caller, session_id)
    return forms.redirect(_URL, "Signed out. Pages that are open on that device stay visible for up to 30 seconds.")


@router.post("/account/sign-out-everywhere")
async def sign_out_everywhere_page(request: Request, caller: CurrentCaller, form: Form) -> Response:
    """End all sessions of the caller, this one included."""
    result = await caller.studio.auth.sign_out(session_of(request).access_token, "global")
    if isinstance(result, AuthUnavailable):
        log("studio.sign_out_failed", level="warning", reason=result.reason)
        return forms.redirect(
            _URL, "Sign-in is temporarily unavailable, so your sessions are still open. Try again", "bad"
        )
    response = RedirectResponse("/sign-in", 303)
    response.headers.append("set-cookie", expired_session_cookie(secure=studio_state(request).settings.secure))
    return response


def session_of(request: Request) -> StudioSession:
    """Return the browser's session; raises NotSignedIn for callers who send a token instead."""
    session = request.scope.get("outdial_session")
    if not isinstance(session, StudioSession):
        raise NotSignedIn("Sign in to see your account")
    return session


async def show_account(
    request: Request,
    caller: StudioCaller,
    errors: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Render the account, with what is wrong beside each field."""
    session = session_of(request)
    user = profile.own_user(await caller.studio.auth.user(session.access_token))
    async with caller.transaction() as connection:
        sessions = await profile.list_sessions(connection, caller)
    return page(
        request,
        "profile/show.html",
        status=400 if errors else 200,
        url=_URL,
        user=user,
        sessions=sessions,
        zones=[("", "Same as this device"), *((name, name.replace("_", " ")) for name in _zones())],
        zone_of_pages=chosen_zone(request),
        needs_present=profile.needs_present_password(caller.identity.claims, caller.studio.clock.now()),
        shortest=SHORTEST,
        has_recovery_codes=caller.studio.local_auth is not None,
        errors=errors or {},
        given=given or {},
    )


@cache
def _zones() -> tuple[str, ...]:
    """Return the zones of places, which is what users look for."""
    return tuple(sorted(name for name in available_timezones() if is_zone_name(name) and name.startswith(_PLACES)))
