"""How the parts of a dialer process are connected."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from outdial.dialer import main
from outdial.dialer.worker import Dialer
from outdial.retell.simulator import SimulatorConfig
from outdial.retell.simulator.server import running
from outdial.settings import DatabaseUrls, DialerProcessSettings, DialerSettings, SettingError
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
