"""How an invocation can end, as the pool tells the gateway: a closed set."""

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class InvocationCompleted:
    """The function answered; `cold` tells that a worker was started for it."""

    status: int
    headers: bytes
    body: bytes
    cpu_us: int
    execution_id: str
    cold: bool


@dataclass(slots=True)
class PoolOverloaded:
    """Every worker is busy and the `limit` places of the queue are taken: 503.

    Or the request had a place, but no worker in `waited_s`.
    """

    workers: int
    limit: int
    waited_s: float = 0.0


@dataclass(slots=True)
class BootFailure:
    """No worker could be started: 503. `reason` is for the log."""

    reason: str


@dataclass(slots=True)
class WorkerCrashed:
    """The worker ended before it answered: 500."""

    reason: str
    execution_id: str


@dataclass(slots=True)
class LimitExceeded:
    """The function met a limit: 546. CPU in ms, memory in MiB."""

    resource: Literal["cpu", "memory"]
    limit: int
    used: int
    execution_id: str


@dataclass(slots=True)
class InvocationTimedOut:
    """The function did not answer within the wall clock: 504."""

    limit_s: float
    execution_id: str


InvocationOutcome = (
    InvocationCompleted | PoolOverloaded | BootFailure | WorkerCrashed | LimitExceeded | InvocationTimedOut
)
