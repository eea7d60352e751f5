"""Pages that enrol an authenticator app as the caller's second factor, and turn it off."""

from typing import Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response

from outdial.auth.client import AuthRefused, AuthUnavailable, FactorEnrolment, FactorRemoved, FactorVerified
from outdial.studio.profile import service as profile
from outdial.studio.profile.pages import session_of, show_account
from outdial.studio.view.qr import qr_svg
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentCaller, StudioCaller
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.forms import Form
from outdial.studio.web.rendering import page
from outdial.studio.web.visitors import client_of, keep_session, problem_of

router = APIRouter()
_PURPOSE: Final = "outdial_enrolment"
_LONGEST_CODE: Final = 40


class EnrolmentState(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolment that waits for its first code, encrypted in the form, for this user alone."""

    user_id: str
    factor_id: UUID
    secret: str
    uri: str


@router.post("/account/two-factor")
async def enroll_page(request: Request, caller: CurrentCaller, form: Form) -> Response:
    """Begin to enrol an app, and show the QR code to scan. Takes the password."""
    auth, session = caller.studio.auth, session_of(request)
    try:
        await profile.check_password(caller, str(form.get("password") or ""), client_of(request))
    except InvalidInput as error:
        return await show_account(request, caller, {"enroll": error.fields["present"]})
    made = await auth.enroll_factor(session.access_token)
    match made:
        case FactorEnrolment():
            state = EnrolmentState(user_id=session.user_id, factor_id=made.id, secret=made.secret, uri=made.uri)
            return _enrolment(request, caller, state)
        case AuthRefused(message=message):
            return await show_account(request, caller, {"enroll": message})
        case AuthUnavailable():
            return await show_account(request, caller, {"enroll": problem_of(made).text})


@router.post("/account/two-factor/verify")
async def verify_page(request: Request, caller: CurrentCaller, form: Form) -> Response:
    """Check the first code of an app, turn two-factor sign-in on, and show the recovery codes once."""
    session, studio = session_of(request), caller.studio
    state = studio.sealer.open(_PURPOSE, forms.text(form, "enrolment"), EnrolmentState)
    if state is None or state.user_id != session.user_id:
        return forms.redirect("/account", "This form has expired. Try again", "warn")
    code = forms.short_text(form, "code", _LONGEST_CODE)
    if not code:
        return _enrolment(request, caller, state, "Enter the six-digit code from your app", 400)
    result = await studio.auth.verify_factor(session.access_token, state.factor_id, code, address=client_of(request))
    if not isinstance(result, FactorVerified):
        refused = problem_of(result)
        text = "Wrong code. Enter the next one your app shows" if refused.status == 401 else refused.text
        return _enrolment(request, caller, state, text, refused.status)
    await profile.record_change(caller, "enable_two_factor")
    tokens = result.signed_in
    renewed = session.renewed(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_at=int(tokens.expires_at.timestamp()),
    )
    response: Response = page(request, "profile/recovery_codes.html", codes=result.recovery_codes)
    keep_session(request, renewed, response)
    return response


@router.post("/account/two-factor/disable")
async def disable_page(request: Request, caller: CurrentCaller, form: Form) -> Response:
    """Turn two-factor sign-in off. Takes the password."""
    auth, session = caller.studio.auth, session_of(request)
    try:
        await profile.check_password(caller, str(form.get("password") or ""), client_of(request))
    except InvalidInput as error:
        return await show_account(request, caller, {"disable": error.fields["present"]})
    for factor_id in profile.own_user(await auth.user(session.access_token)).factors:
        removed = await auth.remove_factor(session.access_token, factor_id)
        if not isinstance(removed, FactorRemoved):
            text = removed.message if isinstance(removed, AuthRefused) else problem_of(removed).text
            return await show_account(request, caller, {"disable": text})
    await profile.record_change(caller, "disable_two_factor")
    return forms.redirect("/account", "Two-factor sign-in is off.")


def _enrolment(
    request: Request, caller: StudioCaller, state: EnrolmentState, problem: str | None = None, status: int = 200
) -> Response:
    return page(
        request,
        "profile/enroll.html",
        status=status,
        enrolment=caller.studio.sealer.seal(_PURPOSE, state),
        qr=qr_svg(state.uri, "QR code for your authenticator app"),
        secret=" ".join(state.secret[start : start + 4] for start in range(0, len(state.secret), 4)),
        problem=problem,
    )
