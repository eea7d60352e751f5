"""A virtual clock whose sleepers take turns."""

import asyncio
import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count

from outdial.clock import VirtualClock


class TurnClock(VirtualClock):
    """A virtual clock for tasks that sleep side by side: it stands still until a woken task has sent its request.

    The sleeper with the earliest moment wakes first. Without turns the last sleeper would move the clock while the
    first still waits for the database.
    """

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._busy = False
        self._awake: asyncio.Task[object] | None = None
        self._closed = False

    async def sleep_until(self, moment: datetime) -> None:
        """Wait for the turn, then jump to `moment`; who has the turn jumps at once."""
        if self._awake is asyncio.current_task():
            self.set(moment)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (moment, next(self._numbers), woken))
        self._wake_next()
        await woken
        self._awake = asyncio.current_task()
        self.set(moment)

    def end_turn(self) -> None:
        """Let the next sleeper wake up."""
        self._busy, self._awake = False, None
        self._wake_next()

    @contextmanager
    def all_asleep(self) -> Iterator[None]:
        """Let nobody wake up in the block: who falls asleep in it is ordered before the first one wakes."""
        self._closed = True
        try:
            yield
        finally:
            self._closed = False
            self._wake_next()

    def _wake_next(self) -> None:
        if self._sleepers and not self._busy and not self._closed:
            self._busy = True
            heapq.heappop(self._sleepers)[2].set_result(None)
