"""The functions as a process: what was answered 2xx is on disk, however the process ends, and nothing piles up."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import aiohttp
import asyncpg
import psutil
import pytest

from outdial.cli.stack import LOCAL_WEBHOOK_SECRET
from outdial.clock import SystemClock
from outdial.retell import signature
from tests.support.dialing import epoch_ms
from tests.support.postgres import Scratch
from tests.support.processes import Launcher, Process, launcher, reserved_port, until

AT_ONCE = 32
MIB = 2**20

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


@pytest.fixture
def launch(tmp_path: Path, database: Scratch, port: int) -> Iterator[Launcher]:
    with launcher(tmp_path, database, port=port) as running:
        yield running


@dataclass
class Sender:
    """Sends distinct events as Retell does, many at once, and keeps what each was answered."""

    session: aiohttp.ClientSession
    answered: dict[bytes, int] = field(default_factory=dict)  # by the hash of the body
    cut: int = 0

    async def send(self, first: int, count: int) -> None:
        """Send `count` events, numbered from `first`; each of the senders ends when its connection breaks."""
        numbers = iter(range(first, first + count))
        await asyncio.gather(*(self._send_each(numbers) for _ in range(AT_ONCE)))

    @property
    def accepted(self) -> set[bytes]:
        """The events that were answered 2xx."""
        return {digest for digest, status in self.answered.items() if 200 <= status < 300}

    async def _send_each(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            body = _event(number)
            header = signature.sign(body, LOCAL_WEBHOOK_SECRET, epoch_ms(SystemClock().now()))
            try:
                async with self.session.post(
                    "/functions/v1/retell-webhook", data=body, headers={signature.HEADER: header}
                ) as response:
                    await response.read()
                    self.answered[sha256(body).digest()] = response.status
            except (aiohttp.ClientError, OSError):
                self.cut += 1
                return


def _event(number: int) -> bytes:
    call = {"call_id": f"call_{number}", "start_timestamp": number, "transcript": "Agent: Hello.\n" * 60}
    return json.dumps({"event": "call_ended", "call": call}).encode()


@asynccontextmanager
async def sender(port: int) -> AsyncIterator[Sender]:
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=AT_ONCE)
    ) as session:
        yield Sender(session)


async def ledger(connection: asyncpg.Connection) -> set[bytes]:
    return {row["body_sha256"] for row in await connection.fetch("select body_sha256 from webhook_events")}


async def is_under_way(sending: Sender, answers: int) -> None:
    async def holds() -> bool:
        return len(sending.answered) >= answers

    await until(holds, f"{answers} answers")


def memory(process: Process) -> int:
    resident: int = psutil.Process(process.pid).memory_info().rss
    return resident


async def test_events_that_were_taken_are_on_disk_after_a_stop(
    launch: Launcher, port: int, connection: asyncpg.Connection
) -> None:
    functions = await launch.functions(port).ready()
    async with sender(port) as sending:
        under_way = asyncio.create_task(sending.send(0, 20_000))
        await is_under_way(sending, 200)
        assert await functions.terminate() == 0
        await under_way

    # Every request that was read was answered, and those that came later found nobody.
    assert sending.cut > 0, "the process stopped after the last event"
    assert set(sending.answered.values()) == {200}
    assert await ledger(connection) == sending.accepted


async def test_a_kill_loses_no_event_that_was_answered(
    launch: Launcher, port: int, connection: asyncpg.Connection
) -> None:
    async with sender(port) as sending:
        for life in range(3):
            functions = await launch.functions(port).ready()
            under_way = asyncio.create_task(sending.send(life * 100_000, 20_000))
            await is_under_way(sending, len(sending.answered) + 300)
            await functions.kill()
            await under_way

    assert sending.cut > 0
    assert Counter(sending.answered.values()).keys() == {200}
    assert len(sending.accepted) >= 900
    lost = sending.accepted - await ledger(connection)
    assert not lost


async def test_memory_does_not_grow_with_the_events(
    launch: Launcher, port: int, connection: asyncpg.Connection
) -> None:
    functions = await launch.functions(port).ready()
    async with sender(port) as sending:
        await sending.send(0, 4_000)
        before = memory(functions)
        await sending.send(100_000, 20_000)
        grown = memory(functions) - before

    assert len(sending.accepted) == 24_000
    # 20,000 events of 1 kB that were all kept would be more.
    assert grown < 16 * MIB, f"{grown / MIB:.1f} MiB"
    assert await functions.terminate() == 0


async def test_a_stopped_process_leaves_no_child_and_no_connection(
    launch: Launcher, port: int, connection: asyncpg.Connection
) -> None:
    functions = await launch.functions(port).ready()
    async with sender(port) as sending:
        await sending.send(0, 100)
    assert psutil.Process(functions.pid).children(recursive=True) == []
    assert await functions.terminate() == 0

    in_its_session = [p.pid for p in psutil.process_iter() if _session(p.pid) == functions.pid]
    assert in_its_session == []
    assert functions.output().count("Traceback") == 0

    async def nobody_is_connected() -> bool:
        return not await connection.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )

    await until(nobody_is_connected, "connections are left")


@pytest.mark.parametrize("missing", ["RETELL_WEBHOOK_SECRET", "SUPABASE_URL"])
async def test_functions_name_the_setting_that_they_lack(launch: Launcher, missing: str) -> None:
    functions = launch.start("functions", "functions", "serve", "--port=0", **{missing: ""})
    assert await functions.ended() == 1
    [line] = functions.output().splitlines()
    assert missing in line


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
