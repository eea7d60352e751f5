"""The dialer as a process: its duties, what wakes them, and how they come to rest."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from outdial.background import Repeating
from outdial.cli.signals import stop_event
from outdial.clock import Clock, SystemClock
from outdial.db.listen import Listener
from outdial.db.session import Database, assert_no_transaction
from outdial.dialer.rescue import Rescuer
from outdial.dialer.worker import Dialer
from outdial.inbox.applier import Applier
from outdial.log import log
from outdial.process import notify_ready
from outdial.retell.client import RetellClient
from outdial.retell.events import RetellEventReader
from outdial.retell.provider import RetellProvider
from outdial.retell.transport import BASE_URL
from outdial.settings import DatabaseUrls, DialerSettings, MissingSetting, credentials

POOL = 12


@dataclass(frozen=True, slots=True)
class Duties:
    """All that a dialer process does."""

    dialer: Dialer
    applier: Applier
    settings: DialerSettings
    listen_dsn: str


class _RescueAndApply:
    """Asks about silent calls, and wakes the applier for what Retell has answered."""

    def __init__(self, rescuer: Rescuer, applier: Repeating) -> None:
        self._rescuer, self._applier = rescuer, applier

    async def run_once(self) -> int:
        asked = await self._rescuer.run_once()
        if asked:
            self._applier.wake()
        return asked


async def run_dialer(env: Mapping[str, str]) -> None:
    """Dial until a signal comes; then claim no more, and let the requests under way come home.

    Raises SettingError naming a setting that is missing or wrong, and what Postgres says of a database that is not fit.
    """
    stop = stop_event()
    async with _duties(env, SystemClock()) as duties:
        await duties.dialer.scheduler.run_once()
        await _repeat(duties, stop)


async def dial_once(env: Mapping[str, str]) -> dict[str, int]:
    """Do once what is due now, and return how much of each duty was done."""
    async with _duties(env, SystemClock()) as duties:
        done = {"started": await duties.dialer.scheduler.run_once(), "claimed": await duties.dialer.run_once()}
        await duties.dialer.settled()
        done["asked"] = await duties.dialer.rescuer.run_once()
        done["applied"] = await duties.applier.run_once()
        return done


@asynccontextmanager
async def _duties(env: Mapping[str, str], clock: Clock) -> AsyncIterator[Duties]:
    urls, settings = DatabaseUrls.from_env(env), DialerSettings.from_env(env)
    keys = credentials(env, "RETELL_API_KEY")
    if not keys:
        raise MissingSetting("RETELL_API_KEY", "the API key of the Retell workspace that the calls go through")
    async with AsyncExitStack() as stack:
        clients = {
            credential: RetellClient.connect(
                key,
                env.get("RETELL_BASE_URL", "").strip() or BASE_URL,
                timeout=settings.request_timeout,
                connections=400,
                guard=assert_no_transaction,
            )
            for credential, key in keys.items()
        }
        for client in clients.values():
            stack.push_async_callback(client.close)
        database = await stack.enter_async_context(
            await Database.connect(
                urls.dialer, application_name="outdial:dialer", max_size=POOL, role=urls.role("dialer")
            )
        )
        inbox = await stack.enter_async_context(
            await Database.connect(urls.webhook, application_name="outdial:applier", role=urls.role("webhook"))
        )
        yield Duties(
            Dialer(database, RetellProvider(clients), clock, settings),
            Applier(inbox, RetellEventReader(), clock, check_after=settings.reconcile_after),
            settings,
            urls.dialer,
        )


async def _repeat(duties: Duties, stop: asyncio.Event) -> None:
    dialer, often = duties.dialer, duties.settings.poll_interval
    claims = Repeating("dialer", dialer, dialer.pause)
    applier = Repeating("applier", duties.applier, often)
    rescuer = Repeating("rescuer", _RescueAndApply(dialer.rescuer, applier), often)
    scheduler = Repeating("scheduler", dialer.scheduler, often)
    every = (claims, rescuer, scheduler, applier)

    def on_campaign(campaign_id: str) -> None:
        dialer.wake_for(campaign_id)
        claims.wake()

    def on_reconnect() -> None:
        for duty in every:
            duty.wake()

    handlers = {"outdial_campaigns": on_campaign, "outdial_inbox": lambda _: applier.wake()}
    listener = Listener(duties.listen_dsn, handlers, on_reconnect=on_reconnect)
    await listener.start()
    for duty in every:
        duty.start()
    log("dialer.ready")
    notify_ready()
    await stop.wait()
    log("dialer.stopping")
    await listener.stop()
    await asyncio.gather(dialer.stop(), *(duty.stop() for duty in every))
    # The last claim may have been committed after the dialer was told to stop.
    await dialer.settled()
    log("dialer.stopped")
