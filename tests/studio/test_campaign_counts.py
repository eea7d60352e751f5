"""Campaign counts: taken from rows, cached when slow, and never reused for another status."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest

from outdial.clock import VirtualClock
from outdial.db.session import Connection, Database
from outdial.studio.campaigns import counts as campaign_counts
from outdial.studio.campaigns.counts import MOST_RECOUNTS, CampaignCounter, CampaignCounts
from outdial.studio.web.errors import ResourceNotFound
from tests.support.factories import NOW, create_calling, create_campaign, create_campaign_contact, create_member
from tests.support.postgres import Scratch
from tests.support.two_organizations import TwoOrganizations

ID = UUID(int=1)


class Slow:
    """Counting that takes `takes`, and tells how often it was done."""

    def __init__(self, clock: VirtualClock, takes: timedelta) -> None:
        self.clock, self.takes, self.done = clock, takes, 0

    async def __call__(self, _: Connection, ids: list[UUID]) -> dict[UUID, CampaignCounts]:
        self.done += 1
        self.clock.advance(self.takes)
        return {id: CampaignCounts(contacts={"pending": self.done}) for id in ids}


@pytest.mark.parametrize(
    ("status", "takes_ms", "after_ms", "done"),
    [
        ("active", 10, 0, 2),
        ("active", 100, 400, 1),
        ("active", 100, 501, 2),
        ("completed", 100, 49_000, 1),
        ("completed", 100, 50_001, 2),
    ],
)
async def test_a_slow_count_is_cached_for_a_multiple_of_its_duration(
    monkeypatch: pytest.MonkeyPatch, status: str, takes_ms: int, after_ms: int, done: int
) -> None:
    clock = VirtualClock(NOW)
    slow = Slow(clock, timedelta(milliseconds=takes_ms))
    monkeypatch.setattr(campaign_counts, "_count", slow)
    counter = CampaignCounter(clock)

    await counter.count(None, {ID: status})  # type: ignore[arg-type]
    clock.advance(timedelta(milliseconds=after_ms))
    counts = await counter.count(None, {ID: status})  # type: ignore[arg-type]

    assert slow.done == done
    assert counts[ID].total == done


async def test_a_changed_status_invalidates_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock(NOW)
    slow = Slow(clock, timedelta(seconds=1))
    monkeypatch.setattr(campaign_counts, "_count", slow)
    counter = CampaignCounter(clock)

    await counter.count(None, {ID: "active"})  # type: ignore[arg-type]
    both = await counter.count(None, {ID: "paused", UUID(int=2): "active"})  # type: ignore[arg-type]

    assert slow.done == 2
    assert len(both) == 2


async def test_what_is_over_is_not_kept_in_memory() -> None:
    clock, connection = VirtualClock(NOW), cast("Connection", None)
    counter = CampaignCounter(clock)

    async def load(_: Connection) -> int:
        clock.advance(timedelta(minutes=1))
        return 1

    for day in range(20):
        await counter.kept(connection, f"report {day}", ID, "active", load)
    assert {kind for kind, _ in counter._cache} == {f"report {day}" for day in range(15, 20)}


class Gate:
    """Transactions of recounts, which begin when the gate is open."""

    def __init__(self, error: Exception | None = None) -> None:
        self.open, self.begun, self.error = asyncio.Event(), 0, error

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Any]:
        self.begun += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        yield None


async def test_a_count_is_renewed_in_the_background_and_no_request_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, gate, connection = VirtualClock(NOW), Gate(), cast("Connection", None)
    slow = Slow(clock, timedelta(milliseconds=100))
    monkeypatch.setattr(campaign_counts, "_count", slow)
    counter = CampaignCounter(clock, gate)
    first = (await counter.count(connection, {ID: "active"}))[ID]
    assert first.counted_at == NOW

    clock.advance(timedelta(milliseconds=249))
    await counter.count(connection, {ID: "active"})
    await asyncio.sleep(0)
    assert gate.begun == 0, "the count is new enough"
    clock.advance(timedelta(milliseconds=1))
    for _ in range(3):
        assert (await counter.count(connection, {ID: "active"}))[ID] is first
        await asyncio.sleep(0)
    assert (gate.begun, slow.done) == (1, 1), "one task counts a campaign"
    gate.open.set()
    await counter.recounted()
    assert (await counter.count(connection, {ID: "active"}))[ID].total == slow.done == 2

    clock.advance(timedelta(milliseconds=501))
    assert (await counter.count(connection, {ID: "active"}))[ID].total == 3, "no count is older than before"


@pytest.mark.parametrize("error", [OSError(), ResourceNotFound("deleted since")])
async def test_few_recounts_run_at_once_and_a_failed_one_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    clock, gate, connection = VirtualClock(NOW), Gate(error), cast("Connection", None)
    slow = Slow(clock, timedelta(milliseconds=100))
    monkeypatch.setattr(campaign_counts, "_count", slow)
    counter = CampaignCounter(clock, gate)
    ids = [UUID(int=number) for number in range(4)]
    await counter.count(connection, dict.fromkeys(ids, "active"))

    clock.advance(timedelta(milliseconds=300))
    for id in ids:
        await counter.count(connection, {id: "active"})
    await asyncio.sleep(0)
    assert gate.begun == MOST_RECOUNTS
    gate.open.set()
    await counter.recounted()
    assert (await counter.count(connection, {ids[0]: "active"}))[ids[0]].total == 1, "the count stays after a failure"


async def test_counts_of_another_organization_are_empty(
    database: Scratch, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own, other = [
        await create_campaign(connection, house.tenant) for house in (two_organizations.own, two_organizations.other)
    ]
    for campaign in (own, other):
        await create_campaign_contact(connection, campaign)
        await create_calling(connection, campaign, status="ended", outcome="busy", cost_cents=2)
    viewer = await create_member(connection, two_organizations.own.tenant.organization_id, "viewer")
    statuses = {own.id: "active", other.id: "active"}

    async with await Database.connect(database.dsn_for("outdial_api"), application_name="tests") as api:
        async with api.as_caller("authenticated", {"sub": str(viewer), "role": "authenticated"}) as caller:
            seen = await CampaignCounter(VirtualClock(NOW)).count(caller, statuses)
        async with api.as_service() as service:
            every = await CampaignCounter(VirtualClock(NOW)).count(service, statuses)
        async with api.as_caller("anon", {"role": "anon"}) as nobody:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await CampaignCounter(VirtualClock(NOW)).count(nobody, statuses)

    assert seen[own.id] == every[own.id] == every[other.id]
    assert (seen[own.id].contacts, seen[own.id].outcomes) == ({"pending": 1, "calling": 1}, {"busy": 1})
    assert seen[other.id] == CampaignCounts()
