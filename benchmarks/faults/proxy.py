"""A TCP proxy that can go silent like a vanished host: its connections stay open, but carry nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class SilentProxy:
    """Forwards connections to one server until it goes silent; new connections are forwarded again."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._silent: set[asyncio.StreamWriter] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0

    def go_silent(self) -> None:
        """Forward nothing more on the connections that are open now."""
        self._silent |= self._writers

    async def serve(self, near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {near_writer, far_writer}
        pumps = [
            asyncio.create_task(self._pump(near_reader, far_writer)),
            asyncio.create_task(self._pump(far_reader, near_writer)),
        ]
        self._tasks.update(pumps)
        try:
            await asyncio.wait(pumps)
        finally:
            self._tasks.difference_update(pumps)

    async def close(self) -> None:
        """Close all connections."""
        for task in list(self._tasks):
            task.cancel()
        for writer in self._writers:
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if writer not in self._silent:
                    writer.write(data)
            if writer not in self._silent:
                writer.close()


@asynccontextmanager
async def silent_proxy(dsn: str) -> AsyncIterator[tuple[SilentProxy, str]]:
    """Run a proxy in front of the server of `dsn`; yield it with the DSN that leads through it."""
    parts = urlsplit(dsn)
    proxy = SilentProxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))
    finally:
        server.close()
        await proxy.close()
