"""The prefix and attributes of the studio's cookies behind https."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OURS: Final = b"outdial_"
_PREFIX: Final = b"__Host-"
# What browsers strip. Starlette strips more, so `_is_ours` strips a name as Starlette does.
_SPACE: Final = b" \t"


class HostCookieMiddleware:
    """Sends the studio's cookies as `__Host-outdial_...` with Secure, and reads no others.

    A browser accepts such a cookie only over https and only from this host, so neither another subdomain nor an
    attacker on the network can set one. The application sees the names without the prefix.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [pair for pair in scope["headers"] if pair[0] != b"cookie"]
        sent = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
        cookies = [cookie.strip(_SPACE) for cookie in sent.split(b";")]
        kept = [cookie.removeprefix(_PREFIX) for cookie in cookies if cookie and not _is_ours(cookie)]
        if kept:
            headers.append((b"cookie", b"; ".join(kept)))

        async def send_prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [_prefixed(*pair) for pair in message["headers"]]
            await send(message)

        await self._app({**scope, "headers": headers}, receive, send_prefixed)


def _is_ours(cookie: bytes) -> bool:
    return cookie.decode("latin-1").partition("=")[0].strip().startswith(_OURS.decode())


def _prefixed(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name.lower() != b"set-cookie" or not value.startswith(_OURS):
        return name, value
    secure = b"" if b"; secure" in value.lower() else b"; Secure"
    return name, _PREFIX + value + secure
