"""CPU usage during a run."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import psutil


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds: elapsed on the machine, used by all processes, by this benchmark, and by two of its parts."""

    passed: float
    used: float
    ours: float
    server: float
    postgres: float

    @classmethod
    def now(cls, server: psutil.Process) -> Self:
        """Return the CPU seconds so far, including those of `server` with its children and of our Postgres."""
        machine = psutil.cpu_times()
        passed = sum(machine)
        ours = postgres = below = 0.0
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                seconds = cpu_seconds(process)
                ours += seconds
                postgres += seconds if process.name() == "postgres" else 0.0
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        with suppress(psutil.NoSuchProcess):
            below = sum(cpu_seconds(child) for child in server.children(recursive=True))
        return cls(passed, passed - idle, ours, cpu_seconds(server) + below, postgres)

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(
            self.passed - earlier.passed,
            self.used - earlier.used,
            self.ours - earlier.ours,
            self.server - earlier.server,
            self.postgres - earlier.postgres,
        )

    @property
    def others(self) -> float:
        """The share of the machine, 0 to 1, that went to processes outside the benchmark."""
        return max(0.0, self.used - self.ours) / self.passed if self.passed else 0.0


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU seconds that a process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)
