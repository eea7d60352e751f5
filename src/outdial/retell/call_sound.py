"""The sound of live calls: Retell's listen-live-call and take-over-live-call."""

import re
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from outdial.provider import (
    CallMissing,
    CardDataSpoken,
    ProviderUnavailable,
    SoundInDashboardOnly,
    SoundOffered,
    TakenOver,
)
from outdial.retell.client import RetellClient

# Less than a member waits (GIVEN_UP_AFTER), so that they learn of it, and a slow response holds up no others for long.
_TIMEOUT: Final = timedelta(seconds=8)
# Retell documents no status for a call that is not ongoing. It responds 422 for an unknown call.
_NOT_ON_THE_LINE: Final = frozenset({404, 422})
# Nor one for a PCI session, only that no call is taken over in one.
_PCI: Final = re.compile(r"\bpci\b", re.IGNORECASE)


class _ListenLive(Struct, frozen=True, kw_only=True):
    access_token: str
    participant_id: str
    # Servers of an older version send none, and are LiveKit's.
    transport: str | None = None
    url: str | None = None


async def listen(
    client: RetellClient, retell_call_id: str
) -> SoundOffered | SoundInDashboardOnly | CallMissing | ProviderUnavailable:
    """POST /v2/listen-live-call/{id}. No caller and no agent notices a listener."""
    response = await client.post(f"/v2/listen-live-call/{quote(retell_call_id, safe='')}", timeout=_TIMEOUT)
    if isinstance(response, ProviderUnavailable):
        return CallMissing() if response.status in _NOT_ON_THE_LINE else response
    try:
        found = msgspec.json.decode(response.body, type=_ListenLive)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ProviderUnavailable("the response contains no token", response.status)
    if (found.transport or "livekit") != "livekit":
        return SoundInDashboardOnly()
    if not found.url or not _is_websocket(found.url) or not found.access_token or not found.participant_id:
        return ProviderUnavailable("the response contains no address", response.status)
    return SoundOffered(found.url, found.access_token, found.participant_id)


async def take_over(
    client: RetellClient, retell_call_id: str, participant_id: str
) -> TakenOver | CardDataSpoken | CallMissing | ProviderUnavailable:
    """POST /v2/take-over-live-call/{id}."""
    body = msgspec.json.encode({"participant_id": participant_id})
    path = f"/v2/take-over-live-call/{quote(retell_call_id, safe='')}"
    response = await client.post(path, body, timeout=_TIMEOUT)
    if not isinstance(response, ProviderUnavailable):
        return TakenOver()
    if response.status is not None and 400 <= response.status < 500 and _PCI.search(response.reason):
        return CardDataSpoken()
    return CallMissing() if response.status in _NOT_ON_THE_LINE else response


def _is_websocket(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("ws", "wss") and bool(parts.hostname)
