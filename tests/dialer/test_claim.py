"""A claim takes no more calls than every limit allows, only from who may be called now, and says why it waits."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from outdial.db.queries import campaign_status
from outdial.db.session import Database
from outdial.dialer.claim import LOCKED_ELSEWHERE, Claim, Claimed, Completed, NotClaimable
from outdial.domain.contact_fields import AGENT_VARIABLES
from tests.support.dialing import Stage, life_of_call
from tests.support.factories import (
    NOW,
    Campaign,
    create_call,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_provider_account,
    create_tenant,
    insert,
)
from tests.support.postgres import until_one_waits

LIVE = ["placing", "placed", "ongoing", "unknown"]


async def claim(stage: Stage, campaign: Campaign, database: Database | None = None) -> Claim:
    """Claim once for the campaign."""
    return await stage.claimer(database).claim(campaign.tenant.organization_id, campaign.id)


async def count(stage: Stage, campaign: Campaign) -> int:
    """Claim once and return how many calls came of it."""
    claimed = await claim(stage, campaign)
    assert isinstance(claimed, Claimed)
    return len(claimed.calls)


async def fill(stage: Stage, campaign: Campaign, size: int, **columns: Any) -> list[UUID]:
    """Put contacts that are due now into the campaign."""
    return [(await create_campaign_contact(stage.look, campaign, **columns)).id for _ in range(size)]


async def waits(stage: Stage, campaign: Campaign) -> tuple[str | None, datetime]:
    """Return why the campaign waits, and until when."""
    row = await stage.row("campaigns", campaign.id)
    return row["waiting_for"], row["next_batch_at"]


@pytest.mark.parametrize(
    ("account", "columns", "expected"),
    [
        ({"concurrency_limit": 4}, {}, 4),
        ({"concurrency_limit": 9, "reserved_inbound": 3}, {}, 6),
        ({"concurrency_limit": 9, "provider_limit": 2}, {}, 2),
        ({"concurrency_limit": 2, "provider_limit": 9}, {}, 2),
        ({}, {"max_concurrency": 3}, 3),
        ({}, {"batch_size": 5}, 5),
        ({}, {"batch_size": 5, "next_batch_size": 8}, 8),
        ({"calls_per_second": 4}, {}, 4),
        ({"calls_per_second": 0.5}, {}, 1),
    ],
    ids=["limit", "inbound", "provider's", "ours", "campaign", "batch", "asked for", "rate", "slow rate"],
)
async def test_each_limit_bounds_a_claim(
    stage: Stage, account: dict[str, Any], columns: dict[str, Any], expected: int
) -> None:
    tenant = await create_tenant(stage.look, **account)
    campaign = await create_campaign(stage.look, tenant, **({"batch_size": 20} | columns))
    await fill(stage, campaign, 12)
    assert await count(stage, campaign) == expected


async def test_a_batch_size_that_was_asked_for_holds_once(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), batch_size=2, next_batch_size=5)
    await fill(stage, campaign, 12)
    assert await count(stage, campaign) == 5
    assert await count(stage, campaign) == 2


@pytest.mark.parametrize("status", LIVE)
async def test_every_kind_of_live_call_takes_a_slot(stage: Stage, status: str) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look, concurrency_limit=3))
    for _ in range(2):
        await create_calling(stage.look, campaign, status=status)
    await fill(stage, campaign, 5)
    assert await count(stage, campaign) == 1
    assert await count(stage, campaign) == 0
    assert await waits(stage, campaign) == ("concurrency", NOW + timedelta(seconds=60))


@pytest.mark.parametrize("status", ["released", "review"])
async def test_a_call_that_was_given_up_and_is_there_after_all_takes_a_slot_until_its_end(
    stage: Stage, status: str
) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look, concurrency_limit=1))
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.change("calls", call_id, status=status, next_check_at=None, request_deadline=None)
    await stage.change("campaign_contacts", entry.id, status="failed")
    await fill(stage, campaign, 1)
    life = life_of_call("call_late", call_id)
    await stage.send(life["call_started"])
    assert await count(stage, campaign) == 0
    assert (await waits(stage, campaign))[0] == "concurrency"
    await stage.send(life["call_ended"])
    assert await count(stage, campaign) == 1


async def test_a_person_who_talks_in_a_call_that_was_given_up_is_not_called_meanwhile(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.change("calls", call_id, status="released", next_check_at=None, request_deadline=None)
    await stage.change("campaign_contacts", entry.id, status="pending")
    await stage.send(life_of_call("call_late", call_id)["call_started"])
    assert await count(stage, campaign) == 0
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "pending"


async def test_campaigns_of_one_account_share_its_slots(stage: Stage) -> None:
    tenant = await create_tenant(stage.look, concurrency_limit=5)
    one, other, idle = [await create_campaign(stage.look, tenant) for _ in range(3)]
    await stage.change("campaigns", idle.id, waiting_for="calling_hours")
    for campaign in (one, other):
        await fill(stage, campaign, 9)
    assert [await count(stage, one), await count(stage, other), await count(stage, one)] == [3, 2, 0]


async def test_starts_are_spaced_and_the_next_claim_goes_on_where_the_last_one_ended(stage: Stage) -> None:
    tenant = await create_tenant(stage.look, calls_per_second=4)
    campaign = await create_campaign(stage.look, tenant)
    await fill(stage, campaign, 20)
    starts: list[datetime] = []
    while stage.clock.now() < NOW + timedelta(seconds=3):
        claimed = await claim(stage, campaign)
        assert isinstance(claimed, Claimed)
        starts += [call.start_at for call in claimed.calls]
        assert all(start <= stage.clock.now() + stage.settings.claim_horizon for start in starts)
        stage.clock.set(max(claimed.next_batch_at, stage.clock.now() + timedelta(milliseconds=1)))
    for first, fifth in zip(starts, starts[4:], strict=False):
        assert fifth - first > timedelta(seconds=1)
    assert len(starts) >= 12


async def test_the_clock_decides_when_a_claim_waits_for_the_pace(stage: Stage) -> None:
    later = NOW + timedelta(seconds=20)
    campaign = await create_campaign(stage.look, await create_tenant(stage.look, next_start_at=later))
    await fill(stage, campaign, 1)
    assert await count(stage, campaign) == 0
    assert await waits(stage, campaign) == ("pacing", later - timedelta(milliseconds=500))
    stage.clock.set(later)
    assert await count(stage, campaign) == 1


async def test_a_zone_that_is_closed_waits_until_it_opens_and_an_open_one_is_called(stage: Stage) -> None:
    campaign = await create_campaign(
        stage.look, await create_tenant(stage.look), calling_hours='{"every_day": [["11:00", "20:00"]]}'
    )
    await fill(stage, campaign, 2)  # 13:00 in New York
    await fill(stage, campaign, 3, zone_key="America/Los_Angeles")  # 10:00
    assert await count(stage, campaign) == 2
    await stage.look.execute("update campaign_contacts set status = 'completed' where status = 'calling'")
    assert await count(stage, campaign) == 0
    assert (await waits(stage, campaign))[0] == "calling_hours"
    stage.clock.set(datetime(2026, 3, 10, 11, 0, tzinfo=ZoneInfo("America/Los_Angeles")))
    assert await count(stage, campaign) == 3


async def test_a_contact_that_may_be_in_two_zones_is_called_when_both_are_open(stage: Stage) -> None:
    campaign = await create_campaign(
        stage.look, await create_tenant(stage.look), calling_hours='{"every_day": [["09:00", "14:00"]]}'
    )
    await fill(stage, campaign, 1, zone_key="America/Los_Angeles|America/New_York")
    assert await count(stage, campaign) == 1
    await fill(stage, campaign, 1, zone_key="America/Los_Angeles|America/New_York")
    stage.clock.advance(timedelta(hours=1))
    assert await count(stage, campaign) == 0


async def test_a_call_is_not_begun_in_the_last_seconds_of_the_hours(stage: Stage) -> None:
    campaign = await create_campaign(
        stage.look, await create_tenant(stage.look), calling_hours='{"every_day": [["09:00", "14:00"]]}'
    )
    await fill(stage, campaign, 1)
    stage.clock.set(NOW + timedelta(minutes=59, seconds=55))
    assert await count(stage, campaign) == 0


@pytest.mark.parametrize("zone_key", ["Nowhere/Land", "Pacific/Kiritimati|Pacific/Midway"])
async def test_contacts_whose_zones_are_never_open_together_are_skipped_and_told_why(
    stage: Stage, zone_key: str
) -> None:
    campaign = await create_campaign(
        stage.look, await create_tenant(stage.look), calling_hours='{"weekdays": [["12:00", "12:30"]]}'
    )
    [contact_id] = await fill(stage, campaign, 1, zone_key=zone_key)
    assert await count(stage, campaign) == 0
    contact = await stage.row("campaign_contacts", contact_id)
    assert (contact["status"], bool(contact["status_reason"])) == ("skipped", True)
    assert await claim(stage, campaign) == Completed()


@pytest.mark.parametrize("days", [16, 380, 800])
async def test_contacts_wait_while_excluded_dates_keep_their_zone_closed(stage: Stage, days: int) -> None:
    dates = [(NOW + timedelta(days=n)).date().isoformat() for n in range(-1, days)]
    hours = json.dumps({"every_day": [["00:00", "24:00"]], "excluded_dates": dates})
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), calling_hours=hours)
    await fill(stage, campaign, 5)

    assert await count(stage, campaign) == 0
    assert {row["status"] for row in await stage.rows("campaign_contacts")} == {"pending"}
    assert await waits(stage, campaign) == ("calling_hours", NOW + timedelta(seconds=60))
    stage.clock.advance(timedelta(days=days))
    assert await count(stage, campaign) == 5


NOON = '{"weekdays": [["12:00", "12:30"]]}'


async def skip_all(stage: Stage) -> tuple[Campaign, list[UUID]]:
    """Skip a contact because of the calling hours, one for its attempts, and one that is on the do-not-call list."""
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), calling_hours=NOON, max_attempts=2)
    [far] = await fill(stage, campaign, 1, zone_key="Pacific/Kiritimati|Pacific/Midway")
    [tired] = await fill(stage, campaign, 1, zone_key="America/New_York", attempts=2, call_count=2)
    listed = await create_campaign_contact(stage.look, campaign, zone_key="America/New_York")
    await insert(
        stage.look,
        "do_not_call",
        organization_id=campaign.tenant.organization_id,
        phone=listed.contact.phone,
        source="manual",
    )
    stage.clock.set(datetime(2026, 3, 11, 16, 10, tzinfo=UTC))  # 12:10 in New York
    assert await count(stage, campaign) == 0
    assert [row["status"] for row in await stage.rows("campaign_contacts")] == ["skipped"] * 3
    return campaign, [far, tired, listed.id]


@pytest.mark.parametrize(
    ("change", "reopened"),
    [
        ({"calling_hours": '{"every_day": [["00:00", "24:00"]]}'}, 0),
        ({"max_attempts": 3}, 1),
        ({"calling_hours": NOON}, None),
        ({"max_attempts": 1}, None),
        ({"batch_size": 3}, None),
    ],
    ids=["other hours", "more attempts", "the same hours", "fewer attempts", "another setting"],
)
async def test_a_contact_skipped_because_of_a_setting_is_pending_again_when_that_setting_changes(
    stage: Stage, change: dict[str, Any], reopened: int | None
) -> None:
    campaign, ids = await skip_all(stage)
    [(column, value)] = change.items()
    await stage.look.execute(f"update campaigns set {column} = $1 where id = $2", value, campaign.id)  # noqa: S608

    rows = [await stage.row("campaign_contacts", id) for id in ids]
    expected = ["pending" if index == reopened else "skipped" for index in range(3)]
    assert [row["status"] for row in rows] == expected
    assert [row["status_reason"] is None for row in rows] == [status == "pending" for status in expected]
    if reopened is not None:
        assert await count(stage, campaign) == 1


@pytest.mark.parametrize("status", ["completed", "cancelled"])
async def test_a_contact_of_a_finished_campaign_stays_skipped(stage: Stage, status: str) -> None:
    campaign, _ = await skip_all(stage)
    await stage.change("campaigns", campaign.id, status=status)
    await stage.look.execute("update campaigns set calling_hours = '{}', max_attempts = 9")
    assert {row["status"] for row in await stage.rows("campaign_contacts")} == {"skipped"}


async def test_a_number_that_was_listed_a_moment_before_is_skipped(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    await insert(
        stage.look,
        "do_not_call",
        organization_id=campaign.tenant.organization_id,
        phone=entry.contact.phone,
        source="manual",
    )
    assert await count(stage, campaign) == 0
    contact = await stage.row("campaign_contacts", entry.id)
    assert (contact["status"], contact["status_reason"]) == ("skipped", "on the do-not-call list")
    assert await stage.rows("calls") == []


async def test_a_number_on_another_tenants_list_is_called(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    other = await create_tenant(stage.look, credential="other")
    entry = await create_campaign_contact(stage.look, campaign)
    await insert(
        stage.look, "do_not_call", organization_id=other.organization_id, phone=entry.contact.phone, source="manual"
    )
    assert await count(stage, campaign) == 1


@pytest.mark.parametrize(("from_number", "status"), [("+14155550100", "skipped"), ("+14155550199", "calling")])
async def test_a_contact_whose_network_blocked_a_caller_number_is_not_called_from_it_by_any_campaign(
    stage: Stage, from_number: str, status: str
) -> None:
    tenant = await create_tenant(stage.look)
    one = await create_campaign(stage.look, tenant, from_number="+14155550100")
    other = await create_campaign(stage.look, tenant, from_number=from_number)
    contact = await create_contact(stage.look, tenant.organization_id)
    past = await create_campaign_contact(stage.look, one, contact, status="review", call_count=1)
    await create_call(stage.look, past, from_number="+14155550100", status="ended", outcome="blocked")
    entry = await create_campaign_contact(stage.look, other, contact)
    assert await count(stage, other) == (status == "calling")
    row = await stage.row("campaign_contacts", entry.id)
    assert (row["status"], "blocked" in (row["status_reason"] or "")) == (status, status == "skipped")


async def test_the_daily_cap_counts_the_calls_of_all_campaigns_and_frees_the_phone_when_one_is_a_day_old(
    stage: Stage,
) -> None:
    tenant = await create_tenant(stage.look, daily_call_cap=2)
    one, other = [await create_campaign(stage.look, tenant) for _ in range(2)]
    contact = await create_contact(stage.look, tenant.organization_id)
    past = await create_campaign_contact(stage.look, one, contact, status="failed", call_count=3)
    for number, hours in enumerate((23, 5, 1), start=1):
        status = "refused" if hours == 1 else "ended"
        await create_call(
            stage.look, past, attempt_number=number, status=status, requested_at=NOW - timedelta(hours=hours)
        )
    entry = await create_campaign_contact(stage.look, other, contact)
    assert await count(stage, other) == 0
    row = await stage.row("campaign_contacts", entry.id)
    assert (row["status"], row["next_attempt_at"]) == ("pending", NOW + timedelta(hours=1))
    stage.clock.advance(timedelta(hours=1))
    assert await count(stage, other) == 1


async def test_a_phone_that_talks_to_another_campaign_waits(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    one, other = [await create_campaign(stage.look, tenant) for _ in range(2)]
    contact = await create_contact(stage.look, tenant.organization_id)
    await create_calling(stage.look, one, contact, status="ongoing")
    entry = await create_campaign_contact(stage.look, other, contact)
    assert await count(stage, other) == 0
    row = await stage.row("campaign_contacts", entry.id)
    assert (row["status"], row["next_attempt_at"]) == ("pending", NOW + timedelta(seconds=60))


async def test_a_contact_at_the_attempt_cap_is_skipped(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), max_attempts=2)
    [contact_id] = await fill(stage, campaign, 1, attempts=2, call_count=2)
    assert await count(stage, campaign) == 0
    assert (await stage.row("campaign_contacts", contact_id))["status"] == "skipped"


async def test_contacts_that_are_due_later_are_waited_for(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    await fill(stage, campaign, 1, next_attempt_at=NOW + timedelta(seconds=30))
    assert await count(stage, campaign) == 0
    assert await waits(stage, campaign) == ("retry", NOW + timedelta(seconds=30))


async def test_a_campaign_with_calls_under_way_waits_for_them_and_completes_after_the_last(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry, _ = await create_calling(stage.look, campaign, status="ongoing")
    assert await count(stage, campaign) == 0
    assert await waits(stage, campaign) == ("calls", NOW + timedelta(seconds=60))
    await stage.look.execute("update campaign_contacts set status = 'review' where id = $1", entry.id)
    assert await claim(stage, campaign) == Completed()
    row = await stage.row("campaigns", campaign.id)
    assert (row["status"], row["finished_at"], row["next_batch_at"]) == ("completed", NOW, None)


async def test_a_claim_is_no_longer_possible_once_the_campaign_is_not_active(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), status="pausing")
    await fill(stage, campaign, 1)
    assert await claim(stage, campaign) == NotClaimable()


async def test_a_claim_passes_over_a_campaign_that_another_dialer_is_claiming_for(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    await fill(stage, campaign, 1)
    other = await asyncpg.connect(stage.scratch.dsn)
    async with other.transaction():
        await other.execute("select from campaigns where id = $1 for update", campaign.id)
        assert await claim(stage, campaign) == NotClaimable()
    await other.close()


@pytest.mark.parametrize("commits", [True, False])
async def test_a_claim_does_not_wait_for_contacts_that_are_added_and_completes_the_campaign_after_them(
    stage: Stage, commits: bool
) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    await fill(stage, campaign, 1)
    adding = await asyncpg.connect(stage.scratch.dsn)
    transaction = adding.transaction()
    await transaction.start()
    await campaign_status.lock_campaign_for_import(adding, campaign_id=campaign.id)
    await create_campaign_contact(adding, campaign)

    assert await count(stage, campaign) == 1
    await stage.look.execute("update campaign_contacts set status = 'completed'")
    assert await count(stage, campaign) == 0
    assert await waits(stage, campaign) == ("calls", NOW + LOCKED_ELSEWHERE)
    await (transaction.commit() if commits else transaction.rollback())
    await adding.close()

    assert isinstance(await claim(stage, campaign), Claimed if commits else Completed)


async def test_the_decision_record_says_why_the_call_was_allowed(stage: Stage) -> None:
    tenant = await create_tenant(stage.look, concurrency_limit=7, reserved_inbound=2)
    campaign = await create_campaign(stage.look, tenant, max_attempts=4)
    await fill(stage, campaign, 1, zone_key="America/Los_Angeles|America/New_York")
    assert await count(stage, campaign) == 1
    [call] = await stage.rows("calls")
    assert json.loads(call["decision"]) == {
        "zone_key": "America/Los_Angeles|America/New_York",
        "jurisdiction_key": "",
        "purpose": "sales",
        "rule_ids": [],
        "pack_date": None,
        "zone_source": "number",
        "local_times": {
            "America/Los_Angeles": "2026-03-10T10:00:00-07:00",
            "America/New_York": "2026-03-10T13:00:00-04:00",
        },
        "calling_hours": "open",
        "do_not_call": "not listed",
        "consent_required": "none",
        "consent": "none",
        "screening_lists": {},
        "lists_lifted_by_consent": [],
        "attempts": 0,
        "max_attempts": 4,
        "calls_in_24_hours": 0,
        "daily_call_cap": 3,
        "live_calls": 0,
        "concurrency_limit": 7,
        "reserved_inbound": 2,
        "number_choice": "only_number",
        "day_part": None,
        "budget": {},
    }


async def test_the_request_carries_the_key_the_metadata_and_the_nearest_variables(stage: Stage) -> None:
    stage.clock.set(datetime(2026, 3, 11, 2, 30, tzinfo=ZoneInfo("UTC")))
    campaign = await create_campaign(
        stage.look,
        await create_tenant(stage.look),
        dynamic_variables='{"offer": "spring", "name": "you", "tier": "none", "current_day": "never"}',
    )
    contact = await create_contact(
        stage.look,
        campaign.tenant.organization_id,
        **{name: f"{name} of Grace" for name in AGENT_VARIABLES},
        notes="never sent to the agent",
        zone_key="America/Los_Angeles",
        attributes='{"tier": 2, "plan": "a"}',
    )
    await create_campaign_contact(stage.look, campaign, contact, variables='{"plan": "b", "gone": null}')
    claimed = await claim(stage, campaign)
    assert isinstance(claimed, Claimed)
    [planned] = claimed.calls
    [call] = await stage.rows("calls")
    assert (
        json.loads(planned.body)
        == json.loads(call["request"])
        == {
            "from_number": "+12125550000",
            "to_number": contact.phone,
            "override_agent_id": "agent_1",
            "idempotency_key": str(call["id"]),
            "honor_internal_dnc": True,
            "metadata": {"call_id": str(call["id"]), "campaign_id": str(campaign.id)},
            "retell_llm_dynamic_variables": {
                "offer": "spring",
                **{name: f"{name} of Grace" for name in AGENT_VARIABLES},
                "tier": "2",
                "plan": "b",
                "current_date": "2026-03-10",
                "current_day": "Tuesday",
                "is_callback": "false",
                "last_call_summary": "",
            },
        }
    )
    assert (call["status"], call["attempt_number"], call["requests"]) == ("placing", 1, 1)
    assert call["request_deadline"] == planned.deadline


async def test_four_claimers_at_once_never_exceed_a_limit_nor_call_anybody_twice(stage: Stage) -> None:
    tenant = await create_tenant(stage.look, concurrency_limit=10, reserved_inbound=1, calls_per_second=1000)
    campaigns = [await create_campaign(stage.look, tenant, max_concurrency=4) for _ in range(4)]
    people = [await create_contact(stage.look, tenant.organization_id) for _ in range(30)]
    for campaign in campaigns:
        for contact in people:
            await create_campaign_contact(stage.look, campaign, contact)
    for _ in range(20):
        await asyncio.gather(*(claim(stage, campaign) for campaign in campaigns * 2))
        live = [row for row in await stage.rows("calls") if row["status"] in LIVE]
        assert len(live) <= 9
        assert len({row["phone"] for row in live}) == len(live)
        assert max(sum(row["campaign_id"] == campaign.id for row in live) for campaign in campaigns) <= 4
        ended = [row["id"] for row in live[::2]]
        contacts = [row["campaign_contact_id"] for row in live[::2]]
        await stage.look.execute(
            "update campaign_contacts set status = 'completed' where id = any ($1::uuid[])", contacts
        )
        await stage.look.execute("update calls set status = 'ended' where id = any ($1::uuid[])", ended)
        stage.clock.advance(timedelta(seconds=61))
    calls = await stage.rows("calls")
    assert len(calls) > 60
    assert len({(row["campaign_contact_id"], row["attempt_number"]) for row in calls}) == len(calls)


async def test_a_claim_counts_live_calls_under_the_lock_of_the_account(stage: Stage) -> None:
    tenant = await create_tenant(stage.look, concurrency_limit=1)
    campaign, other = await create_campaign(stage.look, tenant), await create_campaign(stage.look, tenant)
    await fill(stage, campaign, 1)
    holder = await asyncpg.connect(stage.scratch.dsn)
    try:
        async with holder.transaction():
            # Another claim takes the last slot, and has not committed yet.
            account_id = tenant.provider_account_id
            await holder.execute("select from provider_accounts where id = $1 for no key update", account_id)
            await create_calling(holder, other)
            claiming = asyncio.create_task(
                stage.claimer().claim(tenant.organization_id, campaign.id, lock_wait=timedelta(seconds=60))
            )
            waiting = asyncio.create_task(until_one_waits(stage.look))
            await asyncio.wait({claiming, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
    finally:
        await holder.close()
    claimed = await claiming
    assert isinstance(claimed, Claimed)
    assert claimed.calls == []
    assert (await waits(stage, campaign))[0] == "concurrency"


async def test_claims_of_two_accounts_for_the_same_phones_do_not_lock_each_other_out(stage: Stage) -> None:
    tenant = await create_tenant(stage.look, daily_call_cap=100)
    second = await create_provider_account(stage.look, tenant.organization_id, credential="second")
    one = await create_campaign(stage.look, tenant, batch_size=20)
    other = await create_campaign(stage.look, tenant, batch_size=20, provider_account_id=second)
    for round_ in range(20):
        people = [await create_contact(stage.look, tenant.organization_id) for _ in range(20)]
        for campaign, order in ((one, people), (other, people[::-1])):
            for place, contact in enumerate(order):
                due = stage.clock.now() - timedelta(seconds=100 - place)
                await create_campaign_contact(stage.look, campaign, contact, next_attempt_at=due)
        claims = await asyncio.gather(claim(stage, one), claim(stage, other))
        calls = [call for claimed in claims if isinstance(claimed, Claimed) for call in claimed.calls]
        assert len(calls) == 20, round_
        await stage.look.execute("update calls set status = 'ended' where status = 'placing'")
        await stage.look.execute("update campaign_contacts set status = 'completed' where status = 'calling'")
        await stage.look.execute("update campaign_contacts set status = 'cancelled' where status = 'pending'")
        stage.clock.advance(timedelta(seconds=61))


async def test_a_campaign_whose_hours_cannot_be_read_does_not_keep_the_others_from_calling(stage: Stage) -> None:
    spoilt = await create_campaign(
        stage.look,
        await create_tenant(stage.look, credential="spoilt"),
        next_batch_at=NOW - timedelta(hours=1),
    )
    await stage.change("campaigns", spoilt.id, calling_hours='{"every_day": "always"}')
    fine = await create_campaign(stage.look, await create_tenant(stage.look))
    for campaign in (spoilt, fine):
        await fill(stage, campaign, 1)
    dialer = stage.dialer()
    assert await dialer.run_once() == 1
    await dialer.settled()
    assert [entry.to_number for entry in stage.asked()] == [row["phone"] for row in await stage.rows("calls")]
