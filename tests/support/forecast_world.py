"""Campaigns that are forecast, and then dialed by the real dialer on the real tables in virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from outdial.clock import VirtualClock
from outdial.db.session import DIALER_TIMEOUTS, JOB_TIMEOUTS, WEBHOOK_TIMEOUTS, Database
from outdial.dialer.forecasting.record import COST_KNOWN_AFTER, ForecastRecorder, StoredForecast, stored_forecasts
from outdial.dialer.worker import Dialer
from outdial.domain.rules import UNRESTRICTED, RuleBook
from outdial.inbox.receive import WebhookReceiver
from outdial.promises.forecasts import ForecastOutcome
from outdial.retell.client import RetellClient
from outdial.retell.events import RetellEventReader
from outdial.retell.provider import RetellProvider
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.workspace import SimulatedWorkspace
from outdial.retell.webhooks import RetellWebhooks
from outdial.rules.pack import shipped_rules
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

CAMPAIGNS = 20
PAST_CALLS = 110
PAST = "past"
MIX = {"user_hangup": 45.0, "dial_no_answer": 25.0, "voicemail_reached": 20.0, "dial_busy": 10.0}
PLACES = {"US-NY": "America/New_York", "US-IL": "America/Chicago", "US-CA": "America/Los_Angeles"}
# The first campaigns have an hour left in New York when they start. The others call for longer than the law allows.
START = NOW.replace(hour=23)
HOURS = ('{"weekdays": [["09:00", "20:00"]]}', '{"every_day": [["08:00", "22:00"]]}')
RETRIES = '{"no_answer": {"delays": ["20m"]}, "busy": {"delays": ["5m"]}, "voicemail": {"delays": ["40m"]}}'


@dataclass
class ForecastWorld:
    """One set of campaigns: accounts with a simulated workspace each, a dialer and a receiver for all, one clock."""

    number: int
    look: asyncpg.Connection
    tenant: Tenant
    clock: VirtualClock
    workspaces: dict[str, SimulatedWorkspace]
    accounts: dict[str, UUID]
    dialer: Dialer
    receiver: WebhookReceiver
    jobs: Database
    rules: RuleBook

    async def campaign(self, credential: str, contacts: int, **settings: object) -> Campaign:
        """Create a campaign of one account, due now. Its id and phones depend on the set and the account alone."""
        now = self.clock.now()
        number = (CAMPAIGNS + 1) * self.number + list(self.accounts).index(credential) + 1
        campaign = Campaign(UUID(int=number), self.tenant)
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
        await fill_campaign(self.look, campaign, contacts, block=number)
        # Each is due at another moment, so that the same seed gives the same calls.
        await self.look.execute(
            "update campaign_contacts set next_attempt_at = $2::timestamptz - (next_attempt_at - $3::timestamptz)"
            " where campaign_id = $1",
            campaign.id,
            now,
            NOW,
        )
        await self.look.execute(_TO_PLACES, campaign.id.hex, list(PLACES), list(PLACES.values()))
        await self.look.execute(_AS_THEIR_CONTACTS, campaign.id)
        return campaign

    async def to_the_end(self, step: timedelta) -> None:
        """Dial until every campaign is completed. What is due within a `step` happens together."""
        for _ in range(6_000):
            await self.dialer.run_once()
            await self.dialer.settled()
            await self._deliver_webhooks()
            moments = [due for each in self.workspaces.values() if (due := each.next_due()) is not None]
            next_batch = await self.look.fetchval("select min(next_batch_at) from campaigns where status = 'active'")
            if next_batch is not None:
                moments.append(next_batch)
            if not moments:
                return
            self.clock.set(max(min(moments), self.clock.now() + step))
        raise AssertionError("the campaigns do not end")

    async def _deliver_webhooks(self) -> None:
        now = self.clock.now()
        # Side by side, so that the receiver stores them in one batch.
        await asyncio.gather(
            *(
                self.receiver.receive(each.body, each.headers(workspace.config.webhook_key, now)["x-retell-signature"])
                for workspace in self.workspaces.values()
                for each in workspace.advance(now)
            )
        )

    def witness(self, account: str) -> tuple[datetime, float]:
        """Return when the last call of an account ended, and what its calls cost, by the simulator's records."""
        workspace = self.workspaces[account]
        ended_ms = [call.end_ms or 0 for call in workspace.calls.values()]
        bills = [workspace.bills.bill_of(call) for call in workspace.calls.values()]
        return datetime.fromtimestamp(max(ended_ms) / 1000, UTC), sum(bill["cost_cents"] for bill in bills)

    async def forecast(self, campaign: Campaign) -> StoredForecast:
        """Return the only forecast of a campaign."""
        organization_id = self.tenant.organization_id
        (found,) = await stored_forecasts(self.look, campaign_id=campaign.id, organization_id=organization_id)
        return found


