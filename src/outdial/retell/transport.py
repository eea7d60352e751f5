"""Transports of the Retell client: the protocol, and its HTTP implementation."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.connector import Connection

from outdial.provider import BeforeSending
from outdial.retell.errors import ConnectionClosed, NotSent, TransportFailed
from outdial.retell.wire import RetellResponse

BASE_URL: Final = "https://api.retellai.com"
MAX_RESPONSE_BYTES: Final = 16 * 1024 * 1024
MAX_RETRY_AFTER_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class _HeldRequest:
    """A request that waits on its connection; its `limit` begins to run when it leaves."""

    before_sending: BeforeSending
    limit: asyncio.Timeout
    timeout_s: float


_held: ContextVar[_HeldRequest | None] = ContextVar("held_request", default=None)


class _Request(aiohttp.ClientRequest):
    """A request that lets its sender wait, or give up, between the connection and the first byte."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        held = _held.get()
        if held is not None:
            await held.before_sending()
            if conn.protocol is None or not conn.protocol.is_connected():
                raise ConnectionClosed
            held.limit.reschedule(asyncio.get_running_loop().time() + held.timeout_s)
        return await super().send(conn)


class Transport(Protocol):
    """Sends one request and returns its response. Never retries a request that may create something."""

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout_s: float,
        before_sending: BeforeSending | None = None,
    ) -> RetellResponse:
        """Return the response, whatever its status. `before_sending` runs when the connection is ready.

        It runs a second time when that connection closes meanwhile: the request then leaves on another one.
        Raises NotSent if the request was certainly not sent, TransportFailed if it may have been.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class HttpTransport:
    """Sends requests over one aiohttp session: no redirects, no retries of POST, the API key in each request.

    Create it inside a running event loop. `guard` runs before each request and raises if the caller holds something
    that it must not hold during a request, such as an open transaction.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = BASE_URL,
        connections: int = 100,
        connect_timeout_s: float = 5.0,
        guard: Callable[[], None] | None = None,
    ) -> None:
        if not api_key:
            raise ValueError("the Retell API key is empty")
        if urlsplit(base_url).scheme not in {"http", "https"}:
            raise ValueError(f"not an http(s) URL: {base_url!r}")
        self._api_key = api_key
        self._base_url = base_url.rstrip("/")
        self._connect_timeout_s = connect_timeout_s
        self._guard = guard
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            headers={"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
        )

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout_s: float,
        before_sending: BeforeSending | None = None,
    ) -> RetellResponse:
        """Send one request. `timeout_s` limits all of it, from waiting for a connection to the last byte.

        With `before_sending`, the limit begins when the request leaves; to give up a late request, `before_sending`
        raises. Servers close idle connections at any time, so a connection that closes while the request waits is
        replaced once.
        """
        try:
            return await self._send(method, path, body=body, timeout_s=timeout_s, before_sending=before_sending)
        except ConnectionClosed:
            return await self._send(method, path, body=body, timeout_s=timeout_s, before_sending=before_sending)

    async def _send(
        self, method: str, path: str, *, body: bytes | None, timeout_s: float, before_sending: BeforeSending | None
    ) -> RetellResponse:
        if self._guard is not None:
            self._guard()
        timeout = aiohttp.ClientTimeout(sock_connect=min(timeout_s, self._connect_timeout_s))
        try:
            async with asyncio.timeout(None if before_sending else timeout_s) as limit:
                _held.set(None if before_sending is None else _HeldRequest(before_sending, limit, timeout_s))
                async with self._session.request(
                    method, self._base_url + path, data=body, timeout=timeout, allow_redirects=False
                ) as response:
                    return RetellResponse(response.status, await self._read(response), _retry_after_s(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"no connection: {type(error).__name__}") from error
        except TimeoutError as error:
            raise TransportFailed(f"no response within {timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TransportFailed(f"connection lost: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the session and its connections."""
        await self._session.close()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        parts = bytearray()
        async for part in response.content.iter_any():
            parts += part
            if len(parts) > MAX_RESPONSE_BYTES:
                raise TransportFailed(f"the response is longer than {MAX_RESPONSE_BYTES} bytes")
        body = bytes(parts)
        # An error message may quote our key: keep it out of logs and tables.
        return body if response.status < 400 else body.replace(self._api_key.encode(), b"[key]")


def _retry_after_s(response: aiohttp.ClientResponse) -> float | None:
    for header, per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(response.headers[header]) / per_second
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return min(seconds, MAX_RETRY_AFTER_S)
    return None
