"""Security headers, host check, request body limit, and the handler of unexpected errors."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from fastapi import Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outdial.domain.ids import new_id
from outdial.log import log
from outdial.studio.web.error_responses import error_response, internal_error_response
from outdial.studio.web.errors import InvalidInput, RequestTooLarge

_POLICY: Final = (
    "default-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'self'",
    "object-src 'none'",
    "img-src 'self' data:",
    "media-src 'self' https:",
)
SOUND_DOMAIN: Final = "livekit.cloud"
"""Where the sound of live calls comes from."""
_ALWAYS: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=()",
}
_HSTS: Final = "max-age=31536000"
_MAX_BODY_BYTES: Final = 1 << 20
# Upload routes read the body as a stream and enforce their own limit.
_UPLOAD_PATHS: Final = re.compile(
    r"/api/v1/organizations/[^/]+/(imports/[^/]+/file|do-not-call/import)|/o/[^/]+/(imports|do-not-call/import)"
)
# Called under internal host names: our own Auth behind a gateway, and container health checks.
_ANY_HOST_PATHS: Final = ("/auth/v1/", "/health")


def content_policy(media: str, *, hears_calls: bool = False) -> str:
    """Return the Content-Security-Policy of a page; `media` is an origin of recordings besides https."""
    policy = "; ".join(_POLICY) + (f" {media}" if media else "")
    return f"{policy}; connect-src 'self' https://*.{SOUND_DOMAIN} wss://*.{SOUND_DOMAIN}" if hears_calls else policy


def let_hear_calls(response: Response, media: str) -> None:
    """Let a page connect to the sound of live calls, and ask for the microphone. No other page may."""
    response.headers["content-security-policy"] = content_policy(media, hears_calls=True)
    response.headers["permissions-policy"] = "microphone=(self)"


class SecurityMiddleware:
    """Outermost middleware: adds security headers to every response and hides the cause of unexpected errors."""

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str], secure: bool, media: str = "") -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._headers = {**_ALWAYS, "content-security-policy": content_policy(media)}
        if secure:
            self._headers["strict-transport-security"] = _HSTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        outgoing = _HeaderSender(send, self._headers, str(new_id(scope["app"].state.studio.clock.now())))
        request = Request(scope)
        try:
            # DNS rebinding points a hostile domain at this machine.
            host = re.sub(r":\d+$", "", request.headers.get("host", "").lower())
            if "*" not in self._hosts and host not in self._hosts and not scope["path"].startswith(_ANY_HOST_PATHS):
                raise InvalidInput("Unknown host name: add it to OUTDIAL_STUDIO_HOSTS")
            await self._app(scope, _limited(scope, receive), outgoing)
        except (InvalidInput, RequestTooLarge) as error:
            if outgoing.has_started:
                raise
            await error_response(request, error)(scope, receive, outgoing)
        except Exception as error:
            log("studio.failed", level="error", error=error, request_id=outgoing.request_id, method=request.method)
            if outgoing.has_started:
                raise
            await internal_error_response(request, outgoing.request_id)(scope, receive, outgoing)


class _HeaderSender:
    """Adds our headers to a response without replacing those the route has set."""

    def __init__(self, send: Send, headers: Mapping[str, str], request_id: str) -> None:
        self._send = send
        self._headers = headers
        self.request_id = request_id
        self.has_started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
            headers["x-request-id"] = self.request_id
        await self._send(message)


def _limited(scope: Scope, receive: Receive) -> Receive:
    if _UPLOAD_PATHS.fullmatch(scope["path"]):
        return receive
    declared = Headers(scope=scope).get("content-length", "0")
    if not declared.isdigit() or int(declared) > _MAX_BODY_BYTES:
        raise RequestTooLarge(f"The request may have at most {_MAX_BODY_BYTES:,} bytes")
    read = 0

    async def receive_limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > _MAX_BODY_BYTES:
            raise RequestTooLarge(f"The request may have at most {_MAX_BODY_BYTES:,} bytes")
        return message

    return receive_limited
