"""Listens to notifications on a dedicated connection, and reconnects when the connection is lost.

A host that vanishes closes no connection, and a listening connection sends nothing that could fail. The listener
therefore asks for a response regularly.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import asyncpg

from outdial.db.connect import watch_socket
from outdial.log import log
from outdial.process import wait_for_event

# Every transaction that changes what hosts serve notifies this channel, without a payload.
DEPLOYMENTS_CHANNEL = "host_deployments"
RETRY_SECONDS = 1.0
CHECK_EVERY_S = 15.0
RESPONSE_S = 10.0
Handler = Callable[[str], None]


class Listener:
    """Calls the handler of a channel with the payload of each notification.

    `on_reconnect` is called after every connection, because notifications in between are lost. A connection that does
    not respond to a check within RESPONSE_S is given up.
    """

    def __init__(
        self,
        dsn: str,
        handlers: Mapping[str, Handler],
        *,
        on_reconnect: Callable[[], None],
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:
        self._dsn = dsn
        self._check_every_s = check_every_s
        self._is_listening = False
        self._handlers = handlers
        self._on_reconnect = on_reconnect
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def is_listening(self) -> bool:
        """Whether notifications arrive, as far as the last check knows."""
        return self._is_listening

    async def start(self) -> None:
        """Start listening. Returns once the first connection listens."""
        self._task = asyncio.create_task(self._run(), name="listener")
        await self._ready.wait()

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log("listener.lost", level="warning", reason=repr(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._dsn,
            server_settings={"application_name": "outdial-listener"},
            timeout=RESPONSE_S,
            command_timeout=RESPONSE_S,
        )
        watch_socket(connection)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            for channel, handler in self._handlers.items():
                await connection.add_listener(channel, lambda _c, _p, _ch, payload, call=handler: call(str(payload)))
            self._ready.set()
            self._is_listening = True
            # Notifications that arrived while disconnected are lost, so everything may be due.
            self._on_reconnect()
            while not await wait_for_event(lost, self._check_every_s):
                await connection.execute("select")
        finally:
            self._is_listening = False
            connection.terminate()
