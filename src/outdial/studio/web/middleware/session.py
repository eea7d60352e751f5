"""Reads and renews the session cookie of each request, and rejects forged requests (CSRF)."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outdial.studio.web.context import StudioState
from outdial.studio.web.error_responses import API_PREFIX, error_response
from outdial.studio.web.errors import PermissionDenied
from outdial.studio.web.forms import is_same_origin
from outdial.studio.web.sessions import (
    COOKIE,
    RenewalUnavailable,
    SessionEnded,
    SessionTooLarge,
    StudioSession,
    expired_session_cookie,
    session_cookie,
)

_PATHS_WITHOUT_SESSION: Final = ("/static/", "/auth/v1/", "/health")
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class _SessionLookup:
    session: StudioSession | None
    set_cookie: str | None = None
    is_auth_unavailable: bool = False


class SessionMiddleware:
    """Puts the browser's session into the ASGI scope.

    Sets `outdial_session`, `outdial_headers` (the request's headers plus the access token), `outdial_csrf` (the token
    for forms), `outdial_viewer` (the email address), and `outdial_auth_unavailable` when the session could not be
    renewed. Requests with credentials of their own pass through unchanged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_PATHS_WITHOUT_SESSION):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "authorization" not in headers and "apikey" not in headers:
            found = await _find_session(scope["app"].state.studio, headers)
            if found.session is not None:
                if is_forged(scope["method"], scope["path"], headers, found.session.csrf):
                    refusal = PermissionDenied("This request does not come from the studio's own pages")
                    await error_response(Request(scope), refusal)(scope, receive, send)
                    return
                scope["outdial_session"] = found.session
                scope["outdial_headers"] = {**headers, "authorization": f"Bearer {found.session.access_token}"}
                scope["outdial_csrf"] = found.session.csrf
                scope["outdial_viewer"] = found.session.email
            scope["outdial_auth_unavailable"] = found.is_auth_unavailable
            send = _with_cookie(send, found.set_cookie)
        await self._app(scope, receive, send)


async def _find_session(studio: StudioState, headers: Headers) -> _SessionLookup:
    cookie = cookie_parser(headers["cookie"]).get(COOKIE) if "cookie" in headers else None
    session = None if cookie is None else studio.sealer.open(COOKIE, cookie, StudioSession)
    expired_cookie = expired_session_cookie(secure=studio.settings.secure)
    if session is None:
        # An unreadable cookie stays unreadable: it is malformed, or the secret has been replaced.
        return _SessionLookup(None, expired_cookie if cookie else None)
    renewal = await studio.renew(session)
    match renewal:
        case SessionEnded():
            return _SessionLookup(None, expired_cookie)
        case RenewalUnavailable():
            return _SessionLookup(None, is_auth_unavailable=True)
    if renewal is session:
        return _SessionLookup(session)
    try:
        return _SessionLookup(renewal, session_cookie(studio.sealer, renewal, secure=studio.settings.secure))
    except SessionTooLarge:
        return _SessionLookup(None, expired_cookie)


def is_forged(method: str, path: str, headers: Mapping[str, str], csrf: str) -> bool:
    """Return whether a cookie-authenticated request may come from another site's page.

    Sec-Fetch-Site and Origin must not name another site. API requests must also prove their origin, by one of these
    headers or by the token in `x-csrf-token`; page forms carry the token in a field instead.
    """
    if method in SAFE_METHODS:
        return False
    site, origin, is_same = headers.get("sec-fetch-site"), headers.get("origin"), is_same_origin(headers)
    if (site not in (None, "same-origin", "none") or origin is not None) and not is_same:
        return True
    token = headers.get("x-csrf-token", "")
    return path.startswith(API_PREFIX) and not is_same and not hmac.compare_digest(token.encode(), csrf.encode())


def _with_cookie(send: Send, cookie: str | None) -> Send:
    if cookie is None:
        return send

    async def send_with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            # Sign-in and sign-out set a newer cookie of their own.
            if not any(value.startswith(f"{COOKIE}=") for value in headers.getlist("set-cookie")):
                headers.append("set-cookie", cookie)
        await send(message)

    return send_with_cookie
