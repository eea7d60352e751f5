"""Finds out whether the provider's URL is that of Outdial's simulator: some settings are for simulated calls only."""

from datetime import timedelta
from typing import Final

import aiohttp
import msgspec

from outdial.clock import SystemClock

_MARKERS: Final = frozenset({"now", "speed", "delivery"})
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_PATIENCE: Final = timedelta(seconds=15)
_RETRY_EVERY: Final = timedelta(seconds=0.2)


async def is_simulator(base_url: str) -> bool:
    """Return whether GET /_sim/state, which only the simulator serves, responds as the simulator does.

    No key is sent. While nothing listens at the URL, it asks again: a simulator may be starting at the same time.
    """
    clock = SystemClock()
    give_up_at = clock.now() + _PATIENCE
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        while True:
            try:
                async with session.get(f"{base_url.rstrip('/')}/_sim/state", allow_redirects=False) as response:
                    return response.status == 200 and _is_state(await response.content.read(1 << 20))
            except aiohttp.ClientConnectorError:
                if clock.now() >= give_up_at:
                    return False
            except (aiohttp.ClientError, TimeoutError):
                return False
            await clock.sleep_until(clock.now() + _RETRY_EVERY)


def _is_state(body: bytes) -> bool:
    try:
        state = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(state, dict) and state.keys() >= _MARKERS
