"""The order of calls: contacts by rank, attempts by part of the day, campaigns of an account by share and priority."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from outdial.db.queries import batches
from outdial.dialer.admission import LimitFacts, Wait, admit_account
from outdial.dialer.claim import Claimed
from outdial.domain.pacing import Pace, after_slots
from outdial.domain.policies.turns import TurnState, next_turn, weight_of
from outdial.studio.view.decisions import explain_decision
from tests.support.dialing import Stage
from tests.support.factories import NOW, Campaign, create_campaign, create_campaign_contact, create_tenant


async def claimed(stage: Stage, campaign: Campaign) -> list[UUID]:
    """Claim once and return the campaign contacts in the order of their calls."""
    claim = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
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
    decisions = {row["campaign_contact_id"]: json.loads(row["decision"]) for row in await stage.rows("calls")}
    assert {id: decision["day_part"] for id, decision in decisions.items()} == {
        callback.id: None,
        never.id: None,
        evening.id: "evening",
        morning.id: None,
    }
    assert explain_decision(decisions[evening.id])[-1] == "Part of the day for this attempt: evening."


async def test_campaigns_share_lines_by_weight_and_the_one_that_is_behind_goes_first(stage: Stage) -> None:
    tenant = await create_tenant(stage.look, concurrency_limit=9, calls_per_second=1000)
    double = await create_campaign(stage.look, tenant, share=2, batch_size=20)
    single = await create_campaign(stage.look, tenant, batch_size=20)
    for campaign in (double, single):
        for _ in range(9):
            await create_campaign_contact(stage.look, campaign)

    assert [len(await claimed(stage, single)), len(await claimed(stage, double))] == [3, 6]
    turns = [(await stage.row("campaigns", campaign.id))["turn"] for campaign in (single, double)]
    assert turns == [3 / weight_of(5, 1), 6 / weight_of(5, 2)]
    expected = TurnState(turns[0], 0.0)
    assert (await stage.row("provider_accounts", tenant.provider_account_id))["turn"] == expected.account
    # Both are as far: the higher priority goes first, and then the one that is behind.
    await stage.change("campaigns", single.id, priority=6)
    assert await due_order(stage) == [single.id, double.id]
    await stage.change("campaigns", double.id, turn=turns[0] - 0.01)
    assert await due_order(stage) == [double.id, single.id]


async def due_order(stage: Stage) -> list[UUID]:
    async with stage.dialing.transaction() as connection:
        due = await batches.due_campaigns(connection, now=NOW + timedelta(days=1), limit=25, named=[])
    return [each.campaign_id for each in due]


@settings(max_examples=40, deadline=None)
@given(
    campaigns=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 100)), min_size=2, max_size=5),
    lines=st.integers(1, 12),
    calls_per_second=st.integers(1, 8),
    seed=st.integers(0, 2**32),
)
def test_no_campaign_of_an_account_is_starved(
    campaigns: list[tuple[int, int]], lines: int, calls_per_second: int, seed: int
) -> None:
    """Without a live call, a campaign waits for no more calls of another than its weight and one batch allow."""
    chance = Random(seed)
    batch = 3
    weights = [weight_of(priority, share) for priority, share in campaigns]
    total, sharing = sum(weights), range(len(weights))
    turns, account = [0.0] * len(weights), 0.0
    live: list[tuple[datetime, int]] = []
    waited_for = [[0] * len(weights) for _ in weights]
    pace = Pace(calls_per_second, 1.0, NOW, None)
    now, started = NOW, 0
    while started < 300:
        live = [(end, owner) for end, owner in live if end > now]
        before = started
        for me in sorted(sharing, key=lambda index: (turns[index], -campaigns[index][0])):
            mine = sum(owner == me for _, owner in live)
            facts = LimitFacts(
                concurrency_limit=lines,
                reserved_inbound=0,
                account_live=len(live),
                campaign_limit=None,
                campaign_live=mine,
                batch_size=batch,
                sharers=len(weights),
                weight=weights[me],
                total_weight=total,
                pace=pace,
            )
            admission = admit_account(facts, now, timedelta(seconds=1))
            if isinstance(admission, Wait):
                continue
            starts = list(admission.starts)
            pace = replace(pace, next_start_at=after_slots(pace, starts))
            state = next_turn(TurnState(turns[me], account), len(starts), weights[me])
            turns[me], account = state.campaign, state.account
            live += [(at + timedelta(seconds=chance.randint(1, 40)), me) for at in starts]
            started += len(starts)
            for other in sharing:
                idle = other != me and all(owner != other for _, owner in live)
                waited_for[other][me] = waited_for[other][me] + len(starts) if idle else 0
                assert waited_for[other][me] <= batch * (weights[me] / weights[other] + 2)
            waited_for[me] = [0] * len(weights)
        # A round without a call changes nothing until a call ends or the pace allows another.
        soon = now + timedelta(milliseconds=100)
        next_claims = [max(pace.next_start_at, soon)] if started > before or pace.next_start_at > now else []
        now = min([end for end, _ in live if end > now] + next_claims)
