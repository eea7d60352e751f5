"""One seeded run of the whole engine under virtual time: two organizations, two dialers, and a provider that fails."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from outdial.campaigns import lifecycle
from outdial.campaigns.lifecycle import Actor
from outdial.db.session import Database
from outdial.dialer.callbacks.late import LateCallbacks
from outdial.dialer.test_calls.task import CallTester
from outdial.dialer.worker import Dialer
from outdial.domain.limits import MAX_CONCURRENCY
from outdial.domain.location import KEYS_VERSION
from outdial.inbox.applier import EventApplier
from outdial.inbox.held_contacts import HeldContacts
from outdial.inbox.receive import WebhookReceiver
from outdial.promises.promise import Promise
from outdial.provider import BeforeSending
from outdial.retell.client import RetellClient
from outdial.retell.events import RetellEventReader
from outdial.retell.provider import RetellProvider
from outdial.retell.simulator import DueWebhook, SimulatedWorkspace, SimulatorConfig, SimulatorTransport
from outdial.retell.simulator.script import ScriptStep
from outdial.retell.webhooks import RetellWebhooks
from outdial.retell.wire import RetellResponse
from outdial.rules.pack import shipped_rules
from outdial.settings import DialerSettings
from tests.simulation.fault_mix import faults
from tests.simulation.history import History
from tests.simulation.member_acts import RATE, MemberActs
from tests.simulation.open_campaign import OpenCampaign, open_campaign
from tests.simulation.own_phones import OwnPhones
from tests.simulation.spending import BudgetWitness, deliver, settled
from tests.simulation.stops import CallStops
from tests.simulation.turn_clock import TurnClock
from tests.support import factories
from tests.support.postgres import Scratch

# A Monday, 13:00 in London: the Americas are about to open, and a weekend lies ahead of the longest runs.
START = datetime(2026, 3, 9, 13, 0, tzinfo=UTC)
# States and countries whose rules set different hours and caps, one that bans sales calls, a contact in one of two
# states, a country without a rule and two without one for surveys, until their checks are switched off.
PLACES = (
    ("America/New_York", "US-NY"),
    ("America/Chicago|America/New_York", "US-IN|US-KY"),
    ("America/Los_Angeles", "US-CA"),
    ("America/Los_Angeles", "US-WA"),
    ("America/New_York", "US-FL"),
    ("America/New_York", "US-ME"),
    ("America/New_York", "US-PA"),
    ("America/Chicago", "US-TX"),
    ("Europe/London", "GB"),
    ("Europe/Paris", "FR"),
    ("Asia/Kolkata", "IN"),
)
WITHOUT_RULE = ("IN-NO-RULE", "GB-NO-RULE", "FR-NO-RULE")
OFFICE_HOURS = '{"weekdays": [["09:00", "20:00"]]}'
QUICK_RETRIES = (
    '{"no_answer": {"delays": ["20m"]}, "busy": {"delays": ["5m"]}, "voicemail": {"delays": ["1h"]}, "max_faults": 4}'
)
BURNT = "+12125550009"
"""A caller number whose calls networks mark as spam."""
CALLBACK_TIMES = ("in 20 minutes", "in 45 minutes", "in 90 minutes", "in 3 hours", "in 1 day", "in 4 days")
MESSAGES = (
    "{}",
    '{"action": "leave_message", "message": "Hello"}',
    '{"action": "leave_message", "message": "Hello {{name}}", "on_attempt": 2, "then": "stop"}',
)
CONTACTS = 18
MOST_STEPS = 1_500
LONGEST_JUMP = timedelta(hours=6)


class Crash(asyncio.CancelledError):
    """The dialer dies here, with its request on the way or not yet sent: nothing of it is settled any more."""


class WatchedTransport:
    """The simulator's transport, with the witness looking on and crashes of the dialer on either side of a request."""

    def __init__(self, run: "Run", workspace: SimulatedWorkspace, key: str) -> None:
        self._run, self._inner = run, SimulatorTransport(workspace, run.clock.now, key)
        self._workspace = workspace

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout_s: float,
        before_sending: BeforeSending | None = None,
    ) -> RetellResponse:
        """Pass the request on; while it is under way, an operator may pause a campaign."""
        await self._run.pause_meanwhile()
        if "list-calls" in path and self._run.listing_lags():
            return RetellResponse(200, b'{"items": [], "has_more": false}')
        if body is None or "create-phone-call" not in path:
            return await self._inner.send(method, path, body, timeout_s)
        was_stopped = self._run.stops.is_stopped(self._workspace)
        try:
            if before_sending is not None:
                await before_sending()
            self._run.own_phones.on_leaving(body, was_stopped=was_stopped)
            return await self._create(method, path, body, timeout_s)
        finally:
            self._run.clock.end_turn()

    async def _create(self, method: str, path: str, body: bytes, timeout_s: float) -> RetellResponse:
        if self._run.crashes():
            raise Crash
        key = await self._run.history.on_create(body, self._run.clock.now())
        try:
            reply = await self._inner.send(method, path, body, timeout_s)
        finally:
            self._run.history.on_answer(key)
        if self._run.crashes():
            raise Crash
        return reply

    async def close(self) -> None:
        """There is nothing to close."""


