"""Forms of visitors without a session, with a CSRF token of their own, and the start of a session."""

from dataclasses import dataclass
from typing import Any, Final, assert_never

from fastapi import Request, Response
from starlette.datastructures import FormData

from outdial.auth.client import AuthUnavailable, BadCredentials, SignedIn, TooManyAttempts
from outdial.log import log
from outdial.studio.web import forms
from outdial.studio.web.context import studio_state
from outdial.studio.web.errors import ServiceUnavailable
from outdial.studio.web.middleware.session import is_forged
from outdial.studio.web.rendering import page
from outdial.studio.web.sessions import SessionTooLarge, StudioSession, new_token, session_cookie

VISITOR_COOKIE: Final = "outdial_visitor"
EXPIRED_FORM: Final = "This form has expired. Try again"
_LIFETIME_S: Final = 3600


@dataclass(frozen=True, slots=True)
class SignInProblem:
    """Why a sign-in failed, for the user. `retry_after_s` is set after too many attempts."""

    text: str
    status: int
    retry_after_s: float | None = None


def problem_of(result: BadCredentials | TooManyAttempts | AuthUnavailable) -> SignInProblem:
    """Return what to show for a sign-in that failed."""
    match result:
        case BadCredentials():
            return SignInProblem("Wrong email or password", 401)
        case TooManyAttempts(retry_after_s=seconds):
            minutes = max(1, round(seconds / 60))
            text = f"Too many attempts. Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}"
            return SignInProblem(text, 429, seconds)
        case AuthUnavailable(reason=reason):
            log("studio.auth_unavailable", level="warning", reason=reason)
            return SignInProblem("Sign-in is temporarily unavailable. Try again in a moment", 503)
        case never:
            assert_never(never)


def visitor_page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Render a page whose forms work without a session; the template puts `form_token` into each of them."""
    studio = studio_state(request)
    existing = visitor_token(request)
    # Not the session's CSRF token: the visitor may have no session yet.
    token = existing or new_token()
    response = page(request, template, status=status, form_token=token, **values)
    if existing is None:
        response.set_cookie(
            VISITOR_COOKIE,
            studio.sealer.seal(VISITOR_COOKIE, token),
            max_age=_LIFETIME_S,
            httponly=True,
            samesite="lax",
            secure=studio.settings.secure,
        )
    return response


def is_own_form(request: Request, form: FormData) -> bool:
    """Return whether a form of `visitor_page` was sent by the browser that loaded it."""
    is_ours = forms.is_same_token(form.get(forms.CSRF_FIELD), visitor_token(request))
    return is_ours and not is_forged(request.method, request.url.path, request.headers, "")


def new_session(signed_in: SignedIn) -> StudioSession:
    """Return the session of a user who has signed in."""
    return StudioSession(
        access_token=signed_in.access_token,
        refresh_token=signed_in.refresh_token,
        expires_at=int(signed_in.expires_at.timestamp()),
        user_id=str(signed_in.user_id),
        email=signed_in.email or "",
    )


def keep_session(request: Request, session: StudioSession, response: Response) -> None:
    """Store a session in the browser, in place of an earlier one; raises ServiceUnavailable when it is too large."""
    studio = studio_state(request)
    try:
        response.headers.append("set-cookie", session_cookie(studio.sealer, session, secure=studio.settings.secure))
    except SessionTooLarge:
        raise ServiceUnavailable(
            "Your user profile is too large for a session cookie: ask an admin to shorten its metadata"
        ) from None
    response.delete_cookie(VISITOR_COOKIE, httponly=True, samesite="lax", secure=studio.settings.secure)


def own_url(request: Request, path: str) -> str:
    """Return the address at which this browser reaches a path of the studio. Its host is one of the settings'."""
    scheme = "https" if studio_state(request).settings.secure else request.url.scheme
    return f"{scheme}://{request.headers['host']}{path}"


def client_of(request: Request) -> str:
    """Return the browser's address, for which Auth counts attempts."""
    return request.client.host if request.client else ""


def visitor_token(request: Request) -> str | None:
    """Return the CSRF token that was set with an earlier form, which exists before any session does."""
    sealed = request.cookies.get(VISITOR_COOKIE)
    return None if sealed is None else studio_state(request).sealer.open(VISITOR_COOKIE, sealed, str)
