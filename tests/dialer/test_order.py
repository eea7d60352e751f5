"""The order of calls: contacts by rank, attempts by part of the day, campaigns of an account by share and priority."""

from datetime import timedelta
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