@dataclass(slots=True)
class Run:
    """A run and its parts; everything that is left to chance comes from the seed."""

    seed: int
    chance: random.Random
    clock: TurnClock
    history: History
    workspaces: dict[str, SimulatedWorkspace]
    api: Database
    receiver: WebhookReceiver
    applier: EventApplier
    held_contacts: HeldContacts
    late_callbacks: LateCallbacks
    own_phones: OwnPhones = field(init=False)
    stops: CallStops = field(init=False)
    members: MemberActs = field(init=False)
    dialers: list[Dialer] = field(default_factory=list)
    campaigns: list[UUID] = field(default_factory=list)
    phones: list[tuple[UUID, str]] = field(default_factory=list)
    budgets: BudgetWitness = field(init=False)
    open_campaigns: list[OpenCampaign] = field(default_factory=list)
    crash_rate: float = 0.02
    late_webhooks: list[tuple[str, DueWebhook]] = field(default_factory=list)
    steps: int = 0

    def crashes(self) -> bool:
        """Tell whether a process dies now."""
        return self.chance.random() < self.crash_rate

    async def to_the_end(self) -> None:
        """Run with faults for a while, then let everything heal and come to rest."""
        while self.steps < MOST_STEPS // 3 and not await self._all_done():
            await self._step()
        await self.heal()
        while self.steps < MOST_STEPS and not await self._at_rest():
            await self._step()
        await self.history.at_the_end(self.workspaces)
        for breach in self.stops.broken + self.own_phones.broken:
            self.history.note(Promise.STOP, breach)
        for breach in await self.budgets.breaches(self.history.observer, self.workspaces):
            self.history.note(Promise.BUDGETS, breach)
        for campaign in self.open_campaigns:
            await campaign.at_the_end()

    def summary(self) -> str:
        """Return what happened in numbers."""
        totals = [workspace.ledger.totals().get("create-phone-call") for workspace in self.workspaces.values()]
        steps = f"{self.steps} steps to {self.clock.now():%a %d %H:%M}"
        added = sum(len(campaign.added) for campaign in self.open_campaigns)
        done = f"{added} added, {self.history.callbacks}, members: {dict(self.members.done)}"
        return f"seed {self.seed}: {steps}, creates {totals}, {done}"

    async def heal(self) -> None:
        """No more faults, crashes, budgets and stops; paused campaigns are resumed by the steps that follow."""
        self.crash_rate = 0
        for workspace in self.workspaces.values():
            workspace.faults.replace([])
        await self.stops.end()
        await self.budgets.remove_all(self.history.observer, self.clock.now())

    @property
    def _healed(self) -> bool:
        return self.crash_rate == 0

    async def _step(self) -> None:
        self.steps += 1
        for dialer in self.chance.sample(self.dialers, k=self.chance.randint(1, len(self.dialers))):
            with self.clock.all_asleep():
                await dialer.run_once()
                for _ in range(20):
                    await asyncio.sleep(0)
            await dialer.settled()
        if self.chance.random() < 0.8:
            with suppress(Crash, asyncio.CancelledError):
                await self.chance.choice(self.dialers).rescuer.run_once()
            await _quiet()
        await self.dialers[0].scheduler.run_once()
        await self._deliver()
        if self.chance.random() < 0.8:
            await self.applier.run_once()
            await self.held_contacts.run_once()
            await self.late_callbacks.run_once()
        await settled(self.history.observer, self.workspaces, self.clock.now())
        await self.budgets.raise_some(self.history.observer, self.clock.now())
        await self._operator()
        await self.own_phones.step()
        await self.stops.step()
        await self.members.step(self.clock.now(), healed=self._healed)
        for campaign in self.open_campaigns:
            await campaign.act(self.clock.now(), healed=self._healed)
        await self.history.at_rest()
        await self._advance()

    async def _deliver(self) -> None:
        due = [
            (credential, hook)
            for credential, workspace in self.workspaces.items()
            for hook in workspace.advance(self.clock.now())
        ]
        due += self.late_webhooks
        self.late_webhooks = []
        self.chance.shuffle(due)
        for credential, webhook in due:
            if self.crashes():
                # The receiver dies before its commit: Retell delivers again.
                self.late_webhooks.append((credential, webhook))
                continue
            workspace = self.workspaces[credential]
            await deliver(workspace, webhook, self.clock.now())
            headers = webhook.headers(workspace.config.webhook_key, self.clock.now())
            await self.receiver.receive(webhook.body, headers["x-retell-signature"])

    def listing_lags(self) -> bool:
        """Tell whether Retell's list does not show yet what has just been made."""
        return not self._healed and self.chance.random() < 0.4

    async def pause_meanwhile(self) -> None:
        """Pause a campaign or stop all calls now and then, wherever its dialers are with it."""
        await self.stops.meanwhile()
        if not self._healed and self.chance.random() < 0.03:
            campaign_id = self.chance.choice(self.campaigns)
            async with self.api.as_service() as connection:
                await lifecycle.pause(connection, campaign_id, Actor(), self.clock.now())

    async def _operator(self) -> None:
        """What people do meanwhile: pause, resume, and put numbers on the do-not-call list."""
        now = self.clock.now()
        if self._healed or self.chance.random() < 0.01:
            for rule_id in WITHOUT_RULE:
                await self._switch_off(rule_id, now)
        if self._healed:
            for campaign_id in self.campaigns:
                async with self.api.as_service() as connection:
                    await lifecycle.resume(connection, campaign_id, Actor(), now)
            return
        campaign_id, dice = self.chance.choice(self.campaigns), self.chance.random()
        async with self.api.as_service() as connection:
            if dice < 0.06:
                await lifecycle.pause(connection, campaign_id, Actor(), now)
            elif dice < 0.16:
                await lifecycle.resume(connection, campaign_id, Actor(), now)
            elif dice < 0.163:
                await lifecycle.cancel(connection, campaign_id, Actor(), now, hang_up=self.chance.random() < 0.5)
        if dice > 0.98:
            organization_id, phone = self.chance.choice(self.phones)
            await self.history.observer.execute(
                "insert into do_not_call (organization_id, phone, source, created_at) values ($1, $2, 'manual', $3)"
                " on conflict do nothing",
                organization_id,
                phone,
                now,
            )

    async def _switch_off(self, rule_id: str, now: datetime) -> None:
        """Switch a rule off for every organization, once."""
        await self.history.observer.execute(
            "insert into rule_switches (organization_id, rule_id, is_off, reason, actor, at)"
            " select o.id, $1, true, 'Checked with counsel', 'simulation', $2 from organizations o"
            " where not exists (select from rule_switches s where s.organization_id = o.id and s.rule_id = $1)",
            rule_id,
            now,
        )

    async def _advance(self) -> None:
        """Move the clock: by a little, or to the next moment at which something is due."""
        now = self.clock.now()
        if self.chance.random() < 0.3:
            self.clock.advance(timedelta(seconds=self.chance.uniform(0.05, 3)))
            return
        moments = [m for workspace in self.workspaces.values() if (m := workspace.next_due()) is not None]
        row = await self.history.observer.fetchrow(
            "select least((select min(next_batch_at) from campaigns where next_batch_at > $1),"
            " (select min(next_check_at) from calls where next_check_at > $1),"
            " (select min(next_check_at) from test_calls where next_check_at > $1),"
            " (select min(decides_at) from calls where decides_at > $1)) as next",
            now,
        )
        if row is not None and row["next"] is not None:
            moments.append(row["next"])
        moments = [moment for moment in moments if moment > now] or [now + timedelta(minutes=1)]
        due_later = await self._next_due_contact(now)
        target = max(min(moments), due_later) if due_later is not None else min(moments)
        target = target if target == due_later else min(target, now + LONGEST_JUMP)
        # Dialers that are awake miss no callback.
        callback_at = await self.history.observer.fetchval(
            "select min(callback_at) from campaign_contacts where status = 'pending' and callback_at > $1", now
        )
        self.clock.set(target if callback_at is None else min(target, callback_at))

    async def _next_due_contact(self, now: datetime) -> datetime | None:
        """While no call is live, skip the dialer's idle polls until the moment when a contact is due."""
        live = await self.history.observer.fetchval("select exists (select from calls where next_check_at is not null)")
        waiting = await self.history.observer.fetchval(
            "select bool_and(waiting_for in ('calling_hours', 'calling_rules', 'retry', 'numbers', 'budget',"
            " 'day_part', 'contacts')) from campaigns where status = 'active'"
        )
        if live or not waiting:
            return None
        # Such as a month later, when a cap of four calls in thirty days allows the next one.
        first = await self.history.observer.fetchval(
            "select min(cc.next_attempt_at) from campaign_contacts cc join campaigns m on m.id = cc.campaign_id"
            " where cc.status = 'pending' and m.status = 'active'"
        )
        soon = now + timedelta(minutes=self.chance.choice((10, 30, 60)))
        return soon if first is None else max(soon, first)

    async def _all_done(self) -> bool:
        return bool(
            await self.history.observer.fetchval("select bool_and(status in ('completed', 'cancelled')) from campaigns")
        )

    async def _at_rest(self) -> bool:
        checks = await self.history.observer.fetchval(
            "select exists (select from calls where next_check_at is not null)"
        )
        coming = any(workspace.next_due() is not None for workspace in self.workspaces.values())
        at_rest = not checks and not coming and not self.late_webhooks and not self.own_phones.is_open
        return await self._all_done() and at_rest


