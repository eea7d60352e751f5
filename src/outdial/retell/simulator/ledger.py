"""The log of all requests to the simulator, and whether each created a call."""

from collections import Counter, deque
from enum import StrEnum
from itertools import islice
from typing import Any

from msgspec import Struct


class LedgerResult(StrEnum):
    """Result of a request."""

    accepted = "accepted"  # created a call or a batch, whether or not the caller received the response
    replayed = "replayed"  # returned the call that this idempotency key created before
    answered = "answered"  # a read, or a change of something that exists
    refused = "refused"  # changed nothing


class LedgerEntry(Struct, kw_only=True, frozen=True):
    """One request. `at_ms` is simulated time, `arrived_ms` real time; both in Unix milliseconds.

    `reason` is the cause of a refusal; `lost` is how the response was withheld from the caller.
    """

    number: int
    at_ms: int
    arrived_ms: int
    operation: str
    status: int
    result: LedgerResult
    reason: str | None = None
    lost: str | None = None
    call_id: str | None = None
    to_number: str | None = None
    from_number: str | None = None
    idempotency_key: str | None = None
    metadata: Any = None


class RequestLedger:
    """The last `keep` requests in order of arrival, and totals of all requests."""

    def __init__(self, keep: int) -> None:
        self._entries: deque[LedgerEntry] = deque(maxlen=keep)
        self._totals: Counter[tuple[str, str]] = Counter()
        self.written = 0

    def write(self, operation: str, result: LedgerResult, **details: Any) -> None:
        """Add one request; `details` are the other fields of LedgerEntry."""
        self.written += 1
        self._totals[operation, result] += 1
        self._entries.append(LedgerEntry(number=self.written, operation=operation, result=result, **details))

    def read(self, after: int = 0, limit: int | None = None, result: str | None = None) -> list[LedgerEntry]:
        """Return at most `limit` entries numbered above `after`, oldest first, optionally of one result."""
        # Entries are numbered without gaps, so the position of the first one is known.
        first = max(0, after - self.forgotten)
        later = islice(self._entries, first, None)
        wanted = later if result is None else (entry for entry in later if entry.result == result)
        return list(islice(wanted, limit))

    @property
    def forgotten(self) -> int:
        """Number of dropped entries. Checks must not rely on a ledger with gaps."""
        return self.written - len(self._entries)

    def totals(self) -> dict[str, dict[str, int]]:
        """Return counts over all requests: operation, then result."""
        totals: dict[str, dict[str, int]] = {}
        for (operation, result), count in sorted(self._totals.items()):
            totals.setdefault(operation, {})[result] = count
        return totals
