"""A transaction that stands still delays what it has locked, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns import lifecycle
from outdial.campaigns.lifecycle import Actor, Changed
from outdial.db.session import (
    CONNECTION_ERRORS,
    DIALER_TIMEOUTS,
    JOB_TIMEOUTS,
    REQUEST_TIMEOUTS,
    WEBHOOK_TIMEOUTS,
    Database,
    SessionTimeouts,
)
from outdial.dialer.claim import AccountBlocked
from outdial.domain.campaign import CampaignStatus
from outdial.inbox.applier import LOCKED_DELAY
from outdial.inbox.receive import StoredEvent
from outdial.retell import signature
from tests.support.dialing import KEY, Stage, epoch_ms, event_body
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_tenant,
)
from tests.support.postgres import Scratch

# Far above what a test takes. Whoever waits for a lock that a test holds fails before: requests after 10 s.
SOON_S = 30.0
LOCK_CALL = "select from calls where id = $1 for update"
LOCK_ACCOUNT = "select from provider_accounts where id = $1 for no key update"
LOCK_CAMPAIGN = "select from campaigns where id = $1 for update"


@asynccontextmanager
async def held(stage: Stage, lock: str, id: UUID) -> AsyncIterator[None]:
    """Hold a lock for the block, as a stopped process does."""
    holder = await asyncpg.connect(stage.scratch.dsn)
    try:
        async with holder.transaction():
            await holder.execute(lock, id)
            yield
    finally:
        await holder.close()


async def running(stage: Stage, size: int, credential: str, campaigns: int = 1) -> list[Campaign]:
    """Create active campaigns of one account with due contacts."""
    tenant = await create_tenant(stage.look, credential=credential)
    created = [await create_campaign(stage.look, tenant) for _ in range(campaigns)]
    for campaign in created:
        for _ in range(size):
            await create_campaign_contact(stage.look, campaign)
    return created


@pytest.mark.parametrize(
    ("timeouts", "shown"),
    [
        (DIALER_TIMEOUTS, ("3s", "1s", "15s")),
        (WEBHOOK_TIMEOUTS, ("3s", "500ms", "10s")),
        (REQUEST_TIMEOUTS, ("30s", "10s", "40s")),
        (JOB_TIMEOUTS, ("1min", "10s", "0")),
    ],
    ids=["dialer", "webhook", "requests", "jobs"],
)
async def test_every_connection_of_a_pool_has_its_timeouts(
    database: Scratch, timeouts: SessionTimeouts, shown: tuple[str, str, str]
) -> None:
    names = ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
    dsn = database.dsn_for("outdial_dialer")
    async with (
        await Database.connect(dsn, application_name="test", timeouts=timeouts) as pool,
        pool.transaction() as one,
        pool.transaction() as other,
    ):
        for connection in (one, other):
            assert tuple([await connection.fetchval(f"show {name}") for name in names]) == shown


async def test_postgres_ends_a_session_that_stands_still_and_frees_its_locks(stage: Stage) -> None:
    [campaign] = await running(stage, 1, "default")
    timeouts = SessionTimeouts(idle_in_transaction=timedelta(milliseconds=100), lock=timedelta(), statement=timedelta())
    dsn = stage.scratch.dsn_for("outdial_dialer")

    async def stand_still(pool: Database) -> None:
        async with pool.for_organization(campaign.tenant.organization_id) as connection:
            await connection.execute(LOCK_CAMPAIGN, campaign.id)
            # The pause waits for the stalled session until Postgres ends it.
            async with asyncio.timeout(SOON_S):
                await stage.look.execute("update campaigns set status = 'pausing' where id = $1", campaign.id)
            await connection.execute("select 1")

    async with await Database.connect(dsn, application_name="test", timeouts=timeouts) as pool:
        with pytest.raises(CONNECTION_ERRORS):
            await stand_still(pool)


async def test_a_claim_gives_up_on_an_account_that_another_transaction_holds(stage: Stage) -> None:
    [campaign] = await running(stage, 1, "default")
    async with held(stage, LOCK_ACCOUNT, campaign.tenant.provider_account_id), asyncio.timeout(SOON_S):
        assert await stage.claimer().claim(campaign.tenant.organization_id, campaign.id) == AccountBlocked()


async def test_a_claim_that_gives_up_does_not_end_the_failures_of_its_campaign(stage: Stage) -> None:
    [campaign] = await running(stage, 1, "default")
    await stage.change("campaigns", campaign.id, failures=3, failing_reason="broken")
    dialer = stage.dialer()
    async with held(stage, LOCK_ACCOUNT, campaign.tenant.provider_account_id), asyncio.timeout(SOON_S):
        assert await dialer.run_once() == 0
    assert (await stage.row("campaigns", campaign.id))["failures"] == 3
    assert await dialer.run_once() == 1
    await dialer.settled()
    assert (await stage.row("campaigns", campaign.id))["failures"] == 0


async def test_a_stalled_claim_delays_the_calls_of_its_own_account_only(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stalled = await running(stage, 2, "default", campaigns=20)
    [other] = await running(stage, 3, "other")
    stage.clients["other"] = stage.clients["default"]
    dialer = stage.dialer()
    async with held(stage, LOCK_ACCOUNT, stalled[0].tenant.provider_account_id), asyncio.timeout(SOON_S):
        assert await dialer.run_once() == 3
    # One claim waits 200 ms for the account. Without the memory of that, 20 claims would wait for 4 s in each round.
    assert caplog.text.count("dialer.locked_elsewhere") == 1
    assert {row["campaign_id"] for row in await stage.rows("calls")} == {other.id}
    assert await dialer.run_once() > 0
    await dialer.settled()
    assert {row["campaign_id"] for row in await stage.rows("calls")} > {other.id}


async def test_a_pause_does_not_wait_for_a_stalled_claim_of_another_campaign(stage: Stage) -> None:
    stalled, other = await running(stage, 1, "default", campaigns=2)
    tenant = other.tenant
    async with (
        await Database.connect(stage.scratch.dsn_for("outdial_api"), application_name="test") as api,
        held(stage, LOCK_ACCOUNT, tenant.provider_account_id),
        held(stage, LOCK_CAMPAIGN, stalled.id),
        asyncio.timeout(SOON_S),
        api.as_service() as connection,
    ):
        assert await lifecycle.pause(connection, other.id, Actor(), NOW) == Changed(CampaignStatus.PAUSED)


async def test_a_campaign_that_is_locked_elsewhere_delays_no_other(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    [pausing] = await running(stage, 0, "default")
    await stage.look.execute("update campaigns set status = 'pausing' where id = $1", pausing.id)
    await running(stage, 2, "other")
    stage.clients["other"] = stage.clients["default"]
    dialer = stage.dialer()
    async with held(stage, LOCK_CAMPAIGN, pausing.id), asyncio.timeout(SOON_S):
        assert await dialer.run_once() == 2
        await dialer.settled()
    assert caplog.text.count("dialer.locked_elsewhere") == 1
    assert "dialer.campaign_failed" not in caplog.text
    stage.clock.advance(timedelta(seconds=5))
    await dialer.run_once()
    assert (await stage.row("campaigns", pausing.id))["status"] == "paused"


async def test_the_responses_of_other_calls_are_settled_while_a_call_is_locked(stage: Stage) -> None:
    await running(stage, 3, "default")
    dialer = stage.dialer()
    stage.gate.shut()
    assert await dialer.run_once() == 3
    locked = (await stage.rows("calls"))[1]["id"]
    async with held(stage, LOCK_CALL, locked), asyncio.timeout(SOON_S):
        stage.gate.opened.set()
        await dialer.settled()
    assert {row["id"]: row["status"] for row in await stage.rows("calls")} == {
        row["id"]: "placing" if row["id"] == locked else "placed" for row in await stage.rows("calls")
    }


async def test_a_flush_sets_the_events_of_a_locked_call_aside_and_applies_the_rest(stage: Stage) -> None:
    [campaign] = await running(stage, 0, "default")
    created = [await create_calling(stage.look, campaign) for _ in range(4)]
    bodies = [event_body("call_started", f"call_{number}", call_id) for number, (_, call_id) in enumerate(created)]
    receiver, sent_at, locked = stage.receiver(), epoch_ms(NOW), created[1][1]
    async with held(stage, LOCK_CALL, locked), asyncio.timeout(SOON_S):
        results = await asyncio.gather(*(receiver.receive(body, signature.sign(body, KEY, sent_at)) for body in bodies))
        assert [result.status for result in results if isinstance(result, StoredEvent)] == [
            "applied",
            "pending",
            "applied",
            "applied",
        ]
        # The applier leaves it alone as well, and does not count that as a try.
        applier = stage.applier()
        await applier.run_once()
        [event] = [row for row in await stage.rows("webhook_events") if row["retell_call_id"] == "call_1"]
        assert (event["status"], event["tries"]) == ("pending", 0)
        assert event["next_try_at"] == NOW + LOCKED_DELAY
    assert (await stage.row("calls", locked))["status"] == "placing"
    stage.clock.advance(LOCKED_DELAY)
    assert await applier.run_once() == 1
    assert {row["status"] for row in await stage.rows("calls")} == {"ongoing"}
    assert {row["status"] for row in await stage.rows("webhook_events")} == {"applied"}


async def test_an_event_waits_for_the_call_that_its_own_id_names_and_is_matched_with_no_other(stage: Stage) -> None:
    [campaign] = await running(stage, 0, "default")
    _, locked = await create_calling(stage.look, campaign, status="placed", retell_call_id="call_1")
    _, free = await create_calling(stage.look, campaign)
    body = event_body("call_started", "call_1", free)
    async with held(stage, LOCK_CALL, locked), asyncio.timeout(SOON_S):
        [result] = await stage.send(body)
    assert isinstance(result, StoredEvent)
    assert result.status == "pending"
    assert (await stage.row("calls", free))["status"] == "placing"