def seeded_ids(chance: random.Random) -> Callable[[datetime], UUID]:
    """Return a source of ids that repeats: ids of calls decide the jitter of retries."""
    return lambda now: UUID(int=int(now.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | chance.getrandbits(62))


@asynccontextmanager
async def create_world(
    dsn_for: Callable[[str], str], look: asyncpg.Connection, number: int, rules: RuleBook
) -> AsyncIterator[ForecastWorld]:
    """Prepare one set of campaigns; `number` seeds it. `look` is a superuser's connection."""
    clock, chance = VirtualClock(NOW), random.Random(number)
    names = [PAST, *(f"set_{number}_{each}" for each in range(CAMPAIGNS))]
    workspaces = {
        name: SimulatedWorkspace(
            SimulatorConfig(
                api_keys=(f"key_{name}",),
                webhook_key=f"hook_{name}",
                seed=number * len(names) + index,
                concurrency_limit=100,
                calls_per_second=None,
                outcome_mix=MIX,
                mean_talk_s=180.0,
                magic_numbers=False,
            )
        )
        for index, name in enumerate(names)
    }
    async with AsyncExitStack() as stack:
        webhook, dialing, jobs = [
            await stack.enter_async_context(
                await Database.connect(dsn_for(role), application_name=f"forecasts:{role}", timeouts=timeouts)
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
                concurrency_limit=100 if name == PAST else chance.randint(1, 3),
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
        # Claims in between would find nothing to do.
        settings = DialerSettings(safety_interval=timedelta(hours=1))
        yield ForecastWorld(
            number=number,
            look=look,
            tenant=tenant,
            clock=clock,
            workspaces=workspaces,
            accounts=accounts,
            dialer=Dialer(dialing, provider, clock, settings, rules=rules, make_id=seeded_ids(chance)),
            receiver=WebhookReceiver(webhook, keys, RetellEventReader(), clock, check_after=timedelta(minutes=10)),
            jobs=jobs,
            rules=rules,
        )


@dataclass(frozen=True, slots=True)
class DialedSet:
    """The forecasts of a set of campaigns with what happened; `repeated` is what a second comparison changed."""

    outcomes: Sequence[ForecastOutcome]
    repeated: int

    @property
    def forecasts(self) -> list[StoredForecast]:
        """The stored forecasts, compared with what happened."""
        return [each.stored for each in self.outcomes]


async def dial_set(
    dsn_for: Callable[[str], str],
    look: asyncpg.Connection,
    number: int,
    *,
    contacts: tuple[int, int] = (4, 6),
    step: timedelta = timedelta(seconds=8),
    is_restricted: bool = True,
) -> DialedSet:
    """Make a history of calls, forecast 20 campaigns when they start, and dial them to their end.

    A set that `is_restricted` has calling hours and the shipped calling rules; otherwise calls are made at any time.
    """
    chance = random.Random(number)
    rules = shipped_rules() if is_restricted else UNRESTRICTED
    async with create_world(dsn_for, look, number, rules) as world:
        await world.campaign(PAST, PAST_CALLS, max_attempts=1)
        await world.to_the_end(timedelta(seconds=20))
        settings: list[dict[str, object]] = [{} for _ in range(CAMPAIGNS)]
        if is_restricted:
            world.clock.set(START)
            settings = [{"calling_hours": HOURS[each % len(HOURS)]} for each in range(CAMPAIGNS)]
        campaigns = [
            await world.campaign(name, chance.randint(*contacts), **more)
            for name, more in zip(list(world.accounts)[1:], settings, strict=True)
        ]
        recorder = ForecastRecorder(world.jobs, world.clock, rules=world.rules)
        await recorder.run_once()
        await world.to_the_end(step)
        assert (await world.forecast(campaigns[0])).finished_at is None
        world.clock.advance(COST_KNOWN_AFTER + timedelta(seconds=1))
        await recorder.run_once()
        outcomes = []
        for name, campaign in zip(list(world.accounts)[1:], campaigns, strict=True):
            last_end, cost_cents = world.witness(name)
            stored = await world.forecast(campaign)
            outcomes.append(ForecastOutcome(name=name, stored=stored, last_end=last_end, cost_cents=cost_cents))
        return DialedSet(outcomes, await recorder.run_once())


_TO_PLACES = """
update contacts k set zone_key = ($3::text[])[n], jurisdiction_key = ($2::text[])[n]
from (select id, 1 + right(phone, 4)::integer % cardinality($2::text[]) as n from contacts where external_id = $1) as p
where k.id = p.id
"""
_AS_THEIR_CONTACTS = """
update campaign_contacts cc set zone_key = k.zone_key, jurisdiction_key = k.jurisdiction_key
from contacts k where k.id = cc.contact_id and cc.campaign_id = $1
"""
