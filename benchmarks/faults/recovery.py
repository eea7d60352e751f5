"""Measures how long each background task takes to work again after the database host has vanished."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from benchmarks.faults.proxy import silent_proxy
from benchmarks.stack import Clone
from outdial.clock import SystemClock
from outdial.db.listen import Listener
from outdial.db.session import DIALER_TIMEOUTS, REQUEST_TIMEOUTS, WEBHOOK_TIMEOUTS, Database
from outdial.dialer.worker import Dialer
from outdial.domain.rules import UNRESTRICTED
from outdial.inbox.applier import EventApplier
from outdial.inbox.receive import WebhookReceiver
from outdial.retell import signature
from outdial.retell.events import RetellEventReader
from outdial.retell.provider import RetellProvider
from outdial.retell.webhooks import RetellWebhooks
from outdial.settings import DialerSettings

_KEY = "key_benchmark_3f9d2c7a81"
_CHECK_AFTER = timedelta(seconds=60)
_IDLE_CONNECTIONS = 4
_RETRY_S = 1.0


async def recovery_times(database: Clone) -> list[dict[str, object]]:
    """Let the connections of every task go silent at once; return the seconds until each has worked again."""
    logins, clock = await database.logins(), SystemClock()
    async with AsyncExitStack() as stack:
        proxies = []

        async def pool(role: str) -> Database:
            proxy, dsn = await stack.enter_async_context(silent_proxy(logins[f"OUTDIAL_{role.upper()}_DB_URL"]))
            proxies.append(proxy)
            timeouts = {"dialer": DIALER_TIMEOUTS, "webhook": WEBHOOK_TIMEOUTS}.get(role, REQUEST_TIMEOUTS)
            connected = await Database.connect(dsn, application_name="benchmark", timeouts=timeouts)
            stack.callback(connected.pool.terminate)
            await _open_several(connected)
            return connected

        def dialer(own: Database) -> Dialer:
            return Dialer(own, RetellProvider({}), clock, DialerSettings(), rules=UNRESTRICTED)

        webhook = await pool("webhook")
        receiver = WebhookReceiver(
            webhook, RetellWebhooks({"default": [_KEY]}), RetellEventReader(), clock, check_after=_CHECK_AFTER
        )
        applier = EventApplier(await pool("webhook"), RetellEventReader(), clock, check_after=_CHECK_AFTER)
        dialers = [dialer(await pool("dialer")) for _ in range(3)]
        api = await pool("api")

        async def receive() -> None:
            body = b'{"event": "call_started", "call": {"call_id": "call_%d"}}' % time.monotonic_ns()
            await receiver.receive(body, signature.sign(body, _KEY, round(clock.now().timestamp() * 1000)))

        async def read_as_service() -> None:
            async with api.as_service() as connection:
                await connection.fetchval("select 1")

        connected = asyncio.Event()
        proxy, dsn = await stack.enter_async_context(silent_proxy(logins["OUTDIAL_DIALER_DB_URL"]))
        proxies.append(proxy)
        listener = Listener(dsn, {"outdial_inbox": lambda _: None}, on_reconnect=connected.set)
        await listener.start()
        stack.push_async_callback(listener.stop)
        connected.clear()
        for each in proxies:
            each.go_silent()
        tasks: dict[str, Callable[[], Awaitable[object]]] = {
            "dialer": dialers[0].run_once,
            "rescue": dialers[1].rescuer.run_once,
            "scheduler": dialers[2].scheduler.run_once,
            "applier": applier.run_once,
            "webhook function": receive,
            "other functions": read_as_service,
            "listener": connected.wait,
        }
        times = await asyncio.gather(*(_until_it_works(task) for task in tasks.values()))
    return [
        {"task": name, "works_again_after_s": round(seconds, 1)} for name, seconds in zip(tasks, times, strict=True)
    ]


async def _open_several(database: Database) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(_IDLE_CONNECTIONS):
            await stack.enter_async_context(database.transaction())


async def _until_it_works(task: Callable[[], Awaitable[object]]) -> float:
    began = time.monotonic()
    while True:
        with suppress(Exception):
            await task()
            return time.monotonic() - began
        await asyncio.sleep(_RETRY_S)
