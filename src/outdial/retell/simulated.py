"""Finds out whether the provider's URL is that of Outdial's simulator: some settings are for simulated calls only."""

from typing import Final

import aiohttp
import msgspec

_MARKERS: Final = frozenset({"now", "speed", "delivery"})
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)


async def is_simulator(base_url: str) -> bool | None:
    """Return whether GET /_sim/state responds as the simulator does, None while nothing listens. No key is sent."""
    url = f"{base_url.rstrip('/')}/_sim/state"
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            return response.status == 200 and _is_state(await response.content.read(1 << 20))
    except aiohttp.ClientConnectorError:
        return None
    except (aiohttp.ClientError, TimeoutError):
        return False


def _is_state(body: bytes) -> bool:
    try:
        state = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(state, dict) and state.keys() >= _MARKERS
