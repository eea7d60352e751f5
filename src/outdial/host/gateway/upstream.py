"""Forward /auth/v1 to the Auth server, so that clients need only one URL."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from outdial.host.gateway.relay import HttpRelay
from outdial.host.gateway.tls import first_value
from outdial.host.wire.headers import forwarded_client, headers_for_function, headers_for_peer
from outdial.host.wire.responses import auth_unreachable
from outdial.http import HttpResponse, RequestHead
from outdial.log import log
from outdial.settings import SettingError

PREFIX: Final = "/auth/v1/"
SETTING: Final = "OUTDIAL_AUTH_UPSTREAM"
MAX_BODY_BYTES: Final = 64 * 1024
# Hashing a password is slow, and attempts queue for it.
_TIMEOUT_S: Final = 20.0


@dataclass(slots=True)
class AuthUpstream:
    """The Auth server at `address`, such as http://127.0.0.1:54323."""

    address: str
    # Proxies in front of this host.
    proxies: int = 0
    _relay: HttpRelay = field(default_factory=HttpRelay)

    def __post_init__(self) -> None:
        if urlsplit(self.address).scheme not in ("http", "https") or not urlsplit(self.address).hostname:
            raise SettingError(f"{SETTING} must be a URL such as http://127.0.0.1:54323, not {self.address!r}")

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Return the server's response. It gets the client's address, and only that, in x-forwarded-for."""
        client = forwarded_client(head.headers, head.client, self.proxies)
        secure = head.secure
        if self.proxies:
            secure = first_value(head.headers, b"x-forwarded-proto") == "https"
        headers = headers_for_peer(headers_for_function(head.headers, client, secure=secure, behind_proxy=False))
        try:
            return await self._relay.forward(self.address, head, headers, body, timeout_s=_TIMEOUT_S)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log("upstream.auth_unreachable", level="error", reason=repr(error))
            return auth_unreachable().to_http()

    async def close(self) -> None:
        await self._relay.close()
