"""Signing in with a password, and signing out."""

import re
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from outdial.auth.client import AuthUnavailable, BadCredentials, SignedIn, TooManyAttempts
from outdial.log import log
from outdial.studio.web import forms
from outdial.studio.web.context import StudioState, studio_state
from outdial.studio.web.errors import ServiceUnavailable
from outdial.studio.web.rendering import page
from outdial.studio.web.session_middleware import is_forged
from outdial.studio.web.sessions import SessionTooLarge, StudioSession, cookie_of, new_token, no_cookie

VISITOR_COOKIE: Final = "outdial_visitor"
_VISITOR_S: Final = 3600
_LONGEST_NEXT: Final = 2000
_UNFIT: Final = re.compile(r"[\x00-\x20\x7f\\]")
router = APIRouter()


@router.get("/sign-in")
async def show_sign_in(request: Request) -> Response:
    """Show the form; a browser that is signed in may sign in as somebody else."""
    return _form(request, own_path(request.query_params.get("next", "/")))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Begin a new session, whatever the browser has come with."""
    studio = studio_state(request)
    form = await forms.read_form(request)
    target, email = own_path(forms.text(form, "next", "/")), forms.text(form, "email")
    password = form.get("password")
    is_ours = forms.is_same_token(form.get(forms.CSRF_FIELD), _visitor_token(request, studio))
    if not is_ours or is_forged(request.method, request.url.path, request.headers, ""):
        return _form(request, target, email=email, problem="This form had grown too old: sign in once more", status=403)
    if not email or not isinstance(password, str) or not password:
        return _form(request, target, email=email, problem="Enter your e-mail address and your password", status=400)
    match await studio.auth.sign_in(email, password, address=request.client.host if request.client else ""):
        case SignedIn() as signed_in:
            return _begin(studio, signed_in, target)
        case BadCredentials():
            problem = "This e-mail address and password do not belong together"
            return _form(request, target, email=email, problem=problem, status=401)
        case TooManyAttempts(retry_after_s=seconds):
            problem = f"Too many attempts: wait {max(1, round(seconds / 60))} minutes, and try again"
            response = _form(request, target, email=email, problem=problem, status=429)
            response.headers["retry-after"] = str(round(seconds))
            return response
        case AuthUnavailable(reason=reason):
            log("studio.auth_unavailable", level="warning", reason=reason)
    return _form(request, target, email=email, problem="Signing in is not possible now: try again soon", status=503)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session, at the browser and at Auth."""
    studio = studio_state(request)
    session = request.scope.get("outdial_session")
    response = RedirectResponse("/sign-in", 303)
    if session is not None:
        await forms.checked_form(request)
        answer = await studio.auth.sign_out(session.access_token)
        if isinstance(answer, AuthUnavailable):
            log("studio.sign_out_failed", level="warning", reason=answer.reason)
    response.headers.append("set-cookie", no_cookie(secure=studio.settings.secure))
    return response


def own_path(url: str) -> str:
    """Return `url` when it is a path of the studio, else `/`: nobody is led elsewhere by signing in."""
    parts = urlsplit(url) if url.startswith("/") and not url.startswith("//") and not _UNFIT.search(url) else None
    if parts is None or parts.scheme or parts.netloc or len(url) > _LONGEST_NEXT:
        return "/"
    return "/" if parts.path.startswith(("/sign-", "/api/", "/static/")) or parts.path.endswith("/live") else url


def _begin(studio: StudioState, signed_in: SignedIn, target: str) -> Response:
    session = StudioSession(
        access_token=signed_in.access_token,
        refresh_token=signed_in.refresh_token,
        expires_at=int(signed_in.expires_at.timestamp()),
        user_id=str(signed_in.user_id),
        email=signed_in.email or "",
    )
    response = RedirectResponse(target, 303)
    try:
        response.headers.append("set-cookie", cookie_of(studio.sealer, session, secure=studio.settings.secure))
    except SessionTooLarge:
        raise ServiceUnavailable(
            "The profile that Auth keeps of this user is too large for a session: shorten it"
        ) from None
    response.delete_cookie(VISITOR_COOKIE, httponly=True, samesite="lax", secure=studio.settings.secure)
    return response


def _form(request: Request, target: str, *, email: str = "", problem: str | None = None, status: int = 200) -> Response:
    studio = studio_state(request)
    known = _visitor_token(request, studio)
    token = known or new_token()
    # The layout's own form ends the session that there may be; this one has a token of its own.
    response = page(
        request, "sign_in/sign_in.html", status=status, next=target, email=email, problem=problem, form_token=token
    )
    if known is None:
        response.set_cookie(
            VISITOR_COOKIE,
            studio.sealer.seal(VISITOR_COOKIE, token),
            max_age=_VISITOR_S,
            httponly=True,
            samesite="lax",
            secure=studio.settings.secure,
        )
    return response


def _visitor_token(request: Request, studio: StudioState) -> str | None:
    """Return the token that a browser was given with the form: who is not signed in has no session to keep it."""
    sealed = request.cookies.get(VISITOR_COOKIE)
    return None if sealed is None else studio.sealer.open(VISITOR_COOKIE, sealed, str)
