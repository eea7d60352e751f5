"""Links in emails of the project's Auth, which lead back to the studio with a code, and sign the user in."""

import secrets
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Request, Response

from outdial.auth.client import ReturnLink, SignedIn
from outdial.studio.sign_in.starting import begin_session
from outdial.studio.web import forms
from outdial.studio.web.context import studio_state
from outdial.studio.web.visitors import own_url

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


def new_return_link(request: Request, target: str) -> ReturnLink:
    """Return a link back to this studio, which goes on with the page `target` once the user is signed in.

    It holds the verifier itself, encrypted, because the email may be read in another browser.
    """
    studio, verifier = studio_state(request), secrets.token_urlsafe(48)
    state = ReturnState(verifier=verifier, target=target, made_at=studio.clock.now())
    query = urlencode({"state": studio.sealer.seal(_PURPOSE, state)})
    return ReturnLink(own_url(request, f"{_PATH}?{query}"), verifier)


@router.get(_PATH)
async def continue_page(request: Request) -> Response:
    """Sign in the user whom the link of an email has led back."""
    studio, query = studio_state(request), request.query_params
    state = studio.sealer.open(_PURPOSE, query.get("state", ""), ReturnState)
    if state is None or state.made_at + _LIVES <= studio.clock.now():
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
