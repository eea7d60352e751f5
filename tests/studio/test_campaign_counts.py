"""Campaign counts: taken from rows, cached when slow, and never reused for another status."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from outdial.clock import VirtualClock
from outdial.db.session import Connection, Database
from outdial.studio.campaigns import counts as campaign_counts
from outdial.studio.campaigns.counts import CampaignCounter, CampaignCounts
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