async def _quiet() -> None:
    """Wait for what a crash has left running."""
    current = asyncio.current_task()
    while others := [task for task in asyncio.all_tasks() if task is not current and not task.done()]:
        await asyncio.wait(others)


@asynccontextmanager
async def prepared(database: Scratch, seed: int) -> AsyncIterator[Run]:
    """Set up two organizations with three campaigns; everything connects as the role that it has in production."""
    chance, clock = random.Random(seed), TurnClock(START)
    settings = DialerSettings()
    async with AsyncExitStack() as stack:

        async def connect(role: str) -> Database:
            return await stack.enter_async_context(
                await Database.connect(database.dsn_for(role), application_name=f"simulation:{role}", max_size=8)
            )

        observer = await asyncpg.connect(database.dsn)
        stack.push_async_callback(observer.close)
        webhook = await connect("outdial_webhook")
        workspaces = {
            credential: SimulatedWorkspace(
                SimulatorConfig(
                    api_keys=(f"key_{credential}",),
                    webhook_key=f"hook_{credential}",
                    seed=seed * 10 + index,
                    concurrency_limit=chance.choice((2, 4, 7)),
                    calls_per_second=chance.choice((1.0, 2.0, 5.0)),
                    magic_numbers=False,
                    spam_numbers=(BURNT,),
                )
            )
            for index, credential in enumerate(("default", "acme"))
        }
        webhooks = RetellWebhooks(
            {credential: [workspace.config.webhook_key] for credential, workspace in workspaces.items()}
        )
        run = Run(
            seed,
            chance,
            clock,
            History(observer),
            workspaces,
            api=await connect("outdial_api"),
            receiver=WebhookReceiver(
                webhook, webhooks, RetellEventReader(), clock, check_after=settings.reconcile_after
            ),
            applier=EventApplier(webhook, RetellEventReader(), clock, check_after=settings.reconcile_after),
            held_contacts=HeldContacts(webhook, RetellEventReader(), clock),
            late_callbacks=LateCallbacks(await connect("outdial_dialer"), clock),
        )
        provider = RetellProvider(
            {c: RetellClient(WatchedTransport(run, workspace, f"key_{c}")) for c, workspace in workspaces.items()}
        )
        run.budgets = BudgetWitness(random.Random(f"{seed}/budgets"))
        ids = random.Random(seed)

        def make_id(now: datetime) -> UUID:
            milliseconds = int(now.timestamp() * 1000)
            return UUID(int=milliseconds << 80 | 7 << 76 | ids.getrandbits(12) << 64 | 2 << 62 | ids.getrandbits(62))

        run.dialers = [
            Dialer(await connect("outdial_dialer"), provider, clock, settings, rules=shipped_rules(), make_id=make_id)
            for _ in range(2)
        ]
        owners = await _populate(run)
        run.stops = CallStops(seed, clock, run.api, owners)
        run.members = MemberActs(
            api=run.api, chance=random.Random(f"{seed}/members"), rate=RATE if seed % 4 == 0 else 0
        )
        run.own_phones = run.history.own_phones = OwnPhones(
            seed,
            clock,
            run.api,
            observer,
            tasks=[
                CallTester(await connect("outdial_dialer"), provider, clock, settings, shipped_rules())
                for _ in range(2)
            ],
            campaigns=run.campaigns,
            phones=run.phones,
        )
        for workspace in workspaces.values():
            workspace.faults.replace([*faults(chance), *run.budgets.faults()])
        yield run


