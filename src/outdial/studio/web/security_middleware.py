"""What surrounds every request: security headers, the host's name, a bound on what is read, and the last catch."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outdial.clock import Clock
from outdial.domain.ids import new_id
from outdial.log import log
from outdial.studio.web.error_responses import error_response, internal_error_response
from outdial.studio.web.errors import InvalidInput, RequestTooLarge

POLICY: Final = "; ".join(
    [
        "default-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "object-src 'none'",
        "img-src 'self' data:",
        "media-src 'self' https:",
    ]
)
_ALWAYS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_HSTS: Final = "max-age=31536000"
_MOST_BYTES: Final = 1 << 20
# Where files are uploaded, the route reads the body as it comes, and bounds it itself.
_STREAMS: Final = re.compile(
    r"/api/v1/organizations/[^/]+/(imports/[^/]+/file|do-not-call/import)|/o/[^/]+/(imports|do-not-call/import)"
)
# Asked by other names than a browser's: our own Auth through a gateway, and the health check of a container.
_ANY_HOST: Final = ("/auth/v1/", "/health")


class SecurityMiddleware:
    """The outermost layer: nothing that leaves is without its headers, and no error shows what caused it."""

    def __init__(self, app: ASGIApp, *, clock: Clock, hosts: Sequence[str], secure: bool, media: str = "") -> None:
        self._app, self._clock, self._hosts, self._secure = app, clock, frozenset(hosts), secure
        self._headers = dict(_ALWAYS)
        if secure:
            self._headers["strict-transport-security"] = _HSTS
        if media:
            self._headers["content-security-policy"] = f"{POLICY} {media}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        outgoing = _HeaderSender(send, self._headers, str(new_id(self._clock.now())))
        request = Request(scope)
        try:
            self._check_host(scope)
            await self._app(scope, _bounded(scope, receive), outgoing)
        except (InvalidInput, RequestTooLarge) as error:
            if outgoing.has_started:
                raise
            await error_response(request, error)(scope, receive, outgoing)
        except Exception as error:
            log("studio.failed", level="error", error=error, request_id=outgoing.request_id, method=request.method)
            if outgoing.has_started:
                raise
            await internal_error_response(request, outgoing.request_id)(scope, receive, outgoing)

    def _check_host(self, scope: Scope) -> None:
        """Refuse a name that is not ours: a stranger's page could have its own name lead to this machine."""
        host = Headers(scope=scope).get("host", "").lower()
        if scope["path"].startswith(_ANY_HOST):
            return
        if "*" not in self._hosts and re.sub(r":\d+$", "", host) not in self._hosts:
            raise InvalidInput("The studio is not reached under this name: add it to OUTDIAL_STUDIO_HOSTS")


class _HeaderSender:
    """Sends a response with our headers; one that the route has set itself stays."""

    def __init__(self, send: Send, headers: Mapping[str, str], request_id: str) -> None:
        self._send, self._headers, self.request_id = send, headers, request_id
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


def _bounded(scope: Scope, receive: Receive) -> Receive:
    if _STREAMS.fullmatch(scope["path"]):
        return receive
    announced = Headers(scope=scope).get("content-length", "0")
    if not announced.isdigit() or int(announced) > _MOST_BYTES:
        raise RequestTooLarge(f"Send no more than {_MOST_BYTES:,} bytes")
    read = 0

    async def receive_bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > _MOST_BYTES:
            raise RequestTooLarge(f"Send no more than {_MOST_BYTES:,} bytes")
        return message

    return receive_bounded
