"""Password sign-in, and sign-out. A form that was sent after its session had ended is kept during sign-in."""

from datetime import datetime, timedelta
from functools import partial
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from outdial.auth.client import AuthUnavailable, SignedIn
from outdial.log import log
from outdial.studio.web import forms
from outdial.studio.web.context import studio_state
from outdial.studio.web.rendering import page
from outdial.studio.web.sessions import expired_session_cookie
from outdial.studio.web.visitors import client_of, is_own_form, keep_session, new_session, problem_of, visitor_page

KEPT: Final = "outdial_kept_form"
_KEPT_FOR: Final = timedelta(hours=1)
# The sealed form comes back in the field `kept`, whose name counts too.
_MAX_KEPT_CHARS: Final = forms.MAX_FIELD_BYTES - len("kept")
router = APIRouter()


class SealedForm(forms.KeptForm, frozen=True, kw_only=True):
    """A form that was sent without a session, as the browser keeps it."""

    kept_at: datetime


@router.get("/sign-in")
async def show_sign_in(request: Request) -> Response:
    """Show the sign-in form, also to a signed-in user who wants to switch accounts."""
    return _form(request, forms.own_path(request.query_params.get("next", "/")))


@router.post("/sign-in/form")
async def keep_form(request: Request) -> Response:
    """Show the sign-in form to a user whose session ended before they sent a form, and keep that form."""
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
    if len(sealed) > _MAX_KEPT_CHARS:
        problem = "Your session has ended, and the form is too long to keep. Go back to copy your entries"
        return _form(request, target, problem=problem)
    return _form(request, target, kept=sealed)


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
        return show(problem="This form has expired. Please sign in again", status=403)
    if not email or not isinstance(password, str) or not password:
        return show(problem="Enter your email and password", status=400)
    result = await studio.auth.sign_in(email, password, address=client_of(request))
    if isinstance(result, SignedIn):
        return _start_session(request, result, target, kept)
    refused = problem_of(result)
    response = show(problem=refused.text, status=refused.status)
    if refused.retry_after_s is not None:
        response.headers["retry-after"] = str(round(refused.retry_after_s))
    return response


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


def _start_session(request: Request, signed_in: SignedIn, target: str, kept: str) -> Response:
    studio = studio_state(request)
    session = new_session(signed_in)
    form = studio.sealer.open(KEPT, kept, SealedForm) if kept else None
    response: Response = RedirectResponse(target, 303)
    if form is not None and form.kept_at + _KEPT_FOR > studio.clock.now():
        reason = "You are signed in again. Your session had ended before you sent this form"
        response = page(request, "web/kept_form.html", kept=form, form_token=session.csrf, reason=reason)
    elif form is not None:
        response = forms.redirect(target, "Your form was kept for one hour only. Nothing has been saved", "warn")
    keep_session(request, session, response)
    return response


def _form(
    request: Request, target: str, *, email: str = "", problem: str | None = None, status: int = 200, kept: str = ""
) -> Response:
    values = {"next": target, "email": email, "problem": problem, "kept": kept}
    return visitor_page(request, "sign_in/sign_in.html", status=status, **values)
