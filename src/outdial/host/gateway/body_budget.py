"""Memory for the bodies of requests in flight, shared among functions so that a slow one leaves room for the others."""

from typing import Final

from outdial.host.wire.config import MIB

# Half of `ServerLimits.held_bytes`: the other half stays free for requests that are still arriving.
IN_FLIGHT_BYTES: Final = 128 * MIB
# Smaller bodies, which most are, are not counted: the 256 requests that a function may have in flight hold 4 MiB.
UNCOUNTED_BYTES: Final = 16 * 1024


class BodyBudget:
    """Bytes of bodies in flight, by owner.

    An owner may hold as much as is still free: one alone at most half of `limit`, two a third each. There is always
    room for one more owner, however many slow functions there are.
    """

    def __init__(self, limit: int = IN_FLIGHT_BYTES) -> None:
        self._limit = limit
        self._total = 0
        self._held: dict[str, int] = {}

    def take(self, owner: str, size: int) -> bool:
        """Count `size` bytes for `owner`, or return False when that would be more than its share."""
        held = self._held.get(owner, 0) + size
        if held + self._total > self._limit:
            return False
        self._held[owner] = held
        self._total += size
        return True

    def release(self, owner: str, size: int) -> None:
        """Subtract what `take` has counted."""
        self._total -= size
        left = self._held[owner] - size
        if left:
            self._held[owner] = left
        else:
            del self._held[owner]
