"""Hosts of an environment find each other through its database."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.host.gateway.heartbeat import INTERVAL, Heartbeat
from outdial.host.gateway.regions import PeerHost
from tests.support.factories import NOW
from tests.support.postgres import Scratch

IRELAND, OHIO = PeerHost("a", "eu-west-1", "http://127.0.0.1:1"), PeerHost("b", "us-east-2", "http://127.0.0.1:2")


@pytest.fixture
async def pool(database: Scratch) -> AsyncIterator[Database]:
    async with await Database.connect(database.dsn_for("outdial_host"), application_name="test") as opened:
        yield opened


class Seen:
    """One host's view of the others."""

    def __init__(self, pool: Database, me: PeerHost) -> None:
        self.clock = VirtualClock(NOW)
        self.peers: list[PeerHost] = []
        self.heartbeat = Heartbeat(pool, self.clock, me, self._renew)

    async def at(self, seconds: float) -> list[PeerHost]:
        self.clock.set(NOW + timedelta(seconds=seconds))
        assert await self.heartbeat.run_once() == len(self.peers)
        return self.peers

    def _renew(self, peers: Sequence[PeerHost]) -> None:
        self.peers = list(peers)


async def test_hosts_see_each_other_and_never_themselves(pool: Database) -> None:
    ireland, ohio = Seen(pool, IRELAND), Seen(pool, OHIO)

    assert await ireland.at(0) == []
    assert await ohio.at(1) == [IRELAND]
    assert await ireland.at(2) == [OHIO]


async def test_a_silent_host_is_dropped_after_three_missed_heartbeats(pool: Database) -> None:
    ireland, ohio = Seen(pool, IRELAND), Seen(pool, OHIO)
    await ohio.at(0)
    turn = INTERVAL.total_seconds()

    assert await ireland.at(3 * turn) == [OHIO]
    assert await ireland.at(3 * turn + 1) == []
    await ohio.at(4 * turn)
    assert await ireland.at(4 * turn) == [OHIO]


async def test_a_host_that_leaves_is_gone_at_once_and_can_come_back_elsewhere(pool: Database) -> None:
    ireland, ohio = Seen(pool, IRELAND), Seen(pool, OHIO)
    await ohio.at(0)
    await ohio.heartbeat.leave()
    assert await ireland.at(1) == []

    moved = PeerHost("b", "us-west-1", "http://127.0.0.1:3")
    await Seen(pool, moved).at(2)
    assert await ireland.at(2) == [moved]
