"""A database host that vanishes without a word costs each duty one failed run, and not one for each connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest

from benchmarks.faults.proxy import SilentProxy, silent_proxy
from outdial.db import listen, session
from outdial.db.listen import Listener
from outdial.db.session import DIALER_TIMEOUTS, REQUEST_TIMEOUTS, WEBHOOK_TIMEOUTS, Database, SessionTimeouts
from outdial.dialer.worker import Dialer
from outdial.inbox.applier import EventApplier
from outdial.inbox.receive import StoredEvent, WebhookReceiver
from outdial.retell import signature
from outdial.retell.events import RetellEventReader
from outdial.retell.webhooks import RetellWebhooks
from tests.support.dialing import CHECK_AFTER, KEY, Stage, epoch_ms, life_of_call
from tests.support.factories import create_campaign, create_campaign_contact, create_tenant
from tests.support.postgres import Scratch

QUICK = SessionTimeouts(
    idle_in_transaction=timedelta(seconds=3), lock=timedelta(seconds=1), statement=timedelta(seconds=1)
)


@dataclass
class Network:
    """The pools of dialer and webhook, each through a proxy that can go silent."""

    proxies: list[SilentProxy]
    dialing: Database
    webhook: Database
    dsn: str

    async def vanish(self) -> None:
        """Open several connections of each pool, and let all of them go silent."""
        for database in (self.dialing, self.webhook):
            async with database.transaction(), database.transaction(), database.transaction():
                pass
        for proxy in self.proxies:
            proxy.go_silent()


@pytest.fixture
async def network(database: Scratch, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Network]:
    """Pools whose statements count as lost soon."""
    monkeypatch.setattr(session, "_SERVER_DEADLINE", timedelta(seconds=0.5))
    logins = await database.logins()
    proxies, pools, dsn = [], [], ""
    async with AsyncExitStack() as stack:
        for role in ("outdial_webhook", "outdial_dialer"):
            proxy, dsn = await stack.enter_async_context(silent_proxy(logins[role]))
            proxies.append(proxy)
            pools.append(await Database.connect(dsn, application_name="test", timeouts=QUICK))
            # The connections that stay silent would not close in order.
            stack.callback(pools[-1].pool.terminate)
        yield Network(proxies, pools[1], pools[0], dsn)


def test_every_statement_without_a_response_counts_as_lost_within_a_minute() -> None:
    for timeouts in (DIALER_TIMEOUTS, WEBHOOK_TIMEOUTS, REQUEST_TIMEOUTS):
        assert timeouts.command_s is not None
        assert timeouts.statement.total_seconds() < timeouts.command_s < 60


async def test_one_statement_without_a_response_replaces_all_connections_of_the_pool(network: Network) -> None:
    await network.vanish()
    with pytest.raises(TimeoutError):
        async with network.dialing.transaction() as connection:
            await connection.fetchval("select 1")
    for _ in range(4):
        async with network.dialing.transaction() as connection:
            assert await connection.fetchval("select 1") == 1


@pytest.mark.parametrize("error", [TimeoutError, ConnectionResetError])
async def test_an_error_of_another_host_in_a_transaction_keeps_the_connections(
    network: Network, error: type[Exception]
) -> None:
    async with network.dialing.transaction() as connection:
        before = await connection.fetchval("select pg_backend_pid()")
    with pytest.raises(error):
        async with network.dialing.transaction():
            raise error
    async with network.dialing.transaction() as connection:
        assert await connection.fetchval("select pg_backend_pid()") == before


Duty = Callable[[Stage, Network], Awaitable[object]]


def dialer(stage: Stage, network: Network) -> Dialer:
    """Return a dialer behind the proxy."""
    return Dialer(network.dialing, stage.provider, stage.clock, stage.settings, rules=stage.rules)


async def receive(stage: Stage, network: Network) -> None:
    """Receive an event, as the function does."""
    receiver = WebhookReceiver(
        network.webhook, RetellWebhooks({"default": [KEY]}), RetellEventReader(), stage.clock, check_after=CHECK_AFTER
    )
    body = life_of_call("call_1", None)["call_started"]
    stored = await receiver.receive(body, signature.sign(body, KEY, epoch_ms(stage.clock.now())))
    assert isinstance(stored, StoredEvent)


DUTIES: dict[str, Duty] = {
    "dialer": lambda stage, network: dialer(stage, network).run_once(),
    "rescue": lambda stage, network: dialer(stage, network).rescuer.run_once(),
    "scheduler": lambda stage, network: dialer(stage, network).scheduler.run_once(),
    "applier": lambda stage, network: EventApplier(
        network.webhook, RetellEventReader(), stage.clock, check_after=CHECK_AFTER
    ).run_once(),
}


@pytest.mark.parametrize("duty", DUTIES.values(), ids=DUTIES)
async def test_a_duty_fails_once_and_then_works_again(stage: Stage, network: Network, duty: Duty) -> None:
    await duty(stage, network)
    await network.vanish()
    with pytest.raises(TimeoutError):
        await duty(stage, network)
    await duty(stage, network)


async def test_a_claim_on_a_silent_connection_is_made_again(stage: Stage, network: Network) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    await create_campaign_contact(stage.look, campaign)
    behind = dialer(stage, network)
    await network.vanish()
    with pytest.raises(TimeoutError):
        await behind.run_once()
    assert await behind.run_once() == 1
    await behind.settled()
    assert [row["status"] for row in await stage.rows("calls")] == ["placed"]


async def test_an_event_that_meets_silent_connections_is_stored_all_the_same(stage: Stage, network: Network) -> None:
    await network.vanish()
    await receive(stage, network)
    assert len(await stage.rows("webhook_events")) == 1


async def test_a_listener_notices_silence_and_hears_notifications_again(
    network: Network, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "RESPONSE_S", 0.5)
    monkeypatch.setattr(listen, "RETRY_SECONDS", 0.1)
    connected, heard = asyncio.Event(), asyncio.Event()
    listener = Listener(network.dsn, {"news": lambda _: heard.set()}, on_reconnect=connected.set, check_every_s=0.1)
    await listener.start()
    try:
        connected.clear()
        await network.vanish()
        async with asyncio.timeout(60):
            await connected.wait()
            await connection.execute("notify news")
            await heard.wait()
    finally:
        await listener.stop()
