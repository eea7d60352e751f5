"""A claim reserves what its calls may cost, costs replace reservations, and no claim goes beyond a budget."""

import asyncio
import json
import random
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal

import asyncpg

from outdial.dialer.budgets.alerts import BudgetAlerts
from outdial.dialer.budgets.limits import read_budgets
from outdial.dialer.claim import Claimed
from outdial.dialer.doctor import examine
from outdial.domain.policies.budget import START_ESTIMATE_CENTS
from outdial.studio.audit.service import AuditEntry
from outdial.studio.campaigns.activity import activity_sentence
from tests.support.dialing import Stage
from tests.support.factories import (
    NOW,
    Campaign,
    create_campaign,
    create_campaign_contact,
    create_tenant,
    fill_campaign,
    insert,
)


async def claim(stage: Stage, campaign: Campaign) -> list[object]:
    """Claim once, and return the ids of the claimed calls."""
    claimed = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claimed, Claimed)
    return [call.id for call in claimed.calls]


async def spending(stage: Stage, campaign: Campaign) -> tuple[Decimal, Decimal]:
    """Return the known costs and the reservations of a campaign."""
    row = await stage.look.fetchrow(
        "select coalesce(sum(spent_cents), 0) as spent, coalesce(sum(reserved_cents), 0) as reserved"
        " from spending where campaign_id = $1",
        campaign.id,
    )
    assert row is not None
    return row["spent"], row["reserved"]


async def end(stage: Stage, call_id: object, **columns: object) -> None:
    """Change a call as its events would: the trigger that counts costs runs."""
    names = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, start=2))
    await stage.look.execute(
        f"update calls set request_deadline = null, {names} where id = $1",  # noqa: S608
        call_id,
        *columns.values(),
    )


