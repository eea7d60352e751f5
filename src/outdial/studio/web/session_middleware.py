"""Reads the session cookie of each request, renews it when its time has come, and refuses forged requests."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outdial.studio.web.context import StudioState
from outdial.studio.web.error_responses import API_PREFIX, error_response
from outdial.studio.web.errors import PermissionDenied
from outdial.studio.web.sessions import (
    COOKIE,
    RenewalUnavailable,
    SessionEnded,
    SessionTooLarge,
    StudioSession,
    cookie_of,
    no_cookie,
)

_WITHOUT_SESSION: Final = ("/static/", "/auth/v1/", "/health")
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class _SessionLookup:
    session: StudioSession | None
    set_cookie: str | None = None
    is_undecided: bool = False


class SessionMiddleware:
    """Puts into the scope who is signed in at the browser.

    `outdial_session` is the session, `outdial_headers` are the request's headers with the access token among them,
    `outdial_csrf` is the token for forms and `outdial_viewer` the e-mail address. A request that carries a credential
    of its own is left as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith(_WITHOUT_SESSION):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not _brings_credential(headers):
            visit = await _visit(scope["app"].state.studio, _cookie(headers, COOKIE))
            if visit.session is not None:
                if is_forged(scope["method"], scope["path"], headers, visit.session.csrf):
                    refusal = PermissionDenied("This request does not come from a page of the studio")
                    await error_response(Request(scope), refusal)(scope, receive, send)
                    return
                _enter(scope, headers, visit.session)
            scope["outdial_undecided"] = visit.is_undecided
            send = _with_cookie(send, visit.set_cookie)
        await self._app(scope, receive, send)


async def _visit(studio: StudioState, cookie: str | None) -> _SessionLookup:
    session = None if cookie is None else studio.sealer.open(COOKIE, cookie, StudioSession)
    leaving = no_cookie(secure=studio.settings.secure)
    if session is None:
        # One that cannot be read will never be: another one was there, or the secret has been replaced.
        return _SessionLookup(None, leaving if cookie else None)
    renewal = await studio.renew(session)
    match renewal:
        case SessionEnded():
            return _SessionLookup(None, leaving)
        case RenewalUnavailable():
            return _SessionLookup(None, is_undecided=True)
    if renewal is session:
        return _SessionLookup(session)
    try:
        return _SessionLookup(renewal, cookie_of(studio.sealer, renewal, secure=studio.settings.secure))
    except SessionTooLarge:
        return _SessionLookup(None, leaving)


def is_forged(method: str, path: str, headers: Mapping[str, str], csrf: str) -> bool:
    """Tell whether a request that a cookie lets in may have been made by another site's page.

    What the browser says of itself (Sec-Fetch-Site, Origin) must not speak against it. Requests to the API must also be
    shown to be ours, by one of these or by the token in `x-csrf-token`; forms of pages carry the token in a field.
    """
    if method in SAFE_METHODS:
        return False
    site, origin, host = headers.get("sec-fetch-site"), headers.get("origin"), headers.get("host", "")
    is_same = site == "same-origin" or (origin is not None and urlsplit(origin).netloc.lower() == host.lower() != "")
    if (site not in (None, "same-origin", "none") or origin is not None) and not is_same:
        return True
    token = headers.get("x-csrf-token", "")
    return path.startswith(API_PREFIX) and not is_same and not hmac.compare_digest(token.encode(), csrf.encode())


def _brings_credential(headers: Headers) -> bool:
    return "authorization" in headers or "apikey" in headers


def _cookie(headers: Headers, name: str) -> str | None:
    return cookie_parser(headers["cookie"]).get(name) if "cookie" in headers else None


def _enter(scope: Scope, headers: Headers, session: StudioSession) -> None:
    scope["outdial_session"] = session
    scope["outdial_headers"] = {**headers, "authorization": f"Bearer {session.access_token}"}
    scope["outdial_csrf"] = session.csrf
    scope["outdial_viewer"] = session.email


def _with_cookie(send: Send, cookie: str | None) -> Send:
    if cookie is None:
        return send

    async def send_with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            # Signing in and out set their own, which is the newer one.
            if not any(value.startswith(f"{COOKIE}=") for value in headers.getlist("set-cookie")):
                headers.append("set-cookie", cookie)
        await send(message)

    return send_with_cookie
