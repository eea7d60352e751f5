"""The witness: what was asked of the simulator, and whether a call came of it."""

from collections import Counter, deque
from enum import StrEnum
from itertools import islice
from typing import Any

from msgspec import Struct


class Result(StrEnum):
    """What became of a request."""

    accepted = "accepted"  # a new call exists, whether or not the reply got through
    replayed = "replayed"  # the call that this idempotency key made before
    answered = "answered"  # a question, or an order to stop
    refused = "refused"  # nothing happened


class Entry(Struct, kw_only=True, frozen=True):
    """One request. `at_ms` is simulated time, `arrived_ms` the caller's; both Unix milliseconds.

    `reason` says why it was refused; `lost` how the reply was kept from the caller.
    """

    number: int
    at_ms: int
    arrived_ms: int
    operation: str
    status: int
    result: Result
    reason: str | None = None
    lost: str | None = None
    call_id: str | None = None
    to_number: str | None = None
    from_number: str | None = None
    idempotency_key: str | None = None
    metadata: Any = None


class Ledger:
    """The last `keep` requests in order of arrival, and totals over all of them."""

    def __init__(self, keep: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._totals: Counter[tuple[str, str]] = Counter()
        self.written = 0

    def write(self, operation: str, result: Result, **details: Any) -> None:
        """Add one request; `details` are the other fields of Entry."""
        self.written += 1
        self._totals[operation, result] += 1
        self._entries.append(Entry(number=self.written, operation=operation, result=result, **details))

    def read(self, after: int = 0, limit: int | None = None, result: str | None = None) -> list[Entry]:
        """Return entries numbered above `after`, oldest first, at most `limit`, of one result if named."""
        # Entries are numbered without gaps, so the place of the first one is known.
        first = max(0, after - self.forgotten)
        later = islice(self._entries, first, None)
        wanted = later if result is None else (entry for entry in later if entry.result == result)
        return list(islice(wanted, limit))

    @property
    def forgotten(self) -> int:
        """How many of the oldest entries are gone; a witness with gaps says so."""
        return self.written - len(self._entries)

    def totals(self) -> dict[str, dict[str, int]]:
        """Return counts over all requests: operation, then result."""
        totals: dict[str, dict[str, int]] = {}
        for (operation, result), count in sorted(self._totals.items()):
            totals.setdefault(operation, {})[result] = count
        return totals
