"""Hands a request that asks for another region to a host there: one hop, which the header `x-outdial-hop` marks."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Final
from urllib.parse import parse_qs

import aiohttp

from outdial.clock import Clock
from outdial.host.gateway.relay import HttpRelay
from outdial.host.wire.headers import HOP, header_value, headers_for_peer
from outdial.http import HttpResponse, RequestHead
from outdial.log import log

ANY: Final = "any"
_MARK_IS_GOOD_FOR_MS = 60_000


@dataclass(frozen=True, slots=True)
class PeerHost:
    """Another live host of the environment; `address` is its URL without a path."""

    id: str
    region: str
    address: str


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """Where a request that came over from another host had come in: its id there, and the client's address."""

    request_id: str
    client: str


@dataclass(slots=True)
class RegionRouter:
    """The regions of an environment, as this host sees them.

    `key` is a secret that all hosts share: with it, a host believes what another says of the request's origin. A mark
    never spares a check. A request that bears any mark, even a client's own, is served here and goes no further.
    """

    region: str
    clock: Clock
    key: bytes = field(default=b"", repr=False)
    _peers: dict[str, list[PeerHost]] = field(default_factory=dict)
    _relay: HttpRelay = field(default_factory=HttpRelay)
    _turn: "count[int]" = field(default_factory=count)

    def renew(self, peers: Iterable[PeerHost]) -> None:
        """Take `peers` for the hosts that live now; those of this region are not asked."""
        found: dict[str, list[PeerHost]] = {}
        for peer in peers:
            if peer.region != self.region:
                found.setdefault(peer.region, []).append(peer)
        self._peers = found

    def wanted(self, head: RequestHead) -> str | None:
        """Return the region that has to serve the request when it is another than this one: one with a live host."""
        if not self._peers or header_value(head.headers, HOP):
            return None
        region = header_value(head.headers, b"x-region")
        if not region and "forceFunctionRegion=" in head.query:
            region = parse_qs(head.query).get("forceFunctionRegion", [""])[-1]
        return region if region in self._peers else None

    def origin(self, head: RequestHead) -> RequestOrigin | None:
        """Return what another host says of where the request came in; None without a mark of a host that is fresh."""
        mark = header_value(head.headers, HOP)
        if not mark or not self.key:
            return None
        told, _, digest = mark.rpartition(",")
        at_ms, _, rest = told.partition(",")
        request_id, _, client = rest.partition(",")
        if not hmac.compare_digest(digest.encode(), self._sign(told).encode()):
            return None
        age = self._now_ms() - int(at_ms)
        return RequestOrigin(request_id, client) if abs(age) < _MARK_IS_GOOD_FOR_MS else None

    async def forward(
        self, region: str, head: RequestHead, body: bytes, request_id: str, timeout_s: float
    ) -> HttpResponse | None:
        """Return what a host of `region` answers; None when none of them can be reached, or the answer is lost.

        Another host is tried only when nothing of the request has left.
        """
        mark = self._mark(request_id, head.client)
        peers = self._peers.get(region, [])
        first = next(self._turn)
        for number in range(len(peers)):
            peer = peers[(first + number) % len(peers)]
            try:
                return await self._relay.ask(
                    peer.address, head, [*headers_for_peer(head.headers), (HOP, mark)], body, timeout_s
                )
            except aiohttp.ClientConnectorError as error:
                log("regions.peer_unreachable", level="warning", peer=peer.id, region=region, reason=str(error))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log("regions.answer_lost", level="error", peer=peer.id, region=region, reason=repr(error))
                return None
        return None

    async def close(self) -> None:
        """Close the connections to other hosts."""
        await self._relay.close()

    def _mark(self, request_id: str, client: str) -> bytes:
        told = f"{self._now_ms()},{request_id},{client}"
        return f"{told},{self._sign(told)}".encode("latin-1")

    def _sign(self, told: str) -> str:
        return hmac.new(self.key, told.encode("latin-1"), hashlib.sha256).hexdigest() if self.key else "unsigned"

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)
