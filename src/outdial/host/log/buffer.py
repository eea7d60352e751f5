"""Bounds of the log: how much waits for the database, and how much one function may add."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Record = TypeVar("Record")


class RecordBuffer(Generic[Record]):
    """Queue of records with a limit on their total weight. Drops the oldest, and calls `on_loss`, to stay below it."""

    def __init__(self, max_weight: int, weigh: Callable[[Record], int], on_loss: Callable[[Record], None]) -> None:
        self._records: deque[Record] = deque()
        self._weight = 0
        self._max_weight = max_weight
        self._weigh = weigh
        self._on_loss = on_loss

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: Record) -> None:
        self._records.append(record)
        self._weight += self._weigh(record)
        if self._weight > self._max_weight:
            self._drop_oldest()

    def take(self, max_count: int, max_weight: int) -> list[Record]:
        """Remove and return the oldest records: at most `max_count`, stopping once they reach `max_weight`."""
        taken: list[Record] = []
        weight = 0
        while self._records and len(taken) < max_count and weight < max_weight:
            record = self._records.popleft()
            weight += self._weigh(record)
            taken.append(record)
        self._weight -= weight
        return taken

    def put_back(self, records: Sequence[Record]) -> None:
        """Return records of `take` to the head of the queue."""
        self._records.extendleft(reversed(records))
        self._weight += sum(map(self._weigh, records))
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        while self._weight > self._max_weight:
            record = self._records.popleft()
            self._weight -= self._weigh(record)
            self._on_loss(record)


class LogAllowance:
    """Token bucket of `burst` tokens that refills with `per_second`. `now` is in seconds of any monotonic clock."""

    __slots__ = ("_at", "_burst", "_left", "_per_second")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = burst
        self._at = now

    def take(self, size: float, now: float) -> bool:
        """Take `size` tokens. Returns False, and takes none, if fewer are left."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < size:
            return False
        self._left -= size
        return True
