"""Outcomes of an invocation, from the pool to the gateway."""

from dataclasses import dataclass

import msgspec

from outdial.host.wire.frames import Resource
from outdial.http import HeaderPairs


class InvocationCompleted(msgspec.Struct, kw_only=True, gc=False):
    """The function responded. `cold` is true when a worker was started for the request."""

    status: int
    headers: HeaderPairs
    body: bytes
    cpu_us: int
    execution_id: str
    cold: bool


@dataclass(slots=True)
class PoolOverloaded:
    """No worker was free: 503. Either the queue of `limit` requests is full, or the request waited `waited_s` in it."""

    workers: int
    limit: int
    waited_s: float = 0.0


@dataclass(slots=True)
class BootFailure:
    """No worker could start: 503. `reason` is for the log."""

    reason: str


@dataclass(slots=True)
class WorkerCrashed:
    """The worker ended before it responded: 500."""

    reason: str
    execution_id: str


@dataclass(slots=True, kw_only=True)
class LimitExceeded:
    """The function exceeded a limit: 546. CPU in ms, memory in MiB, threads by number."""

    resource: Resource
    limit: int
    used: int
    execution_id: str


@dataclass(slots=True)
class InvocationTimedOut:
    """The function did not respond within its wall clock limit: 504."""

    limit_s: float
    execution_id: str


InvocationFailure = PoolOverloaded | BootFailure | WorkerCrashed | LimitExceeded | InvocationTimedOut
InvocationOutcome = InvocationCompleted | InvocationFailure
