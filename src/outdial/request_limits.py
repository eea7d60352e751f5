"""Rules that both HTTP servers apply to requests that are still arriving: their limits, and which one to end first."""

import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

# File descriptors reserved for everything but connections.
_SPARE_FILES: Final = 128
# A younger request does not count as slow: its client may not have had the time to send it.
_TOO_YOUNG_S: Final = 1.0
# The precision of the loop's time.
_CLOCK_S: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Limits of one request. Times are in seconds, enforced within `sweep_s`; sizes are in bytes."""

    # The request line and all header lines together, and the time from the first byte to the last of them.
    header_bytes: int = 64 * 1024
    header_s: float = 10.0
    # The longest pause within a body, and the slowest rate of a whole body, in bytes/s.
    body_s: float = 30.0
    body_rate: float = 4096.0
    sweep_s: float = 1.0


class ArrivingRequest(Protocol):
    """A connection that is receiving a request."""

    @property
    def since(self) -> float:
        """The loop's time at which the request began to arrive."""
        ...

    @property
    def bytes_received(self) -> int:
        """Bytes of the request so far."""
        ...


RequestT = TypeVar("RequestT", bound=ArrivingRequest)


def connection_limit(wanted: int) -> int:
    """Return `wanted`, or fewer connections if this process may not open that many files."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, files - _SPARE_FILES))


def find_slowest(requests: Iterable[RequestT], now: float) -> RequestT | None:
    """Return the request with the fewest bytes per second, None if all are too young to judge."""
    slow = [one for one in requests if now - one.since > _TOO_YOUNG_S]
    return min(slow, key=lambda one: one.bytes_received / max(now - one.since, _CLOCK_S), default=None)


def find_costliest(requests: Iterable[RequestT], now: float, held: Callable[[RequestT], int]) -> RequestT | None:
    """Return the request that has held the most bytes for the longest, None if there is no request."""
    return max(requests, key=lambda one: held(one) * (now - one.since + 1), default=None)
