"""How the parts of a dialer process are connected."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from outdial.dialer import main
from outdial.dialer.claim import Claimer
from outdial.dialer.worker import Dialer
from outdial.provider_keys.sealing import KeySealer
from outdial.retell.client import RetellClient
from outdial.retell.simulator import SimulatorConfig
from outdial.retell.simulator.server import running
from outdial.settings import DatabaseUrls, DialerProcessSettings, DialerSettings, SettingError
from tests.support.factories import (
    ENCRYPTION_SECRETS,
    NOW,
    Tenant,
    create_campaign,
    create_campaign_contact,
    create_tenant,
    insert,
)
from tests.support.postgres import Scratch


class Connected(Exception):
    """The listener has connected, and the test ends."""


async def test_limits_are_checked_again_when_the_listener_has_reconnected(
    database: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ConnectingListener:
        def __init__(self, _dsn: str, _handlers: object, *, on_reconnect: Callable[[], None]) -> None:
            self.on_reconnect = on_reconnect

        async def start(self) -> None:
            self.on_reconnect()
            raise Connected

    rechecks = 0

    def recheck_all(_: Dialer) -> None:
        nonlocal rechecks
        rechecks += 1

    monkeypatch.setattr(main, "Listener", ConnectingListener)
    monkeypatch.setattr(Dialer, "recheck_all", recheck_all)
    settings = DialerProcessSettings(
        database=DatabaseUrls.from_env({"SUPABASE_DB_URL": database.dsn}),
        timing=DialerSettings(),
        api_keys={"default": "key"},
        retell_url="http://127.0.0.1:1",
    )
    with pytest.raises(Connected):
        await main.run_dialer(settings)
    assert rechecks == 1


async def test_a_dialer_starts_while_a_stalled_one_holds_a_campaign_of_a_stored_key(
    database: Scratch, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ConnectingListener:
        def __init__(self, *_: object, **__: object) -> None: ...

        async def start(self) -> None:
            raise Connected

    monkeypatch.setattr(main, "Listener", ConnectingListener)
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, next_batch_at=datetime.now(UTC) + timedelta(hours=1))
    await store_key(connection, tenant)
    settings = simulated(database, "http://127.0.0.1:1", encryption_secrets=ENCRYPTION_SECRETS)
    async with connection.transaction():
        await connection.execute("select from campaigns where id = $1 for no key update", campaign.id)
        with pytest.raises(Connected):
            await main.run_dialer(replace(settings, api_keys={}))


async def test_a_running_dialer_without_a_key_calls_at_once_when_one_is_entered(
    database: Scratch, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant)
    await create_campaign_contact(connection, campaign)
    called, waits = asyncio.Event(), asyncio.Event()
    place, wait = RetellClient.create_phone_call, Claimer._wait

    async def placed(client: RetellClient, *arguments: Any, **options: Any) -> Any:
        called.set()
        return await place(client, *arguments, **options)

    async def waiting(*arguments: Any) -> Any:
        waits.set()
        return await wait(*arguments)

    monkeypatch.setattr(RetellClient, "create_phone_call", placed)
    monkeypatch.setattr(Claimer, "_wait", waiting)
    # Without a notification, the dialer would read the keys after the test.
    monkeypatch.setattr(main, "KEYS_READ_EVERY", timedelta(hours=1))
    async with running(SimulatorConfig(silent=True)) as (url, _):
        settings = simulated(database, url, ignore_rules=True, encryption_secrets=ENCRYPTION_SECRETS)
        dialer = asyncio.create_task(main.run_dialer(replace(settings, api_keys={})))
        await asyncio.wait_for(waits.wait(), 60)
        assert not called.is_set()
        await store_key(connection, tenant)
        await asyncio.wait_for(called.wait(), 60)
        dialer.cancel()
        await asyncio.wait([dialer])


async def store_key(connection: asyncpg.Connection, tenant: Tenant) -> None:
    ids = (tenant.organization_id, tenant.provider_account_id)
    await insert(
        connection,
        "provider_keys",
        id=uuid4(),
        organization_id=ids[0],
        provider_account_id=ids[1],
        ciphertext=KeySealer(ENCRYPTION_SECRETS).seal(*ids, "key_simulator"),
        last_four="ator",
        entered_by="ada@example.com",
        entered_at=NOW,
        tested_at=NOW,
    )


def simulated(database: Scratch, url: str, **changes: Any) -> DialerProcessSettings:
    return DialerProcessSettings(
        database=DatabaseUrls.from_env({"SUPABASE_DB_URL": database.dsn}),
        timing=DialerSettings(),
        api_keys={"default": "key_simulator"},
        retell_url=url,
        **changes,
    )


@pytest.mark.parametrize("change", [{"ignore_rules": True}, {"rules_ahead": timedelta(hours=1)}])
async def test_settings_for_simulated_calls_are_refused_behind_a_proxy_on_this_machine(
    database: Scratch, change: dict[str, Any]
) -> None:
    async with TestServer(web.Application()) as proxy:
        url = str(proxy.make_url(""))
        with pytest.raises(SettingError, match="is not Outdial's simulator"):
            await main.dial_once(simulated(database, url, **change))
        assert (await main.dial_once(simulated(database, url)))["claimed"] == 0
    async with running(SimulatorConfig(silent=True)) as (url, _):
        assert (await main.dial_once(simulated(database, url, **change)))["claimed"] == 0
