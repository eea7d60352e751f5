"""Forward a request to another server over HTTP, byte for byte."""

from io import BytesIO
from typing import Final

import aiohttp
from yarl import URL

from outdial.host.wire.headers import Headers, headers_from_peer
from outdial.http import HttpResponse, RequestHead

_CONNECT_S: Final = 3.0
_SKIPPED_AUTO_HEADERS: Final = ("accept", "accept-encoding", "content-type", "user-agent")


class HttpRelay:
    """A pool of connections to other servers, opened on first use."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def forward(
        self, address: str, head: RequestHead, headers: Headers, body: bytes, *, timeout_s: float
    ) -> HttpResponse:
        """Send the request with `headers` to the server at `address` and return its response.

        Raises aiohttp.ClientConnectorError if nothing was sent, and another ClientError, TimeoutError or OSError if the
        response was lost.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
        target = f"{head.path}?{head.query}" if head.query else head.path
        async with self._session.request(
            head.method,
            URL(address.rstrip("/") + target, encoded=True),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers],
            data=BytesIO(body) if body else None,
            skip_auto_headers=_SKIPPED_AUTO_HEADERS,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S),
        ) as response:
            return HttpResponse(response.status, headers_from_peer(response.raw_headers), await response.read())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
