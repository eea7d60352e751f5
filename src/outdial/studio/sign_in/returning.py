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
from outdial.studio.web.visitors import own_url, visitor_token

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
    """Sign in the user whom the link of an email has led back."""
    studio, query = studio_state(request), request.query_params
    state = studio.sealer.open(_PURPOSE, query.get("state", ""), ReturnState)
    is_elsewhere = state is not None and bool(state.browser) and state.browser != visitor_token(request)
    if state is None or is_elsewhere or state.made_at + _LIVES <= studio.clock.now():
        return forms.redirect("/sign-in", _ENDED, "warn")
    target = forms.own_path(state.target)
    if "code" not in query:
        # Auth's own error, such as that of a link which has expired. Invitations where sign-ups are off come without a
        # code: the page they lead to offers to email a link that has one.
        return forms.redirect(target, query.get("error_description"), "warn")
    result = await studio.auth.exchange(query["code"], state.verifier)
    if not isinstance(result, SignedIn):
        return forms.redirect("/sign-in", _ENDED, "warn")
    return begin_session(request, result, target)
