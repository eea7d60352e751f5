"""Links in emails of the project's Auth, which lead back to the studio with a code, and sign the user in."""

import secrets
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from outdial.auth.client import ReturnLink, SignedIn
from outdial.studio.sign_in.starting import begin_session
from outdial.studio.web import forms
from outdial.studio.web.context import studio_state
from outdial.studio.web.visitors import EXPIRED_FORM, is_own_form, own_url, visitor_page, visitor_token

_PURPOSE: Final = "outdial_return"
_PATH: Final = "/sign-in/continue"
_LIVES: Final = timedelta(days=7)
_ENDED: Final = "This link has been used or has expired. Sign in, or ask for a new link"
router = APIRouter()


class ReturnState(msgspec.Struct, frozen=True, kw_only=True):
    """What a link carries, encrypted: the verifier of its code, and the page to go on with."""

    verifier: str
    target: str
    made_at: datetime
    browser: str = ""
    """The token of the browser in which the link has to be opened; empty for links in emails."""


def new_return_link(request: Request, target: str, *, browser: str = "") -> ReturnLink:
    """Return a link back to this studio, which goes on with the page `target` once the user is signed in.

    It holds the verifier itself, encrypted, because an email may be read in another browser. `browser` is the token of
    the only one that may open it.
    """
    studio, verifier = studio_state(request), secrets.token_urlsafe(48)
    state = ReturnState(verifier=verifier, target=target, made_at=studio.clock.now(), browser=browser)
    query = urlencode({"state": studio.sealer.seal(_PURPOSE, state)})
    return ReturnLink(own_url(request, f"{_PATH}?{query}"), verifier)


@router.get("/sign-in/with/{provider}")
async def sign_in_with_provider(request: Request, provider: str) -> Response:
    """Send the user to sign in at an identity provider of the project's Auth, which leads back to the studio.

    Only this browser can use the way back, so another site cannot sign its own user in here.
    """
    studio, token = studio_state(request), visitor_token(request)
    is_offered = studio.local_auth is None and provider in await studio.auth.identity_providers()
    if not is_offered or token is None:
        return forms.redirect("/sign-in", "Please try again", "warn")
    link = new_return_link(request, forms.own_path(request.query_params.get("next", "/")), browser=token)
    query = urlencode({"provider": provider, "redirect_to": link.url, **link.challenge})
    return RedirectResponse(f"{studio.settings.supabase_url}/auth/v1/authorize?{query}", 303)


@router.get(_PATH)
async def continue_page(request: Request) -> Response:
    """Sign in a user who returns from an identity provider; ask before the link of an email signs in.

    Anyone can send the link of their own email to another user, who would go on as the sender without noticing.
    """
    query = request.query_params
    state = _open_state(request, query.get("state", ""))
    if state is None:
        return forms.redirect("/sign-in", _ENDED, "warn")
    if "code" not in query:
        # Auth's own error, such as that of a link which has expired. Invitations where sign-ups are off come without a
        # code: the page they lead to offers to email a link that has one.
        return forms.redirect(forms.own_path(state.target), query.get("error_description"), "warn")
    if not state.browser:
        return _confirmation(request, query["state"], query["code"])
    return await _exchange(request, state, query["code"])


@router.post(_PATH)
async def continue_with_email_page(request: Request) -> Response:
    """Sign in the user of an email's link, who has asked for it on our own page."""
    form = await forms.read_form(request)
    sealed, code = forms.text(form, "state"), forms.text(form, "code")
    state = _open_state(request, sealed)
    if state is None:
        return forms.redirect("/sign-in", _ENDED, "warn")
    if not is_own_form(request, form):
        return _confirmation(request, sealed, code, problem=EXPIRED_FORM, status=403)
    return await _exchange(request, state, code)


def _open_state(request: Request, sealed: str) -> ReturnState | None:
    """Return the state of a link; None when it has expired or belongs to another browser."""
    studio = studio_state(request)
    state = studio.sealer.open(_PURPOSE, sealed, ReturnState)
    if state is None or state.made_at + _LIVES <= studio.clock.now():
        return None
    return state if state.browser in ("", visitor_token(request)) else None


def _confirmation(
    request: Request, state: str, code: str, *, problem: str | None = None, status: int = 200
) -> Response:
    viewer = request.scope.get("outdial_viewer")
    values = {"state": state, "code": code, "problem": problem, "signed_in_as": viewer}
    return visitor_page(request, "sign_in/continue.html", status=status, **values)


async def _exchange(request: Request, state: ReturnState, code: str) -> Response:
    result = await studio_state(request).auth.exchange(code, state.verifier)
    if not isinstance(result, SignedIn):
        return forms.redirect("/sign-in", _ENDED, "warn")
    return begin_session(request, result, forms.own_path(state.target))
