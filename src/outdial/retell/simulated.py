"""Finds out whether the provider's URL is that of Outdial's simulator: some settings are for simulated calls only."""

import asyncio
from typing import Final

import aiohttp
import msgspec

_MARKERS: Final = frozenset({"now", "speed", "delivery"})
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_RETRY_EVERY_S: Final = 0.2


async def is_simulator(base_url: str, *, patience_s: float = 15.0) -> bool:
    """Return whether GET /_sim/state, which only the simulator serves, responds as the simulator does.

    No key is sent. While nothing listens at the URL, it asks again: a simulator may be starting at the same time.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience_s
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        while True:
            try:
                async with session.get(f"{base_url.rstrip('/')}/_sim/state", allow_redirects=False) as response:
                    return response.status == 200 and _is_state(await response.content.read(1 << 20))
            except aiohttp.ClientConnectorError:
                if loop.time() >= give_up_at:
                    return False
            except (aiohttp.ClientError, TimeoutError):
                return False
            await asyncio.sleep(_RETRY_EVERY_S)


def _is_state(body: bytes) -> bool:
    try:
        state = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(state, dict) and state.keys() >= _MARKERS