async def _populate(run: Run) -> dict[UUID, SimulatedWorkspace]:
    """Create the organizations; return them with their workspaces."""
    owners = {}
    for credential, workspace in run.workspaces.items():
        tenant = await factories.create_tenant(
            run.history.observer,
            credential=credential,
            name=credential,
            daily_call_cap=run.chance.choice((2, 4)),
            concurrency_limit=workspace.config.concurrency_limit,
            calls_per_second=workspace.config.calls_per_second,
        )
        owners[tenant.organization_id] = workspace
        people, jurisdictions = [], {}
        for number in range(CONTACTS):
            zone_key, jurisdiction_key = PLACES[number % len(PLACES)]
            person = await factories.create_contact(
                run.history.observer,
                tenant.organization_id,
                zone_key=zone_key,
                jurisdiction_key=jurisdiction_key,
                keys_version=KEYS_VERSION,
            )
            people.append(person)
            jurisdictions[person.id] = jurisdiction_key
        run.phones += [(tenant.organization_id, person.phone) for person in people]
        if not run.open_campaigns:
            opened = await open_campaign(
                tenant, run.api, run.history, run.chance, START, calling_hours=OFFICE_HOURS, next_batch_at=START
            )
            run.open_campaigns.append(opened)
            run.campaigns.append(opened.id)
        started = len(run.campaigns)
        for person in run.chance.sample(people, k=CONTACTS // 4):
            times = run.chance.sample(CALLBACK_TIMES, k=3)
            workspace.script(person.phone, [ScriptStep("user_hangup", callback_at=time) for time in times])
        # Whom the callback does not reach: in a campaign with one attempt, only the second try is left.
        for person in run.chance.sample(people, k=2):
            steps = ScriptStep("dial_no_answer"), ScriptStep("user_hangup")
            workspace.script(person.phone, [ScriptStep("user_hangup", callback_at="in 20 minutes"), *steps])
        for _ in range(run.chance.choice((1, 2))):
            campaign = await factories.create_campaign(
                run.history.observer,
                tenant,
                calling_hours=OFFICE_HOURS,
                retry_policy=QUICK_RETRIES,
                **{MAX_CONCURRENCY.name: run.chance.choice((None, 1, 3))},
                batch_size=run.chance.choice((2, 10)),
                max_attempts=run.chance.choice((1, 3, 3)),
                next_batch_at=START,
                purpose=run.chance.choice(("sales", "sales", "survey")),
                more_numbers=run.chance.choice(([], [BURNT, "+14155550001"])),
                voicemail_policy=run.chance.choice(MESSAGES),
                day_parts=run.chance.choice(([], [], ["morning", "evening"])),
                priority=run.chance.randint(1, 9),
                share=run.chance.choice((1, 3)),
            )
            run.campaigns.append(campaign.id)
            # The campaigns share people: one phone must never get two calls at once.
            for person in run.chance.sample(people, k=CONTACTS * 2 // 3):
                await factories.create_campaign_contact(
                    run.history.observer,
                    campaign,
                    person,
                    jurisdiction_key=jurisdictions[person.id],
                    next_attempt_at=START,
                )
        await run.budgets.populate(run.history.observer, tenant, run.campaigns[started:], START)
    return owners
