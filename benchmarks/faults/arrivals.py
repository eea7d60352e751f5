"""Counts requests within any second at a simulator in this process, and allows for requests it reads late."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from outdial.clock import SystemClock
from outdial.retell.simulator.clock import epoch_ms

TICK_S = 0.005


class PauseWatch:
    """Records when the event loop is free: requests that arrive in its pauses are read late, all at once."""

    def __init__(self) -> None:
        self._ticks_ms: list[int] = []

    def now_ms(self) -> int:
        """Return the time by which the simulator records arrivals."""
        return epoch_ms(SystemClock().now())

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            self._ticks_ms.append(self.now_ms())
            await asyncio.sleep(TICK_S)

    def longest_pause_ms(self, begin: int, end: int) -> float:
        """Return the longest pause of the loop in a span of time."""
        ticks = [tick for tick in self._ticks_ms if begin <= tick <= end]
        return max((later - earlier for earlier, later in pairwise(ticks)), default=0) - 1000 * TICK_S


def crowded_seconds(arrived_ms: Sequence[int], limit: int, watch: PauseWatch) -> list[str]:
    """Describe the seconds that held more than `limit` requests.

    A request that was read after a pause may have arrived when the pause began, so the longest pause shortens a second.
    """
    arrived = sorted(arrived_ms)
    return [
        f"{limit + 1} requests within {last - first} ms, from {first} on"
        for first, last in zip(arrived, arrived[limit:], strict=False)
        if last - first < 1000 and last - first < 1000 - watch.longest_pause_ms(first - 500, last)
    ]
