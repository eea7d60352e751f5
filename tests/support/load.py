"""Load on a host: senders of signed webhooks in a closed loop, and the gateway that serves them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256

import aiohttp
import asyncpg
import psutil

from outdial.clock import SystemClock
from outdial.retell import signature
from outdial.stack.local import LOCAL_WEBHOOK_SECRET
from tests.support.dialing import epoch_ms
from tests.support.processes import Process, until

AT_ONCE = 16
WEBHOOK = "/functions/v1/retell-webhook"


def gateway_of(host: Process) -> int:
    """The serving process: the younger one of two, or 0 without one."""
    gateways = []
    for child in psutil.Process(host.pid).children():
        with suppress(psutil.NoSuchProcess):  # or a zombie
            if "gateway" in child.cmdline():
                gateways.append((child.create_time(), child.pid))
    return max(gateways)[1] if gateways else 0


@dataclass
class Load:
    """Senders in a closed loop, each on a persistent connection."""

    session: aiohttp.ClientSession
    accepted: set[bytes] = field(default_factory=set)
    refused: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    number: int = 0
    ended: bool = False

    async def send(self) -> None:
        while not self.ended:
            self.number += 1
            call = {"call_id": f"call_{self.number}", "start_timestamp": self.number}
            body = json.dumps({"event": "call_ended", "call": call}).encode()
            header = signature.sign(body, LOCAL_WEBHOOK_SECRET, epoch_ms(SystemClock().now()))
            try:
                async with self.session.post(WEBHOOK, data=body, headers={signature.HEADER: header}) as response:
                    await response.read()
            except (aiohttp.ClientError, OSError) as error:
                self.broken.append(repr(error))
                continue
            if response.status == 200:
                self.accepted.add(sha256(body).digest())
            else:
                self.refused.append(response.status)

    async def wait_for_more(self) -> None:
        """Wait until some hundred more events are accepted."""
        enough = len(self.accepted) + 300

        async def holds() -> bool:
            return len(self.accepted) >= enough

        await until(holds, "no more events are accepted")


@asynccontextmanager
async def under_load(port: int) -> AsyncIterator[Load]:
    """Send webhooks to `port` during the block."""
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as session,
        load_through(session) as load,
    ):
        yield load


@asynccontextmanager
async def load_through(session: aiohttp.ClientSession) -> AsyncIterator[Load]:
    """Send webhooks through `session` during the block."""
    load = Load(session)
    senders = [asyncio.create_task(load.send()) for _ in range(AT_ONCE)]
    try:
        await load.wait_for_more()
        yield load
        await load.wait_for_more()
    finally:
        load.ended = True
        await asyncio.gather(*senders)


async def replaced(host: Process, former: int) -> None:
    """Wait until another gateway serves and the previous one has ended."""

    async def holds() -> bool:
        return gateway_of(host) not in (0, former) and not psutil.pid_exists(former)

    await until(holds, lambda: asyncio.sleep(0, host.output()[-2000:]))


async def ledger(connection: asyncpg.Connection) -> set[bytes]:
    return {row["body_sha256"] for row in await connection.fetch("select body_sha256 from webhook_events")}
