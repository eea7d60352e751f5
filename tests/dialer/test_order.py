"""The order of calls: contacts by rank, attempts by part of the day, campaigns of an account by share and priority."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from outdial.dialer.claim import Claimed, Claimer
from tests.support.dialing import Stage
from tests.support.factories import NOW, Campaign, create_campaign, create_campaign_contact, create_tenant


async def claimed(stage: Stage, campaign: Campaign) -> list[UUID]:
    """Claim once and return the campaign contacts in the order of their calls."""
    claimer = Claimer(stage.dialing, stage.provider, stage.clock, stage.settings, rules=stage.rules)
    claim = await claimer.claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claim, Claimed)
    return [(await stage.row("calls", call.id))["campaign_contact_id"] for call in claim.calls]


async def test_contacts_are_called_by_rank_and_then_longest_due_first_in_every_place(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), batch_size=5)

    async def wait_in(zone: str, rank: int, due: timedelta) -> UUID:
        entry = await create_campaign_contact(stage.look, campaign, zone_key=zone, rank=rank, next_attempt_at=NOW - due)
        return entry.id

    ordinary = await wait_in("Europe/Berlin", 5, timedelta(hours=3))
    callback = await wait_in("America/New_York", 0, timedelta(seconds=1))
    urgent = await wait_in("Europe/Berlin", 1, timedelta(minutes=1))
    older = await wait_in("America/New_York", 1, timedelta(minutes=2))
    last = await wait_in("America/New_York", 9, timedelta(days=2))
    later = await wait_in("America/New_York", 0, -timedelta(hours=1))
    order = [*await claimed(stage, campaign), *await claimed(stage, campaign)]

    assert set(order) == {callback, older, urgent, ordinary, last}
    assert later not in order
    await stage.change("campaigns", campaign.id, batch_size=1)
    for entry in (ordinary, callback, urgent, older, last):
        await stage.change("campaign_contacts", entry, status="pending")
    await stage.look.execute("update calls set status = 'released', next_check_at = null, request_deadline = null")
    one_by_one = [entry for _ in range(5) for entry in await claimed(stage, campaign)]
    assert one_by_one == [callback, older, urgent, ordinary, last]


async def test_each_attempt_is_made_in_its_part_of_the_day_of_the_contact(stage: Stage) -> None:
    campaign = await create_campaign(
        stage.look, await create_tenant(stage.look), day_parts=["morning", "evening"], batch_size=1
    )
    morning = await create_campaign_contact(stage.look, campaign, zone_key="America/New_York")
    evening = await create_campaign_contact(stage.look, campaign, zone_key="America/New_York", attempts=1, call_count=1)
    callback = await create_campaign_contact(
        stage.look, campaign, zone_key="America/New_York", attempts=1, call_count=1, rank=0, next_attempt_at=NOW
    )
    never = await create_campaign_contact(
        # Both are never in the evening within the calling hours: 20:00 in New York is 14:00 in Honolulu.
        stage.look,
        campaign,
        zone_key="America/New_York|Pacific/Honolulu",
        attempts=1,
        call_count=1,
        rank=9,
    )
    await stage.change("campaigns", campaign.id, calling_hours='{"every_day": [["09:00", "20:00"]]}')
    stage.clock.set(datetime(2026, 3, 11, 16, tzinfo=UTC))  # 12:00 in New York, 06:00 in Honolulu

    assert await claimed(stage, campaign) == [callback.id]
    held = [await stage.row("campaign_contacts", entry.id) for entry in (morning, evening)]
    assert [row["next_attempt_at"] for row in held] == [
        datetime(2026, 3, 12, 13, tzinfo=UTC),
        datetime(2026, 3, 11, 21, tzinfo=UTC),
    ]
    assert [row["status_reason"].rpartition(" ")[2] for row in held] == ["morning", "evening"]
    stage.clock.set(datetime(2026, 3, 11, 19, tzinfo=UTC))  # 15:00 in New York, 09:00 in Honolulu
    assert await claimed(stage, campaign) == [never.id]
    stage.clock.set(datetime(2026, 3, 11, 21, tzinfo=UTC))
    assert await claimed(stage, campaign) == [evening.id]
    assert (await stage.row("campaign_contacts", evening.id))["part_due_since"] is None
    # No line was free on eight mornings.
    stage.clock.set(datetime(2026, 3, 19, 19, tzinfo=UTC))
    assert await claimed(stage, campaign) == [morning.id]
