"""Scaling decisions: how many workers a function needs. Pure functions of counts and times."""

import math
from dataclasses import dataclass

from outdial.host.wire.config import FunctionConfig

# When the workers handle more than this share of their concurrency for this long, another one is worth its start.
_SATURATED = 0.75
_SATURATED_FOR_S = 1.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
# One bad request may crash a fresh worker. That alone must not block the function for all others.
_CRASHES_OF_A_LOOP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLoad:
    """The load of a pool: ready and booting workers, requests in flight and queued."""

    ready: int
    booting: int
    in_flight: int
    queued: int

    @property
    def workers(self) -> int:
        """Workers that accept requests now or soon."""
        return self.ready + self.booting


def is_at_capacity(config: FunctionConfig, load: PoolLoad) -> bool:
    """Return whether workers and queue can hold no further request."""
    return load.in_flight + load.queued >= config.max_in_flight


def workers_to_start(config: FunctionConfig, load: PoolLoad, minimum: int) -> int:
    """Return how many workers to start now, for the queue and to have at least `minimum`."""
    for_queue = math.ceil(load.queued / config.concurrency) - load.booting
    wanted = max(for_queue, minimum - load.workers)
    return max(0, min(wanted, config.max_workers - load.workers))


class SaturationDetector:
    """Detects workers that are nearly full for a while, so that another one starts before requests must wait."""

    def __init__(self, config: FunctionConfig) -> None:
        self._config = config
        self._since: float | None = None

    def is_sustained(self, load: PoolLoad, now: float) -> bool:
        """Return whether the saturation has lasted long enough. Call it repeatedly; a true result restarts it."""
        if not load.ready or load.in_flight < _SATURATED * self._config.concurrency * load.ready:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now - self._since < _SATURATED_FOR_S:
            return False
        self._since = None
        return True


class BootBackoff:
    """Pauses between starts of a function that fails to boot: 1 s, doubling to 30 s."""

    def __init__(self) -> None:
        self.reason = ""
        self._failures = 0
        self._crashes = 0
        self._last = float("-inf")
        self._until = float("-inf")

    def is_paused(self, now: float) -> bool:
        """Return whether no worker may start yet."""
        return now < self._until

    def on_boot_failed(self, reason: str, now: float) -> None:
        """Start a pause, twice as long as the last one."""
        self.reason = reason
        self._last = now
        self._until = now + min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
        self._failures = min(self._failures + 1, 10)

    def on_crash(self, reason: str, now: float) -> None:
        """Count a worker that ended before its first response. The third in a row counts as a failed boot."""
        self._last = now
        self._crashes += 1
        if self._crashes >= _CRASHES_OF_A_LOOP:
            self.on_boot_failed(reason, now)

    def on_response(self, ready_at: float) -> None:
        """Reset the failures, if the responding worker became ready after the last of them."""
        if ready_at > self._last:
            self._failures = 0
            self._crashes = 0
