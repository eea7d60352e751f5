"""Listening for notifications through a connection that dies, or that goes silent without being closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from outdial.db.listen import Listener
from tests.support.postgres import Scratch

PATIENCE_S = 40.0


class SilentNetwork:
    """A relay to Postgres whose connections can fall silent, as when a host vanishes: none of them is closed."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._passing = asyncio.Event()
        self._passing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def fall_silent(self) -> None:
        """Pass on nothing more over the connections that exist now."""
        self._passing.clear()
        self._passing = asyncio.Event()
        self._passing.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SilentNetwork"]:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._socket)
        for source, target in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._pass_on(source, target, self._passing)))

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, passing: asyncio.Event
    ) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65536):
                    await passing.wait()
                    target.write(data)
                    await target.drain()
        finally:
            target.close()


async def test_a_connection_that_goes_silent_is_replaced(database: Scratch, connection: asyncpg.Connection) -> None:
    connected: asyncio.Queue[None] = asyncio.Queue()
    heard: asyncio.Queue[str] = asyncio.Queue()
    directory = await connection.fetchval("select current_setting('unix_socket_directories')")
    port = int(await connection.fetchval("select current_setting('port')"))
    async with SilentNetwork(f"{directory}/.s.PGSQL.{port}").running() as network, asyncio.timeout(PATIENCE_S):
        listener = Listener(
            f"postgresql://postgres@127.0.0.1:{network.port}/{database.name}?sslmode=disable",
            {"news": heard.put_nowait},
            on_reconnect=lambda: connected.put_nowait(None),
            check_every_s=0.1,
        )
        await listener.start()
        await connected.get()
        assert listener.is_listening

        network.fall_silent()
        await connected.get()
        await connection.execute("notify news, 'again'")

        assert await heard.get() == "again"
        await listener.stop()
        assert not listener.is_listening
