"""Measures CPU time and memory of a worker from outside: a function that spins or leaks cannot report them."""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.frames import Resource

# A busy worker without a heartbeat for this long is checked.
_SILENT_S = 0.25
# A silent worker that used this much CPU time is spinning, and gets no new requests.
_SPINNING_MS = 150.0
# A worker above this share of its memory limit is replaced before it exceeds it.
_HEAVY = 0.8


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """Memory in use, in MiB, and the number of threads."""

    memory_mb: float
    threads: int


class ProcessUsage(Protocol):
    """Resource usage of a process, as the system reports it."""

    def cpu_ms(self) -> float:
        """Return the CPU time used so far, in ms."""
        ...

    def status(self) -> ProcessStatus:
        """Return the memory in use and the number of threads."""
        ...


@dataclass(frozen=True, slots=True)
class LimitBreach:
    """An exceeded limit: ms for cpu, MiB for memory, a number for threads.

    `used` is rounded up, so that it is always above `limit`.
    """

    resource: Resource
    limit: int
    used: int


class ProcessMonitor:
    """Monitors one worker. `spinning` and `memory_mb` are as of the last check."""

    __slots__ = (
        "_cpu_ms",
        "_finished",
        "_heard_at",
        "_heard_cpu_ms",
        "_heartbeats",
        "_limits",
        "_process",
        "_since",
        "memory_mb",
        "spinning",
    )

    def __init__(self, process: ProcessUsage, limits: FunctionConfig) -> None:
        self._process = process
        self._limits = limits
        self.memory_mb = 0.0
        self.spinning = False
        # CPU time is counted from here: when a request last finished.
        self._finished = -1
        self._since = 0.0
        self._cpu_ms = 0.0
        # And from here: the last heartbeat since then.
        self._heartbeats = -1
        self._heard_at = 0.0
        self._heard_cpu_ms = 0.0

    @property
    def is_heavy(self) -> bool:
        """Whether memory is near the limit."""
        return self.memory_mb > _HEAVY * self._limits.memory_mb

    def check_memory_and_threads(self) -> LimitBreach | None:
        """Measure both; return the breach of a limit, if any. The kernel does not limit threads everywhere."""
        status, limits = self._process.status(), self._limits
        self.memory_mb = status.memory_mb
        if status.memory_mb > limits.memory_mb:
            return LimitBreach("memory", limits.memory_mb, ceil(status.memory_mb))
        if status.threads > limits.max_threads:
            return LimitBreach("threads", limits.max_threads, status.threads)
        return None

    def check_cpu(self, now: float, *, finished: int, heartbeats: int, in_flight: int) -> LimitBreach | None:
        """Measure the CPU time since the last of `finished` requests; `in_flight` is how many are not.

        A silent worker may use the limit of one request. Heartbeats delay the limit and never reset it, because a
        function can forge them: with them, each request in flight may use twice its limit, and more is impossible,
        because the worker ends a request there. A worker that waits for a database is silent too, but uses no CPU. A
        worker without requests may do a little background work, so its count restarts unless it used more than half of
        the time.
        """
        is_silent = heartbeats == self._heartbeats
        if finished == self._finished and is_silent and in_flight and now - self._heard_at < _SILENT_S:
            return None
        cpu_ms = self._process.cpu_ms()
        used = cpu_ms - self._cpu_ms
        if finished != self._finished or (not in_flight and used < (now - self._since) * 500):
            self._finished = finished
            self._since = now
            self._cpu_ms = cpu_ms
        elif is_silent or not in_flight:
            limit = self._limits.cpu_ms
            silent = cpu_ms - self._heard_cpu_ms
            self.spinning = silent > _SPINNING_MS
            if silent > limit:
                return LimitBreach("cpu", limit, ceil(silent))
            return self._check_total(used, in_flight)
        self._heartbeats = heartbeats
        self._heard_at = now
        self._heard_cpu_ms = cpu_ms
        self.spinning = False
        return self._check_total(cpu_ms - self._cpu_ms, in_flight)

    def _check_total(self, used: float, in_flight: int) -> LimitBreach | None:
        limit = self._limits.cpu_ms
        return LimitBreach("cpu", limit, ceil(used)) if used > 2 * limit * max(1, in_flight) else None
