"""Version 7 UUIDs: ids that sort by the time they were made."""

import secrets
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

from outdial.domain.errors import InvalidId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_COUNTER_MAX = 0xFFF


class _Sequence:
    # The 12-bit counter of RFC 9562 section 6.2, method 1. `given` is the caller's millisecond, `stamp` the
    # one written: it runs ahead when one millisecond needs more ids than the counter holds.
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given = self._stamp = -1
        self._counter = 0

    def next(self, millisecond: int) -> tuple[int, int]:
        with self._lock:
            if not self._given <= millisecond <= self._stamp:
                self._stamp = millisecond
                self._counter = secrets.randbits(11)
            elif self._counter < _COUNTER_MAX:
                self._counter += 1
            else:
                self._stamp += 1
                self._counter = 0
            self._given = millisecond
            return self._stamp, self._counter


_sequence = _Sequence()


def new_id(now: datetime) -> UUID:
    """Return a version 7 UUID (RFC 9562) for the aware moment `now`.

    Ids of one process sort in the order they were made as long as `now` does not go back.
    More than some 2,000 ids in one millisecond borrow from the milliseconds that follow.
    """
    stamp, counter = _sequence.next((now - _EPOCH) // _MILLISECOND)
    return UUID(int=stamp << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | secrets.randbits(62))


def timestamp_of(id: UUID) -> datetime:
    """Return the moment in a version 7 UUID, in UTC, exact to the millisecond; raise InvalidId for other ids."""
    if id.version != 7:
        raise InvalidId(f"{id} is not a version 7 UUID and carries no time; use new_id to make ids")
    return _EPOCH + (id.int >> 80) * _MILLISECOND
