"""Tells the environment's other hosts that this one is there, and learns of them."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from outdial.clock import Clock
from outdial.db.queries.host import deployments
from outdial.db.session import Database
from outdial.host.gateway.regions import PeerHost

EVERY = timedelta(seconds=5)
# A host that was not seen for three turns gets no request any more; after a day nobody remembers it.
_GONE_AFTER = EVERY * 3
_FORGOTTEN_AFTER = timedelta(days=1)


class Heartbeat:
    """A duty: says that this host is there, at `address` in `region`, and gives the others to `renew`."""

    def __init__(
        self, database: Database, clock: Clock, me: PeerHost, renew: Callable[[Sequence[PeerHost]], None]
    ) -> None:
        self._database, self._clock, self._me, self._renew = database, clock, me, renew

    async def run_once(self) -> int:
        """Say so once; return how many others there are."""
        now, me = self._clock.now(), self._me
        async with self._database.transaction() as connection:
            await deployments.record_heartbeat(connection, id=me.id, region=me.region, address=me.address, now=now)
            others = await deployments.list_other_hosts(connection, id=me.id, since=now - _GONE_AFTER)
        self._renew([PeerHost(other.id, other.region, other.address) for other in others])
        return len(others)

    async def leave(self) -> None:
        """Say that this host goes."""
        async with self._database.transaction() as connection:
            await deployments.remove_hosts(connection, id=self._me.id, before=self._clock.now() - _FORGOTTEN_AFTER)
