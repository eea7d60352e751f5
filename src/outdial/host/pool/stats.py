"""What a worker uses of the machine, read from outside: a function that spins or leaks cannot be asked."""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.frames import Resource

# A worker is looked at closely when it has said nothing for this long.
_SILENT_S = 0.25
# A silent worker that used so much CPU meanwhile is busy with itself, and gets no new requests.
_STUCK_MS = 150.0
# Nearer to the limit than this, a worker is replaced before it meets it.
_HEAVY = 0.8


class ProcessUsage(Protocol):
    """What the system tells of a process."""

    def cpu_ms(self) -> float:
        """Return the CPU time used so far, in ms."""
        ...

    def memory_mb(self) -> float:
        """Return the memory in use, in MiB."""
        ...


@dataclass(frozen=True, slots=True)
class LimitBreach:
    """A limit that was passed: ms for cpu, MiB for memory; `used` is rounded up, so that it is always above `limit`."""

    resource: Resource
    limit: int
    used: int


class ProcessMonitor:
    """Watches one worker; `stuck` tells that it spins, `memory_mb` is what it had when it was looked at last."""

    __slots__ = ("_cpu_ms", "_limits", "_process", "_signs", "_since", "memory_mb", "stuck")

    def __init__(self, process: ProcessUsage, limits: FunctionConfig) -> None:
        self._process, self._limits = process, limits
        self.memory_mb = 0.0
        self.stuck = False
        self._signs = -1
        self._since = self._cpu_ms = 0.0

    @property
    def heavy(self) -> bool:
        """Tell whether the memory limit is near."""
        return self.memory_mb > _HEAVY * self._limits.memory_mb

    def memory(self) -> LimitBreach | None:
        """Look at the memory."""
        self.memory_mb = self._process.memory_mb()
        limit = self._limits.memory_mb
        return LimitBreach("memory", limit, ceil(self.memory_mb)) if self.memory_mb > limit else None

    def cpu(self, now: float, signs: int, *, busy: bool) -> LimitBreach | None:
        """Look at the CPU time used since the last of the `signs` of life, `busy` telling of requests under way.

        A worker that waits for others is silent too, but uses none. One without requests may do a little from time to
        time, so its account begins anew unless it was at it for half of the time.
        """
        silent = signs == self._signs
        if silent and busy and now - self._since < _SILENT_S:
            return None
        used = self._process.cpu_ms() - self._cpu_ms
        if not silent or (not busy and used < (now - self._since) * 500):
            self._signs, self._since, self._cpu_ms, self.stuck = signs, now, self._cpu_ms + used, False
            return None
        self.stuck = used > _STUCK_MS
        return LimitBreach("cpu", self._limits.cpu_ms, ceil(used)) if used > self._limits.cpu_ms else None
