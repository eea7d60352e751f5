"""The client of pre-dial hooks. Whatever goes wrong is a HookFailure, and a failure allows no call."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp

from outdial.pre_dial.addresses import check_hook_url
from outdial.pre_dial.errors import InvalidHookUrl, PrivateAddress, UnreadableResponse
from outdial.pre_dial.messages import TIMEOUT_S, CallClearance, ClearanceRequest, encode_request, read_response
from outdial.pre_dial.resolver import GuardedResolver
from outdial.pre_dial.signature import HEADER, sign

MAX_RESPONSE_BYTES: Final = 64 * 1024
MAX_RESULT_BYTES: Final = 2 * 1024
"""The response may have MAX_RESPONSE_BYTES, and this many more for each call."""
CONNECTIONS: Final = 50


@dataclass(frozen=True, slots=True)
class HookEndpoint:
    """The URL of a hook, and the secret that signs the requests to it."""

    url: str
    secret: str = field(repr=False)

    @property
    def host(self) -> str:
        """The host of the URL: what may be logged and shown of it."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class HookDecided:
    """The hook has decided about every call of the request."""

    clearances: Mapping[UUID, CallClearance]


@dataclass(frozen=True, slots=True)
class HookFailure:
    """The hook has decided about no call. The reason names no phone, and not the secret."""

    reason: str


HookResponse: TypeAlias = HookDecided | HookFailure


class HookClient:
    """Asks pre-dial hooks: one POST, no redirects, no retries, TIMEOUT_S in all.

    `allow_private` permits hooks on private networks and on this machine. `guard` runs before each request and raises
    if the caller holds something that it must not hold during a request, such as an open transaction.
    """

    def __init__(
        self, *, allow_private: bool, timeout_s: float = TIMEOUT_S, guard: Callable[[], None] | None = None
    ) -> None:
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._guard = guard
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, endpoint: HookEndpoint, request: ClearanceRequest) -> HookResponse:
        """Return what the hook decides about the calls of `request`. Raises nothing for a hook that fails."""
        if self._guard is not None:
            self._guard()
        body = encode_request(request)
        headers = {HEADER: sign(body, endpoint.secret, int(request.sent_at.timestamp()))}
        try:
            url = check_hook_url(endpoint.url, allow_private=self._allow_private)
            async with asyncio.timeout(self._timeout_s):
                response = await self._post(
                    url, body, headers, MAX_RESPONSE_BYTES + MAX_RESULT_BYTES * len(request.calls)
                )
            return HookDecided(read_response(response, request.calls))
        except (InvalidHookUrl, UnreadableResponse) as error:
            return HookFailure(str(error))
        except TimeoutError:
            return HookFailure(f"no response within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return HookFailure(_reason_of(error))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str], most: int) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=CONNECTIONS, resolver=None if self._allow_private else GuardedResolver()
                ),
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "outdial"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            if not 200 <= response.status < 300:
                raise UnreadableResponse(f"HTTP {response.status}")
            parts = bytearray()
            async for part in response.content.iter_any():
                parts += part
                if len(parts) > most:
                    raise UnreadableResponse(f"the response is longer than {most} bytes")
            return bytes(parts)


def _reason_of(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PrivateAddress):
            return str(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        cause = cause.__cause__
    return f"no connection: {type(error).__name__}"
