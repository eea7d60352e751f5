"""How the parts of a dialer process are connected."""

from collections.abc import Callable

import pytest

from outdial.dialer import main
from outdial.dialer.worker import Dialer
from outdial.settings import DatabaseUrls, DialerProcessSettings, DialerSettings
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
