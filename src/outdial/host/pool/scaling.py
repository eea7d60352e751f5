"""How many workers a function should have: decisions over counts and times, which the pool carries out."""

import math
from dataclasses import dataclass

from outdial.host.wire.config import FunctionConfig

# A worker with more than this part of its requests is busy enough for another to be worth its start.
_CROWDED = 0.75
_CROWDED_FOR_S = 1.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
# One bad request may take a fresh worker down: that alone must not close the function to all others.
_CRASHES_OF_A_LOOP = 3


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """What a pool has and what is asked of it: workers that are ready or booting, requests under way and waiting."""

    ready: int
    booting: int
    under_way: int
    waiting: int

    @property
    def workers(self) -> int:
        """Workers that take requests now or soon."""
        return self.ready + self.booting


def is_at_capacity(config: FunctionConfig, load: PoolLoad) -> bool:
    """Tell whether one more request would be more than the workers and the queue can hold."""
    return load.under_way + load.waiting >= config.most_at_once


def workers_to_start(config: FunctionConfig, load: PoolLoad, at_least: int) -> int:
    """Return how many workers to start now: for those that wait, and to have `at_least` so many."""
    for_waiting = math.ceil(load.waiting / config.concurrency) - load.booting
    wanted = max(for_waiting, at_least - load.workers)
    return max(0, min(wanted, config.max_workers - load.workers))


class SaturationDetector:
    """Tells when all workers have been nearly full for a while, so that one more is started before requests wait."""

    def __init__(self, config: FunctionConfig) -> None:
        self._config = config
        self._since: float | None = None

    def lasts(self, load: PoolLoad, now: float) -> bool:
        """Tell whether it has lasted; called again and again, and false right after it was true."""
        if not load.ready or load.under_way < _CROWDED * self._config.concurrency * load.ready:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now - self._since < _CROWDED_FOR_S:
            return False
        self._since = None
        return True


class BootBackoff:
    """Keeps a function that does not start from being started all the time: a pause of 1 s, doubling to 30 s."""

    def __init__(self) -> None:
        self.reason = ""
        self._failures = self._crashes = 0
        self._last = self._until = float("-inf")

    def blocks(self, now: float) -> bool:
        """Tell whether no worker may be started yet."""
        return now < self._until

    def boot_failed(self, reason: str, now: float) -> None:
        """Begin a pause, twice as long as the last one."""
        self.reason, self._last = reason, now
        self._until = now + min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
        self._failures = min(self._failures + 1, 10)

    def crashed(self, reason: str, now: float) -> None:
        """Count a worker that ended before it had answered anything; the third in a row is as bad as a failed boot."""
        self._last = now
        self._crashes += 1
        if self._crashes >= _CRASHES_OF_A_LOOP:
            self.boot_failed(reason, now)

    def answered(self, ready_at: float) -> None:
        """Forget the failures when the worker that answers became ready after the last of them."""
        if ready_at > self._last:
            self._failures = self._crashes = 0
