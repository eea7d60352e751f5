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


class ProcessUsage(Protocol):
    """Resource usage of a process, as the system reports it."""

    def cpu_ms(self) -> float:
        """Return the CPU time used so far, in ms."""
        ...

    def memory_mb(self) -> float:
        """Return the memory in use, in MiB."""
        ...


@dataclass(frozen=True, slots=True)
class LimitBreach:
    """An exceeded limit: ms for cpu, MiB for memory. `used` is rounded up, so that it is always above `limit`."""

    resource: Resource
    limit: int
    used: int


class ProcessMonitor:
    """Monitors one worker. `spinning` and `memory_mb` are as of the last check."""

    __slots__ = ("_cpu_ms", "_heartbeats", "_limits", "_process", "_since", "memory_mb", "spinning")

    def __init__(self, process: ProcessUsage, limits: FunctionConfig) -> None:
        self._process = process
        self._limits = limits
        self.memory_mb = 0.0
        self.spinning = False
        self._heartbeats = -1
        self._since = 0.0
        self._cpu_ms = 0.0

    @property
    def is_heavy(self) -> bool:
        """Whether memory is near the limit."""
        return self.memory_mb > _HEAVY * self._limits.memory_mb

    def check_memory(self) -> LimitBreach | None:
        """Measure the memory; return the breach of its limit, if any."""
        self.memory_mb = self._process.memory_mb()
        limit = self._limits.memory_mb
        return LimitBreach("memory", limit, ceil(self.memory_mb)) if self.memory_mb > limit else None

    def check_cpu(self, now: float, heartbeats: int, *, busy: bool) -> LimitBreach | None:
        """Measure the CPU time since the last of `heartbeats`; `busy` is true while requests are in flight.

        A worker that waits for a database is silent too, but uses no CPU. A worker without requests may do a little
        background work, so its count restarts unless it used more than half of the time.
        """
        silent = heartbeats == self._heartbeats
        if silent and busy and now - self._since < _SILENT_S:
            return None
        used = self._process.cpu_ms() - self._cpu_ms
        if not silent or (not busy and used < (now - self._since) * 500):
            self._heartbeats = heartbeats
            self._since = now
            self._cpu_ms += used
            self.spinning = False
            return None
        self.spinning = used > _SPINNING_MS
        return LimitBreach("cpu", self._limits.cpu_ms, ceil(used)) if used > self._limits.cpu_ms else None
