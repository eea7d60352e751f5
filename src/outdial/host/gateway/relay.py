"""Sends a request on to another server over HTTP, bytes for bytes, and reads its answer."""

from io import BytesIO
from typing import Final

import aiohttp
from yarl import URL

from outdial.host.wire.headers import Headers, headers_from_peer
from outdial.http import HttpResponse, RequestHead

_CONNECT_S: Final = 3.0
_CLIENT_SETS: Final = ("accept", "accept-encoding", "content-type", "user-agent")


class HttpRelay:
    """Connections to other servers, opened when they are needed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self, address: str, head: RequestHead, headers: Headers, body: bytes, timeout_s: float
    ) -> HttpResponse:
        """Return what the server at `address` answers to the request with `headers`.

        Raises aiohttp.ClientConnectorError when nothing of it has left, and another ClientError, TimeoutError or
        OSError when the answer was lost.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
        target = f"{head.path}?{head.query}" if head.query else head.path
        async with self._session.request(
            head.method,
            URL(address.rstrip("/") + target, encoded=True),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers],
            data=BytesIO(body) if body else None,
            skip_auto_headers=_CLIENT_SETS,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S),
        ) as response:
            return HttpResponse(response.status, headers_from_peer(response.raw_headers), await response.read())

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
