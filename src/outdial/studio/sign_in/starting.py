"""The start of a session: a second factor where the user has one, then the page that the user came for."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from outdial.auth.client import (
    AuthRefused,
    AuthUnavailable,
    AuthUser,
    BadCredentials,
    FactorVerified,
    SignedIn,
    SignedOut,
    TooManyAttempts,
)
from outdial.studio.web import forms
from outdial.studio.web.context import studio_state
from outdial.studio.web.errors import ServiceUnavailable
from outdial.studio.web.rendering import page
from outdial.studio.web.sessions import StudioSession
from outdial.studio.web.visitors import client_of, keep_session, new_session, problem_of, visitor_page

KEPT: Final = "outdial_kept_form"
_KEPT_FOR: Final = timedelta(hours=1)
# The sealed form comes back in the field `kept`, whose name counts too.
MAX_KEPT_CHARS: Final = forms.MAX_FIELD_BYTES - len("kept")
_PENDING: Final = "outdial_second_factor"
_PENDING_FOR: Final = timedelta(minutes=10)
_LONGEST_CODE: Final = 40


class SealedForm(forms.KeptForm, frozen=True, kw_only=True):
    """A form that was sent without a session, as the browser keeps it."""

    kept_at: datetime


class PendingSignIn(msgspec.Struct, frozen=True, kw_only=True):
    """A user who has given their password and not yet their second factor, encrypted in the form of the code."""

    access_token: str
    factors: tuple[UUID, ...]
    target: str
    kept: str
    made_at: datetime


def begin_session(request: Request, signed_in: SignedIn, target: str, kept: str = "") -> Response:
    """Start the session of a user and go on to `target`; with a second factor, ask for a code of it first."""
    if signed_in.factors:
        return _begin_code(request, signed_in.access_token, signed_in.factors, target, kept)
    return _start_session(request, signed_in, target, kept)


async def ask_for_code(request: Request, target: str, kept: str = "") -> Response | None:
    """Ask for the second factor of the browser's session; None without a session, or without a factor.

    Such a session comes from a studio of a version that asked for none, or its user has enrolled an app since.
    """
    session = request.scope.get("outdial_session")
    if not isinstance(session, StudioSession):
        return None
    user = await studio_state(request).auth.user(session.access_token)
    match user:
        case AuthUser(factors=factors):
            return _begin_code(request, session.access_token, factors, target, kept) if factors else None
        case SignedOut() | AuthRefused():
            return None
        case AuthUnavailable():
            if kept:
                # The page of the password keeps the form as well.
                return None
            raise ServiceUnavailable(problem_of(user).text)


def _begin_code(request: Request, access_token: str, factors: tuple[UUID, ...], target: str, kept: str) -> Response:
    studio = studio_state(request)
    pending = PendingSignIn(
        access_token=access_token, factors=factors, target=target, kept=kept, made_at=studio.clock.now()
    )
    return _code_form(request, studio.sealer.seal(_PENDING, pending), pending)


async def check_code(request: Request, form: FormData) -> Response:
    """Start the session when the code of a form is right, else show the form again."""
    studio, sealed = studio_state(request), forms.text(form, "pending")
    pending = studio.sealer.open(_PENDING, sealed, PendingSignIn)
    if pending is None or pending.made_at + _PENDING_FOR <= studio.clock.now():
        return forms.redirect("/sign-in", "Your sign-in has timed out. Sign in again", "warn")
    code = forms.short_text(form, "code", _LONGEST_CODE)
    if not code:
        return _code_form(request, sealed, pending, problem="Enter the code from your app", status=400)
    result = await _verify(request, pending, code)
    if isinstance(result, FactorVerified):
        return _start_session(request, result.signed_in, pending.target, pending.kept)
    refused = problem_of(result)
    text = "Wrong code. Each code works only once" if refused.status == 401 else refused.text
    return _code_form(request, sealed, pending, problem=text, status=refused.status)


async def _verify(
    request: Request, pending: PendingSignIn, code: str
) -> FactorVerified | BadCredentials | TooManyAttempts | AuthUnavailable:
    """Try the code with each of the user's apps: on a project's Auth they may have several."""
    result: FactorVerified | BadCredentials | TooManyAttempts | AuthUnavailable = BadCredentials()
    for factor_id in pending.factors:
        auth = studio_state(request).auth
        result = await auth.verify_factor(pending.access_token, factor_id, code, address=client_of(request))
        if not isinstance(result, BadCredentials):
            break
    return result


def _code_form(
    request: Request, sealed: str, pending: PendingSignIn, *, problem: str | None = None, status: int = 200
) -> Response:
    has_recovery_codes = studio_state(request).local_auth is not None
    values = {
        "pending": sealed,
        "problem": problem,
        "has_recovery_codes": has_recovery_codes,
        "keeps_form": bool(pending.kept),
    }
    return visitor_page(request, "sign_in/code.html", status=status, **values)


def _start_session(request: Request, signed_in: SignedIn, target: str, kept: str) -> Response:
    studio = studio_state(request)
    session = new_session(signed_in)
    form = studio.sealer.open(KEPT, kept, SealedForm) if kept else None
    response: Response = RedirectResponse(target, 303)
    if form is not None and form.kept_at + _KEPT_FOR > studio.clock.now():
        reason = "Your session had ended when you sent this form. You are signed in again"
        response = page(request, "web/kept_form.html", kept=form, form_token=session.csrf, reason=reason)
    elif form is not None:
        response = forms.redirect(target, "Forms are kept for one hour only. Nothing has been saved", "warn")
    keep_session(request, session, response)
    return response
