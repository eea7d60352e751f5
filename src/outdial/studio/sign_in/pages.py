"""Password sign-in, and sign-out. A form that was sent after its session had ended is kept during sign-in."""

from functools import partial
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from outdial.auth.client import AuthUnavailable, SignedIn
from outdial.log import log
from outdial.studio.sign_in.starting import (
    KEPT,
    MAX_KEPT_CHARS,
    SealedForm,
    ask_for_code,
    begin_session,
    check_code,
)
from outdial.studio.view.badges import humanize
from outdial.studio.web import forms
from outdial.studio.web.context import studio_state
from outdial.studio.web.sessions import expired_session_cookie
from outdial.studio.web.visitors import client_of, is_own_form, problem_of, visitor_page

router = APIRouter()
# Of those that are not their name with a capital.
_PROVIDER_NAMES: Final = {
    "azure": "Microsoft",
    "github": "GitHub",
    "gitlab": "GitLab",
    "linkedin_oidc": "LinkedIn",
    "slack_oidc": "Slack",
    "workos": "WorkOS",
}


@router.get("/sign-in")
async def show_sign_in(request: Request) -> Response:
    """Show the sign-in form, also to a signed-in user who wants to switch accounts."""
    return await _form(request, forms.own_path(request.query_params.get("next", "/")))


@router.post("/sign-in/form")
async def keep_form(request: Request) -> Response:
    """Show the sign-in form to a user whose session ended before they sent a form, and keep that form.

    A session that lacks its second factor is asked for it instead.
    """
    target, action = (forms.own_path(request.query_params.get(name, "/")) for name in ("next", "action"))
    if not forms.is_same_origin(request.headers) or not action.startswith("/o/"):
        return RedirectResponse("/sign-in", 303)
    sent = await forms.read_form(request)
    studio = studio_state(request)
    kept = SealedForm(
        action=action,
        page=target,
        fields=forms.text_fields(sent),
        kept_at=studio.clock.now(),
    )
    sealed = studio.sealer.seal(KEPT, kept)
    if len(sealed) > MAX_KEPT_CHARS:
        problem = "Your session has ended, and the form is too long to keep. Go back to copy what you entered"
        return await _form(request, target, problem=problem)
    return await ask_for_code(request, target, sealed) or await _form(request, target, kept=sealed)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Sign in and start a new session, replacing any existing one."""
    studio = studio_state(request)
    form = await forms.read_form(request)
    target, email = forms.own_path(forms.text(form, "next", "/")), forms.text(form, "email")
    kept = forms.text(form, "kept")
    show = partial(_form, request, target, email=email, kept=kept)
    password = form.get("password")
    if not is_own_form(request, form):
        return await show(problem="This form has expired. Sign in again", status=403)
    if not email or not isinstance(password, str) or not password:
        return await show(problem="Enter your email and password", status=400)
    device = request.headers.get("user-agent", "")
    result = await studio.auth.sign_in(email, password, address=client_of(request), device=device)
    if isinstance(result, SignedIn):
        return begin_session(request, result, target, kept)
    refused = problem_of(result)
    response = await show(problem=refused.text, status=refused.status)
    if refused.retry_after_s is not None:
        response.headers["retry-after"] = str(round(refused.retry_after_s))
    return response


@router.get("/sign-in/code")
async def show_code_form(request: Request) -> Response:
    """Ask for the second factor of a session that was started without it."""
    target = forms.own_path(request.query_params.get("next", "/"))
    asked = await ask_for_code(request, target)
    return asked or RedirectResponse(f"/sign-in?next={quote(target, safe='/')}", 303)


@router.post("/sign-in/code")
async def give_code(request: Request) -> Response:
    """Check the second factor of a user who has given their password, and start the session."""
    form = await forms.read_form(request)
    return await check_code(request, form) if is_own_form(request, form) else RedirectResponse("/sign-in", 303)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session in the browser and at Auth."""
    studio = studio_state(request)
    session = request.scope.get("outdial_session")
    response = RedirectResponse("/sign-in", 303)
    if session is not None:
        await forms.checked_form(request)
        result = await studio.auth.sign_out(session.access_token)
        if isinstance(result, AuthUnavailable):
            log("studio.sign_out_failed", level="warning", reason=result.reason)
    response.headers.append("set-cookie", expired_session_cookie(secure=studio.settings.secure))
    return response


async def _form(
    request: Request, target: str, *, email: str = "", problem: str | None = None, status: int = 200, kept: str = ""
) -> Response:
    studio = studio_state(request)
    listed = await studio.auth.identity_providers() if studio.local_auth is None else ()
    providers = [(name, _PROVIDER_NAMES.get(name, humanize(name))) for name in listed]
    values = {"next": target, "email": email, "problem": problem, "kept": kept, "providers": providers}
    return visitor_page(request, "sign_in/sign_in.html", status=status, **values)
