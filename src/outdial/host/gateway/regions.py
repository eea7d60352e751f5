"""Forward a request for another region to a host there. The header `x-outdial-hop` limits it to one hop."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import parse_qs

import aiohttp

from outdial.clock import Clock
from outdial.host.gateway.relay import HttpRelay
from outdial.host.wire.headers import HOP, header_value, headers_for_peer
from outdial.http import HttpResponse, RequestHead
from outdial.log import log

_HOP_VALID_MS = 60_000


@dataclass(frozen=True, slots=True)
class PeerHost:
    """A live host of the environment. `address` is its URL without a path."""

    id: str
    region: str
    address: str


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """Where a forwarded request came from: its id on the first host, and the client's address."""

    request_id: str
    client: str


@dataclass(slots=True)
class RegionRouter:
    """Forwards requests to live hosts of other regions.

    All hosts share the secret `key` and sign the hop header with it. A valid signature makes a host trust the origin in
    the header; it never skips a check. A request with any hop header, even one that a client made up, is served here.
    """

    region: str
    clock: Clock
    key: bytes = field(default=b"", repr=False)
    _peers: dict[str, list[PeerHost]] = field(default_factory=dict)
    _relay: HttpRelay = field(default_factory=HttpRelay)
    _turn: "count[int]" = field(default_factory=count)

    def set_peers(self, peers: Iterable[PeerHost]) -> None:
        """Replace the list of live hosts. Ignores hosts of this region."""
        by_region: dict[str, list[PeerHost]] = {}
        for peer in peers:
            if peer.region != self.region:
                by_region.setdefault(peer.region, []).append(peer)
        self._peers = by_region

    def target_region(self, head: RequestHead) -> str | None:
        """Return the region to forward a request to, None to serve it here: it needs a live host in another region."""
        if not self._peers or header_value(head.headers, HOP):
            return None
        region = header_value(head.headers, b"x-region")
        if not region and "forceFunctionRegion=" in head.query:
            region = parse_qs(head.query).get("forceFunctionRegion", [""])[-1]
        return region if region in self._peers else None

    def origin(self, head: RequestHead) -> RequestOrigin | None:
        """Return the origin of a forwarded request, None without a hop header that is signed and recent."""
        hop = header_value(head.headers, HOP)
        if not hop or not self.key:
            return None
        content, _, digest = hop.rpartition(",")
        at_ms, _, rest = content.partition(",")
        request_id, _, client = rest.partition(",")
        if not hmac.compare_digest(digest.encode(), self._sign(content).encode()):
            return None
        age = self._now_ms() - int(at_ms)
        return RequestOrigin(request_id, client) if abs(age) < _HOP_VALID_MS else None

    async def forward(
        self, region: str, head: RequestHead, body: bytes, *, request_id: str, timeout_s: float
    ) -> HttpResponse | None:
        """Return the response of a host of `region`, None if none can be reached or the response is lost.

        Tries another host only if nothing of the request was sent.
        """
        content = f"{self._now_ms()},{request_id},{head.client}"
        hop = f"{content},{self._sign(content)}".encode("latin-1")
        peers = self._peers.get(region, [])
        first = next(self._turn)
        for number in range(len(peers)):
            peer = peers[(first + number) % len(peers)]
            try:
                return await self._relay.forward(
                    peer.address, head, [*headers_for_peer(head.headers), (HOP, hop)], body, timeout_s=timeout_s
                )
            except aiohttp.ClientConnectorError as error:
                log("regions.peer_unreachable", level="warning", peer=peer.id, region=region, reason=str(error))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log("regions.response_lost", level="error", peer=peer.id, region=region, reason=repr(error))
                return None
        return None

    async def close(self) -> None:
        await self._relay.close()

    def _sign(self, content: str) -> str:
        return hmac.new(self.key, content.encode("latin-1"), hashlib.sha256).hexdigest() if self.key else "unsigned"

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)
