"""The dialer process: its background tasks, what wakes them, and how they stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from outdial.background import RepeatingTask
from outdial.clock import Clock, FollowingClock, SystemClock
from outdial.db.listen import Listener
from outdial.db.session import DIALER_TIMEOUTS, WEBHOOK_TIMEOUTS, Database, LockNotAvailable, assert_no_transaction
from outdial.dialer.budgets.alerts import EVERY as BUDGETS_EVERY
from outdial.dialer.budgets.alerts import BudgetAlerts
from outdial.dialer.callbacks.late import REPORTED_EVERY, LateCallbacks
from outdial.dialer.clock_check import ClockCheck, TimedTask
from outdial.dialer.hang_ups.task import EVERY as HANG_UPS_EVERY
from outdial.dialer.hang_ups.task import HangUps
from outdial.dialer.keys.reloading import EVERY as KEYS_READ_EVERY
from outdial.dialer.keys.reloading import KeyReloader
from outdial.dialer.keys.reporting import EVERY as REPORTED_KEYS_EVERY
from outdial.dialer.keys.reporting import EnvironmentKeyReporter
from outdial.dialer.launching.requests import EVERY as CHECKS_EVERY
from outdial.dialer.launching.requests import LaunchChecker
from outdial.dialer.listening.task import EVERY as LISTENING_EVERY
from outdial.dialer.listening.task import CallListening
from outdial.dialer.numbers.health import EVERY as HEALTH_EVERY
from outdial.dialer.numbers.health import NumberHealth
from outdial.dialer.numbers.importing import EVERY as NUMBERS_EVERY
from outdial.dialer.numbers.importing import NumberImporter
from outdial.dialer.opt_outs import RESTART_EVERY, SEND_EVERY, OptOutReader, OptOutRestarter, OptOutSender
from outdial.dialer.place_keys import EVERY as KEYS_EVERY
from outdial.dialer.place_keys import PlaceKeyUpdater
from outdial.dialer.provider_deletions import ProviderDeletions
from outdial.dialer.rescue import Rescuer
from outdial.dialer.rules_check import CHECKED_EVERY, StaleRulesCheck
from outdial.dialer.test_calls.task import EVERY as TEST_CALLS_EVERY
from outdial.dialer.test_calls.task import CallTester
from outdial.dialer.worker import Dialer
from outdial.domain.rules import RuleBook
from outdial.inbox.applier import EventApplier
from outdial.inbox.held_contacts import HeldContacts
from outdial.log import log
from outdial.pre_dial.client import HookClient
from outdial.process import notify_ready, stop_event
from outdial.provider_keys.cache import KeyCache, KeyReader
from outdial.provider_keys.sealing import KeySealer
from outdial.retell.client import RetellClient
from outdial.retell.clients import RetellClients
from outdial.retell.events import RetellEventReader
from outdial.retell.provider import RetellProvider
from outdial.retell.simulated import is_simulator
from outdial.retell.transport import BASE_URL
from outdial.rules.organization import rules_in_use
from outdial.settings import DialerProcessSettings, SettingError

POOL_SIZE = 12
HTTP_CONNECTIONS = 400
CLAIM_REST = timedelta(milliseconds=50)
"""Contacts that are added one by one are claimed together with those of the next moment: a claim takes about 10 ms."""
DELETIONS_EVERY = timedelta(seconds=15)
LISTS_CHECKED_EVERY = timedelta(seconds=30)
REPORT_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DialerParts:
    """The parts of a dialer process, connected."""

    dialer: Dialer
    applier: EventApplier
    held_contacts: HeldContacts
    late_callbacks: LateCallbacks
    deletions: ProviderDeletions
    hang_ups: HangUps
    opt_out_restarter: OptOutRestarter
    opt_out_sender: OptOutSender
    opt_out_reader: OptOutReader
    place_keys: PlaceKeyUpdater
    budget_alerts: BudgetAlerts
    number_health: NumberHealth
    number_importer: NumberImporter
    rules_check: StaleRulesCheck
    launch_checker: LaunchChecker
    call_tester: CallTester
    listening: CallListening
    clock_check: ClockCheck
    keys: KeyReloader
    key_reporter: EnvironmentKeyReporter


class RescueTask:
    """Looks up silent calls, and wakes the applier when Retell reported on some."""

    def __init__(self, rescuer: Rescuer, applier: RepeatingTask) -> None:
        self._rescuer = rescuer
        self._applier = applier

    async def run_once(self) -> int:
        """Look up the calls that are due; return how many."""
        looked_up = await self._rescuer.run_once()
        if looked_up:
            self._applier.wake()
        return looked_up


async def run_dialer(settings: DialerProcessSettings, system_clock: Clock | None = None) -> None:
    """Dial until SIGINT or SIGTERM; then stop claiming and wait for the requests in flight.

    Raises what Postgres reports when the database cannot be used, ClockDiffers, and SettingError where settings for
    simulated calls meet a provider that is not the simulator.
    """
    stop = stop_event()
    async with _connected(settings, system_clock) as parts:
        dialer, interval, check = parts.dialer, settings.timing.poll_interval, parts.clock_check
        await dialer.scheduler.run_once()
        claims = RepeatingTask("dialer", TimedTask(dialer, check), dialer.pause, rest=CLAIM_REST)
        applier = RepeatingTask("applier", TimedTask(parts.applier, check), interval)
        rescuer = RepeatingTask("rescuer", TimedTask(RescueTask(dialer.rescuer, applier), check), interval)
        scheduler = RepeatingTask("scheduler", TimedTask(dialer.scheduler, check), interval)
        deletions = RepeatingTask("deletions", TimedTask(parts.deletions, check), DELETIONS_EVERY)
        hang_ups, listening = _live_call_tasks(parts)
        sender = RepeatingTask("opt_out_sender", TimedTask(parts.opt_out_sender, check), SEND_EVERY)
        reader = RepeatingTask("opt_out_reader", TimedTask(parts.opt_out_reader, check), LISTS_CHECKED_EVERY)
        place_keys = RepeatingTask("place keys", parts.place_keys, KEYS_EVERY)
        stale_rules = RepeatingTask("stale rules", parts.rules_check, CHECKED_EVERY)
        checks = RepeatingTask("launch checks", TimedTask(parts.launch_checker, check), CHECKS_EVERY)
        tester = RepeatingTask("test calls", TimedTask(parts.call_tester, check), TEST_CALLS_EVERY)
        restarter = RepeatingTask("opt_out_restarter", TimedTask(parts.opt_out_restarter, check), RESTART_EVERY)
        others = (deletions, hang_ups, restarter, sender, reader, place_keys, stale_rules, checks, tester, listening)
        keys, further = _key_tasks(parts), (*_callback_tasks(parts, interval), *_measurements(parts))
        tasks = (claims, rescuer, scheduler, applier, *others, *further, *keys)

        def on_campaign(campaign_id: str) -> None:
            dialer.wake_for(campaign_id)
            claims.wake()

        def on_reconnect() -> None:
            dialer.recheck_all()
            for task in tasks:
                task.wake()

        handlers = {
            "outdial_campaigns": on_campaign,
            "outdial_accounts": dialer.recheck,
            "outdial_inbox": lambda _: applier.wake(),
            "outdial_hang_ups": lambda _: hang_ups.wake(),
            "outdial_test_calls": lambda _: tester.wake(),
            "outdial_listen_requests": lambda _: listening.wake(),
            "outdial_provider_keys": lambda _: keys[0].wake(),
        }
        listener = Listener(settings.database.dialer, handlers, on_reconnect=on_reconnect)
        await listener.start()
        for task in tasks:
            task.start()
        log("dialer.ready")
        notify_ready()
        await stop.wait()
        log("dialer.stopping")
        await listener.stop()
        parts.place_keys.stop()
        await asyncio.gather(dialer.stop(), *(task.stop() for task in tasks))
        # A claim may have been committed after dialer.stop() was called.
        await dialer.settled()
        log("dialer.stopped")


def _callback_tasks(parts: DialerParts, interval: timedelta) -> tuple[RepeatingTask, RepeatingTask]:
    held = RepeatingTask("held contacts", TimedTask(parts.held_contacts, parts.clock_check), interval)
    return held, RepeatingTask("late callbacks", TimedTask(parts.late_callbacks, parts.clock_check), REPORTED_EVERY)


def _live_call_tasks(parts: DialerParts) -> tuple[RepeatingTask, RepeatingTask]:
    hang_ups = RepeatingTask("hang_ups", TimedTask(parts.hang_ups, parts.clock_check), HANG_UPS_EVERY)
    return hang_ups, RepeatingTask("listening", TimedTask(parts.listening, parts.clock_check), LISTENING_EVERY)


def _key_tasks(parts: DialerParts) -> tuple[RepeatingTask, RepeatingTask]:
    reporter = RepeatingTask("environment keys", parts.key_reporter, REPORTED_KEYS_EVERY)
    return RepeatingTask("api keys", parts.keys, KEYS_READ_EVERY), reporter


def _measurements(parts: DialerParts) -> tuple[RepeatingTask, ...]:
    check = parts.clock_check
    return (
        RepeatingTask("budget alerts", TimedTask(parts.budget_alerts, check), BUDGETS_EVERY),
        RepeatingTask("number health", TimedTask(parts.number_health, check), HEALTH_EVERY),
        RepeatingTask("number importer", TimedTask(parts.number_importer, check), NUMBERS_EVERY),
    )


async def dial_once(settings: DialerProcessSettings) -> dict[str, int]:
    """Run each task of the dialer once; return what it did, in numbers."""
    async with _connected(settings) as parts:
        located = await parts.place_keys.run_once()
        done = {"started": await parts.dialer.scheduler.run_once(), "claimed": await parts.dialer.run_once()}
        await parts.dialer.settled()
        done["asked"] = await parts.dialer.rescuer.run_once()
        done["applied"] = await parts.applier.run_once()
        done["hung_up"] = await parts.hang_ups.run_once()
        done["decided"] = await parts.held_contacts.run_once()
        done["late_callbacks"] = await parts.late_callbacks.run_once()
        done["deleted"] = await parts.deletions.run_once()
        done["opt_outs_restarted"] = await parts.opt_out_restarter.run_once()
        done["opt_outs_sent"] = await parts.opt_out_sender.run_once()
        done["opt_outs_read"] = await parts.opt_out_reader.run_once()
        done["launch_checks"] = await parts.launch_checker.run_once()
        done["test_calls"] = await parts.call_tester.run_once()
        done["listen_requests"] = await parts.listening.run_once()
        done["located"] = located
        done["budgets_checked"] = await parts.budget_alerts.run_once()
        done["number_imports"] = await parts.number_importer.run_once()
        done["organizations_measured"] = await parts.number_health.run_once()
        return done


def _rules(settings: DialerProcessSettings) -> RuleBook:
    """Return the rules that calls keep to, and warn where simulated calls do not keep to all of them."""
    rules = rules_in_use(ignored=settings.ignore_rules).at_another_time(settings.rules_ahead)
    if settings.ignore_rules:
        log("dialer.calling_rules_ignored", level="warning", reason="OUTDIAL_CALLING_RULES=ignore")
    if settings.rules_ahead:
        log("dialer.calling_rules_ahead", level="warning", seconds=settings.rules_ahead.total_seconds())
    return rules


async def _require_simulator(settings: DialerProcessSettings) -> None:
    """Refuse to place real calls without the rules: a proxy on this machine may stand before Retell itself."""
    if not settings.ignore_rules and not settings.rules_ahead:
        return
    url = settings.retell_url or BASE_URL
    clock = SystemClock()
    give_up_at = clock.now() + timedelta(seconds=15)
    # A simulator may be starting at the same time.
    while (found := await is_simulator(url)) is None and clock.now() < give_up_at:
        await clock.sleep_until(clock.now() + timedelta(seconds=0.2))
    if not found:
        name = "OUTDIAL_CALLING_RULES=ignore" if settings.ignore_rules else "OUTDIAL_CALLING_RULES_AHEAD"
        raise SettingError(
            f"{name} is for simulated calls only, and RETELL_BASE_URL ({url}) is not Outdial's simulator (it does not"
            " serve /_sim/state): unset it, or start the simulator there first"
        )


def _clients(settings: DialerProcessSettings) -> RetellClients:
    def connect(api_key: str) -> RetellClient:
        return RetellClient.connect(
            api_key,
            settings.retell_url or BASE_URL,
            timeout=settings.timing.request_timeout,
            connections=HTTP_CONNECTIONS,
            guard=assert_no_transaction,
        )

    return RetellClients(settings.api_keys, connect)


async def _report_keys(task: KeyReloader | EnvironmentKeyReporter) -> None:
    """Report keys, and wait for a claim that holds an account; a transaction that never ends must not stop dialers."""
    for _ in range(REPORT_TRIES):
        with suppress(LockNotAvailable):
            await task.run_once()
            return


@asynccontextmanager
async def _connected(settings: DialerProcessSettings, system_clock: Clock | None = None) -> AsyncIterator[DialerParts]:
    urls, timing = settings.database, settings.timing
    await _require_simulator(settings)
    async with AsyncExitStack() as stack:
        clients = _clients(settings)
        stack.push_async_callback(clients.close)
        hook = HookClient(allow_private=settings.hook_private, guard=assert_no_transaction)
        stack.push_async_callback(hook.close)
        database = await stack.enter_async_context(
            await Database.connect(
                urls.dialer,
                application_name="outdial:dialer",
                max_size=POOL_SIZE,
                role=urls.role("dialer"),
                timeouts=DIALER_TIMEOUTS,
            )
        )
        inbox = await stack.enter_async_context(
            await Database.connect(
                urls.webhook,
                application_name="outdial:applier",
                role=urls.role("webhook"),
                timeouts=WEBHOOK_TIMEOUTS,
            )
        )
        clock = FollowingClock(system_clock or SystemClock())
        check = ClockCheck(database, clock)
        await check.compare()
        provider, rules = RetellProvider(clients), _rules(settings)
        sealer = KeySealer(settings.encryption_secrets)
        keys = KeyReloader(database, KeyCache(database, sealer, clock, reader=KeyReader.DIALER), clients, clock)
        key_reporter = EnvironmentKeyReporter(database, provider, settings.api_keys, clock)
        # Before anything asks with a key: a workspace that the database does not know of yet has no calls from before,
        # which would be taken for calls that were never placed, or are deleted.
        for task in (keys, key_reporter):
            await _report_keys(task)
        reader, speed = RetellEventReader(), settings.retry_speed
        yield DialerParts(
            dialer=Dialer(database, provider, clock, timing, rules=rules, hook=hook),
            deletions=ProviderDeletions(database, provider, clock),
            hang_ups=HangUps(database, provider, clock),
            opt_out_restarter=OptOutRestarter(database),
            opt_out_sender=OptOutSender(database, provider, clock),
            opt_out_reader=OptOutReader(database, provider, clock),
            applier=EventApplier(inbox, reader, clock, check_after=timing.reconcile_after, retry_speed=speed),
            held_contacts=HeldContacts(inbox, reader, clock, retry_speed=speed),
            late_callbacks=LateCallbacks(database, clock),
            place_keys=PlaceKeyUpdater(database, clock),
            budget_alerts=BudgetAlerts(database, clock),
            number_health=NumberHealth(database, clock),
            number_importer=NumberImporter(database, provider, clock),
            rules_check=StaleRulesCheck(rules, clock),
            launch_checker=LaunchChecker(database, provider, clock),
            call_tester=CallTester(database, provider, clock, timing, rules),
            listening=CallListening(database, provider, clock),
            clock_check=check,
            keys=keys,
            key_reporter=key_reporter,
        )
