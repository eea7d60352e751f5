"""Bounds on what is kept of the log: how much waits for the database, and how much one function may add."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Record = TypeVar("Record")


class RecordBuffer(Generic[Record]):
    """Records in the order of their coming; when they weigh more than `most`, the oldest give way."""

    def __init__(self, most: int, weigh: Callable[[Record], int], on_loss: Callable[[Record], None]) -> None:
        self._records: deque[Record] = deque()
        self._weight, self._most = 0, most
        self._weigh, self._on_loss = weigh, on_loss

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: Record) -> None:
        """Append a record."""
        self._records.append(record)
        self._weight += self._weigh(record)
        if self._weight > self._most:
            self._make_room()

    def take(self, most: int, most_weight: int) -> list[Record]:
        """Remove and return the oldest records: `most` of them, or about as many as weigh `most_weight`."""
        taken: list[Record] = []
        weight = 0
        while self._records and len(taken) < most and weight < most_weight:
            record = self._records.popleft()
            weight += self._weigh(record)
            taken.append(record)
        self._weight -= weight
        return taken

    def put_back(self, records: Sequence[Record]) -> None:
        """Undo a `take`."""
        self._records.extendleft(reversed(records))
        self._weight += sum(map(self._weigh, records))
        self._make_room()

    def _make_room(self) -> None:
        while self._weight > self._most:
            record = self._records.popleft()
            self._weight -= self._weigh(record)
            self._on_loss(record)


class LogAllowance:
    """How much may be taken: `at_once`, which fills up again with `per_second`; `now` is in seconds, of any origin."""

    __slots__ = ("_at", "_at_once", "_left", "_per_second")

    def __init__(self, at_once: float, per_second: float, now: float) -> None:
        self._at_once, self._per_second = at_once, per_second
        self._left, self._at = at_once, now

    def take(self, size: float, now: float) -> bool:
        """Take `size` if that much is left, and tell whether it was."""
        self._left = min(self._at_once, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < size:
            return False
        self._left -= size
        return True