async def test_claims_stop_at_the_budget_and_go_on_when_costs_are_lower(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    campaign = await create_campaign(stage.look, tenant, batch_size=20, budget_cents=3 * START_ESTIMATE_CENTS + 99)
    for _ in range(8):
        await create_campaign_contact(stage.look, campaign)
    calls = await claim(stage, campaign)
    assert len(calls) == 3
    assert await spending(stage, campaign) == (0, 300)
    assert await claim(stage, campaign) == []
    assert (await stage.row("campaigns", campaign.id))["waiting_for"] == "budget"
    rules = stage.rules
    async with stage.dialing.for_organization(tenant.organization_id) as connection:
        diagnosis = (await examine(connection, [campaign.id], stage.clock.now(), rules))[campaign.id]
    assert diagnosis is not None
    assert diagnosis.reason == "budget"
    assert "3.99" in diagnosis.sentence(str)
    # 75 % are used. The first call costs less than was reserved, and the second was never connected.
    await end(stage, calls[0], status="ended", started_at=NOW, cost_cents=20)
    await end(stage, calls[1], status="ended", disconnection_reason="dial_no_answer")
    assert await spending(stage, campaign) == (20, 100)
    # The same again, as a repeated event has it, then a corrected cost.
    await end(stage, calls[0], cost_cents=20)
    await end(stage, calls[0], cost_cents=25)
    assert await spending(stage, campaign) == (25, 100)
    await end(stage, calls[0], cost_cents=20)
    assert len(await claim(stage, campaign)) == 2
    assert await claim(stage, campaign) == []
    # 320 of 399 cents are used: reported once.
    alerts = await stage.look.fetch("select * from audit_log where action = 'budget_nearly_used'")
    assert [alert["subject_id"] for alert in alerts] == [str(campaign.id)]
    details = json.loads(alerts[0]["details"])
    assert (details["spent_cents"], details["reserved_cents"]) == (20, 300)
    entry = AuditEntry(
        id=1,
        at=NOW,
        actor="dialer",
        actor_email=None,
        action="budget_nearly_used",
        subject_type="campaign",
        subject_id=str(campaign.id),
        details=details,
    )
    assert activity_sentence(entry) == (
        "Most of the budget of $3.99 is taken: $0.20 spent, $3.00 reserved for calls without a cost yet"
    )


async def test_sessions_that_report_costs_of_a_campaign_do_not_wait_for_each_other(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    campaign = await create_campaign(stage.look, tenant, batch_size=20, budget_cents=5000)
    for _ in range(2):
        await create_campaign_contact(stage.look, campaign)
    calls = await claim(stage, campaign)
    # A session adds to one of eight parts; two sessions of the same part would wait.
    sessions = {}
    async with AsyncExitStack() as stack:
        while len(sessions) < 2:
            session = await asyncpg.connect(stage.scratch.dsn)
            stack.push_async_callback(session.close)
            sessions[session.get_server_pid() % 8] = session
        first, second = sessions.values()
        await second.execute("set lock_timeout = '2s'")
        change = (
            "update calls set request_deadline = null, status = 'ended', started_at = $2, cost_cents = 20 where id = $1"
        )
        async with first.transaction():
            await first.execute(change, calls[0], NOW)
            await second.execute(change, calls[1], NOW)
    assert await spending(stage, campaign) == (40, 0)


async def test_costs_after_the_last_claim_alert_once(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    campaign = await create_campaign(stage.look, tenant, batch_size=20, budget_cents=399)
    organization_id = tenant.organization_id
    await insert(
        stage.look,
        "organization_budgets",
        organization_id=organization_id,
        day_cents=400,
        month_cents=5000,
        updated_at=NOW,
    )
    for _ in range(2):
        await create_campaign_contact(stage.look, campaign)
    calls = await claim(stage, campaign)
    assert await spending(stage, campaign) == (0, 200)

    async def alerts() -> list[tuple[str, str]]:
        await asyncio.gather(*(BudgetAlerts(stage.dialing, stage.clock).run_once() for _ in range(2)))
        found = await stage.look.fetch("select * from audit_log where action = 'budget_nearly_used'")
        # Either dialer may be the first with either budget.
        return sorted((json.loads(row["details"])["budget"], row["subject_id"]) for row in found)

    assert await alerts() == []
    for call_id in calls:
        await end(stage, call_id, status="ended", started_at=NOW, cost_cents=170)
    await stage.change("campaigns", campaign.id, status="completed")
    reported = [("campaign", str(campaign.id)), ("day", str(organization_id))]
    assert await alerts() == reported
    assert await alerts() == reported
    stage.clock.advance(timedelta(days=1))
    assert await alerts() == reported


async def test_an_estimate_takes_the_last_200_costs_of_the_agent_in_whichever_campaign_they_are(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    oldest = await create_campaign(stage.look, tenant, budget_cents=100_000, created_at=NOW - timedelta(days=9))
    await fill_campaign(stage.look, oldest, 1_200)
    # The oldest campaign has the newest calls. Behind 900 that cost nothing, 200 cost 300 cents, and earlier ones more.
    await stage.look.execute(
        """
        insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
          attempt_number, phone, from_number, request, decision, requested_at, created_at, updated_at, status,
          cost_cents, retell_agent_id)
        select gen_random_uuid(), organization_id, campaign_id, id, contact_id, $2, 1, phone, '+12125550000', '{}',
          '{}', at, at, at, 'ended', case when n <= 900 then null when n <= 1100 then 300 else 9000 end, 'agent_1'
        from (select *, row_number() over (order by id) as n from campaign_contacts where campaign_id = $3) c
        cross join lateral (select $1::timestamptz - n * interval '1 second' as at) t
        """,
        *(NOW, tenant.provider_account_id, oldest.id),
    )
    for _ in range(6):
        await create_campaign(stage.look, tenant)
    async with stage.dialing.for_organization(tenant.organization_id) as connection:
        found = await read_budgets(connection, [oldest.id], NOW)
    assert found[oldest.id].estimate_cents == 300


async def test_an_unknown_cost_stays_reserved_and_a_refused_call_frees_its_part(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), batch_size=20, budget_cents=200)
    for _ in range(4):
        await create_campaign_contact(stage.look, campaign)
    unknown, refused = await claim(stage, campaign)
    await end(stage, unknown, status="ended", started_at=NOW, disconnection_reason="user_hangup")
    await end(stage, refused, status="refused")
    assert await spending(stage, campaign) == (0, 100)
    assert len(await claim(stage, campaign)) == 1


async def test_the_budget_of_a_day_counts_all_campaigns_and_starts_again_at_midnight(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await insert(
        stage.look,
        "organization_budgets",
        organization_id=tenant.organization_id,
        time_zone="America/New_York",
        day_cents=300,
        updated_at=NOW,
    )
    first, second = [await create_campaign(stage.look, tenant, batch_size=2) for _ in range(2)]
    for campaign in (first, second):
        for _ in range(3):
            await create_campaign_contact(stage.look, campaign)
    assert len(await claim(stage, first)) == 2
    assert len(await claim(stage, second)) == 1
    assert await claim(stage, second) == []
    days = await stage.look.fetch("select distinct day::text as day from spending")
    assert [row["day"] for row in days] == ["2026-03-10"]
    # In a zone further west the day before has not ended yet: the calls still count, for the day and for the month.
    for budgets in ((300, None), (None, 300)):
        await stage.look.execute("update organization_budgets set day_cents = $1, month_cents = $2", *budgets)
        for day in ("2026-03-11", "2026-04-01"):
            await stage.look.execute("update spending set day = $1::text::date", day)
            assert await claim(stage, second) == []


async def test_over_seeds_a_campaign_overspends_by_no_more_than_its_calls_in_flight(stage: Stage) -> None:
    tenant = await create_tenant(stage.look, concurrency_limit=5)
    for seed in range(3):
        chance = random.Random(seed)
        budget = chance.choice((500, 900))
        campaign = await create_campaign(stage.look, tenant, batch_size=5, budget_cents=budget)
        for _ in range(25):
            await create_campaign_contact(stage.look, campaign)
        spent, live = 0, list[object]()
        for _ in range(12):
            claimed = await claim(stage, campaign)
            live += claimed
            in_flight = 0
            assert not claimed or spent + START_ESTIMATE_CENTS * len(claimed) <= budget
            for call_id in chance.sample(live, k=chance.randint(0, len(live))):
                cost = chance.choice((0, 30, 90, 400))
                live.remove(call_id)
                in_flight += cost
                await end(stage, call_id, status="ended", started_at=NOW, cost_cents=cost)
            stored = (await spending(stage, campaign))[0]
            assert stored == spent + in_flight
            assert stored <= max(budget, spent) + in_flight, f"seed {seed}"
            spent += in_flight
        for call_id in live:
            await end(stage, call_id, status="ended", started_at=NOW, cost_cents=0)
        await stage.change("campaigns", campaign.id, status="pausing")
