"""Report this host to the environment's database, and find the other hosts there."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from outdial.clock import Clock
from outdial.db.queries.host import deployments
from outdial.db.session import Database
from outdial.host.gateway.regions import PeerHost

INTERVAL = timedelta(seconds=5)
# A host that misses three heartbeats gets no more requests. After a day its row is deleted.
_DEAD_AFTER = INTERVAL * 3
_DELETE_AFTER = timedelta(days=1)


class Heartbeat:
    """Background task that records this host as alive and passes the other live hosts to `on_peers`."""

    def __init__(
        self, database: Database, clock: Clock, me: PeerHost, on_peers: Callable[[Sequence[PeerHost]], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._me = me
        self._on_peers = on_peers

    async def run_once(self) -> int:
        """Record one heartbeat and return the number of other live hosts."""
        now = self._clock.now()
        me = self._me
        async with self._database.transaction() as connection:
            await deployments.record_heartbeat(connection, id=me.id, region=me.region, address=me.address, now=now)
            others = await deployments.list_other_hosts(connection, id=me.id, since=now - _DEAD_AFTER)
        self._on_peers([PeerHost(other.id, other.region, other.address) for other in others])
        return len(others)

    async def leave(self) -> None:
        """Remove this host, so that the others stop sending requests at once."""
        async with self._database.transaction() as connection:
            await deployments.remove_hosts(connection, id=self._me.id, before=self._clock.now() - _DELETE_AFTER)
