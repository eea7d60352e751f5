"""Forecasts beside what happens: 20 campaigns, dialed by the real dialer on the real tables in virtual time."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from outdial.clock import VirtualClock
from outdial.db.session import DIALER_TIMEOUTS, JOB_TIMEOUTS, WEBHOOK_TIMEOUTS, Database
from outdial.dialer.forecasting.record import COST_KNOWN_AFTER, ForecastRecorder, StoredForecast, stored_forecasts
from outdial.dialer.worker import Dialer
from outdial.domain.rules import UNRESTRICTED
from outdial.inbox.receive import WebhookReceiver
from outdial.retell.client import RetellClient
from outdial.retell.events import RetellEventReader
from outdial.retell.provider import RetellProvider
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.workspace import SimulatedWorkspace
from outdial.retell.webhooks import RetellWebhooks
from outdial.settings import DialerSettings
from tests.support.factories import (
    NOW,
    Campaign,
    Tenant,
    create_campaign,
    create_provider_account,
    create_tenant,
    fill_campaign,
)
from tests.support.postgres import Scratch

SEEDS = range(1, 21)
STEP = timedelta(seconds=2)
MIX = {"user_hangup": 45, "dial_no_answer": 25, "voicemail_reached": 20, "dial_busy": 10}
RETRIES = '{"no_answer": {"delays": ["20m"]}, "busy": {"delays": ["5m"]}, "voicemail": {"delays": ["40m"]}}'


@dataclass
class World:
    """Accounts with a simulated workspace each, a dialer and a receiver for all, and one clock."""

    look: asyncpg.Connection
    tenant: Tenant
    clock: VirtualClock
    workspaces: dict[str, SimulatedWorkspace]
    accounts: dict[str, UUID]
    dialer: Dialer
    receiver: WebhookReceiver
    jobs: Database

    async def campaign(self, credential: str, contacts: int, **settings: object) -> Campaign:
        """Create a campaign of one account, due now. Its id, which seeds the forecast, depends on the account alone."""
        now = self.clock.now()
        campaign = Campaign(UUID(int=list(self.accounts).index(credential) + 1), self.tenant)
        await create_campaign(
            self.look,
            self.tenant,
            id=campaign.id,
            provider_account_id=self.accounts[credential],
            retry_policy=RETRIES,
            started_at=now,
            next_batch_at=now,
            **({"max_attempts": 3} | settings),
        )
        await fill_campaign(self.look, campaign, contacts)
        # Each is due at another moment, so that the same seed gives the same calls.
        await self.look.execute(
            "update campaign_contacts set next_attempt_at = $2::timestamptz - (next_attempt_at - $3::timestamptz)"
            " where campaign_id = $1",
            campaign.id,
            now,
            NOW,
        )
        return campaign

    async def to_the_end(self) -> None:
        """Dial until every campaign is completed."""
        for _ in range(6_000):
            await self.dialer.run_once()
            await self.dialer.settled()
            for workspace in self.workspaces.values():
                for webhook in workspace.advance(self.clock.now()):
                    headers = webhook.headers(workspace.config.webhook_key, self.clock.now())
                    await self.receiver.receive(webhook.body, headers["x-retell-signature"])
            moments = [due for each in self.workspaces.values() if (due := each.next_due()) is not None]
            row = await self.look.fetchrow("select min(next_batch_at) as next from campaigns where status = 'active'")
            if row["next"] is None and not moments:
                return
            first = min([*moments, *([row["next"]] if row["next"] else [])])
            self.clock.set(max(first, self.clock.now() + STEP))
        raise AssertionError("the campaigns do not end")


def seeded_ids(chance: random.Random) -> Callable[[datetime], UUID]:
    """Return a source of ids that repeats: ids of calls decide the jitter of retries."""
    return lambda now: UUID(int=int(now.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | chance.getrandbits(62))


@asynccontextmanager
async def create_world(database: Scratch, look: asyncpg.Connection) -> AsyncIterator[World]:
    clock, chance = VirtualClock(NOW), random.Random(11)
    names = ["past", *(f"seed_{seed}" for seed in SEEDS)]
    workspaces = {
        name: SimulatedWorkspace(
            SimulatorConfig(
                api_keys=(f"key_{name}",),
                webhook_key=f"hook_{name}",
                seed=number,
                concurrency_limit=100,
                calls_per_second=None,
                outcome_mix=MIX,
                mean_talk_s=180.0,
                magic_numbers=False,
            )
        )
        for number, name in enumerate(names)
    }
    async with AsyncExitStack() as stack:
        webhook, dialing, jobs = [
            await stack.enter_async_context(
                await Database.connect(database.dsn_for(role), application_name=f"tests:{role}", timeouts=timeouts)
            )
            for role, timeouts in (
                ("outdial_webhook", WEBHOOK_TIMEOUTS),
                ("outdial_dialer", DIALER_TIMEOUTS),
                ("outdial_jobs", JOB_TIMEOUTS),
            )
        ]
        tenant = await create_tenant(look, credential="unused", daily_call_cap=10)
        accounts = {
            name: await create_provider_account(
                look,
                tenant.organization_id,
                credential=name,
                concurrency_limit=20 if name == "past" else chance.randint(2, 5),
            )
            for name in names
        }
        provider = RetellProvider(
            {
                name: RetellClient(SimulatorTransport(workspace, clock.now, f"key_{name}"))
                for name, workspace in workspaces.items()
            }
        )
        keys = RetellWebhooks({name: [workspace.config.webhook_key] for name, workspace in workspaces.items()})
        yield World(
            look=look,
            tenant=tenant,
            clock=clock,
            workspaces=workspaces,
            accounts=accounts,
            dialer=Dialer(dialing, provider, clock, DialerSettings(), rules=UNRESTRICTED, make_id=seeded_ids(chance)),
            receiver=WebhookReceiver(webhook, keys, RetellEventReader(), clock, check_after=timedelta(minutes=10)),
            jobs=jobs,
        )


@pytest.mark.timeout(180)
async def test_at_least_16_of_20_seeded_runs_end_within_their_forecast(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    chance = random.Random(5)
    async with create_world(database, connection) as world:
        await world.campaign("past", 150, max_attempts=1)
        await world.to_the_end()
        campaigns = [await world.campaign(f"seed_{seed}", chance.randint(9, 15)) for seed in SEEDS]
        recorder = ForecastRecorder(world.jobs, world.clock, rules=UNRESTRICTED)
        await recorder.run_once()
        await world.to_the_end()
        assert await stored(world, campaigns[0]) is not None
        assert (await stored(world, campaigns[0])).finished_at is None
        world.clock.advance(COST_KNOWN_AFTER + timedelta(seconds=1))
        await recorder.run_once()

        found = [await stored(world, campaign) for campaign in campaigns]
        assert await recorder.run_once() == 0
    spent = await connection.fetchval("select sum(cost_cents) from calls")
    in_time = [each for each in found if each.forecast.finish_at.holds(ended_at(each))]
    in_cost = [each for each in found if each.forecast.cost_cents.holds(each.actual_cost_cents or 0)]
    assert len(in_time) >= 16, [summary(each) for each in found]
    assert len(in_cost) >= 16, [summary(each) for each in found]
    # The intervals say something: they are neither a single value nor so wide that anything fits.
    for each in found:
        length = each.forecast.finish_at.p50 - each.forecast.made_at
        width = each.forecast.finish_at.p90 - each.forecast.finish_at.p10
        assert timedelta() < width < length
    assert sum(each.actual_cost_cents or 0 for each in found) < spent


async def stored(world: World, campaign: Campaign) -> StoredForecast:
    async with world.jobs.for_organization(world.tenant.organization_id) as acting:
        forecasts = await stored_forecasts(
            acting, campaign_id=campaign.id, organization_id=world.tenant.organization_id
        )
    assert len(forecasts) == 1
    return forecasts[0]


def ended_at(each: StoredForecast) -> datetime:
    assert each.finished_at is not None
    return each.finished_at


def summary(each: StoredForecast) -> str:
    finish, made = each.forecast.finish_at, each.forecast.made_at
    times = [str(moment - made)[:7] for moment in (finish.p10, finish.p50, finish.p90, ended_at(each))]
    costs = [each.forecast.cost_cents.p10, each.forecast.cost_cents.p90, each.actual_cost_cents]
    return f"{times} {costs} {each.forecast.calls.p50} {each.actual_calls}"
