"""Listening for notifications through a connection that goes silent without being closed."""

import asyncio

import asyncpg

from benchmarks.faults.proxy import silent_proxy
from outdial.db.listen import Listener
from tests.support.postgres import Scratch

PATIENCE_S = 40.0


async def test_a_connection_that_goes_silent_is_replaced(database: Scratch, connection: asyncpg.Connection) -> None:
    connected: asyncio.Queue[None] = asyncio.Queue()
    heard: asyncio.Queue[str] = asyncio.Queue()
    login = (await database.logins())["outdial_dialer"]
    async with silent_proxy(login) as (proxy, dsn), asyncio.timeout(PATIENCE_S):
        listener = Listener(
            dsn,
            {"news": heard.put_nowait},
            on_reconnect=lambda: connected.put_nowait(None),
            check_every_s=0.1,
        )
        await listener.start()
        await connected.get()
        assert listener.is_listening

        proxy.go_silent()
        await connected.get()
        await connection.execute("notify news, 'again'")

        assert await heard.get() == "again"
        await listener.stop()
        assert not listener.is_listening
