"""The functions process: an event with a 2xx response is on disk however the process ends, and memory does not grow."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256

import aiohttp
import asyncpg
import psutil
import pytest

from outdial.clock import SystemClock
from outdial.retell import signature
from outdial.stack.local import LOCAL_WEBHOOK_SECRET
from tests.support.dialing import epoch_ms
from tests.support.processes import Launcher, Process, until

AT_ONCE = 32
MIB = 2**20

pytestmark = pytest.mark.timeout(300)


@dataclass
class Sender:
    """Sends distinct events concurrently, as Retell does, and records the status of each response."""

    session: aiohttp.ClientSession
    answered: dict[bytes, int] = field(default_factory=dict)  # by the hash of the body
    cut: int = 0

    async def send(self, first: int, count: int) -> None:
        """Send `count` events, numbered from `first`. A sender ends when its connection breaks."""
        numbers = iter(range(first, first + count))
        await asyncio.gather(*(self._send_each(numbers) for _ in range(AT_ONCE)))

    @property
    def accepted(self) -> set[bytes]:
        """The events with a 2xx response."""
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


def all_processes(process: Process) -> list[psutil.Process]:
    """Return the host, its zygote and its workers."""
    host = psutil.Process(process.pid)
    return [host, *host.children(recursive=True)]


async def all_gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them is running any more."""
    return not any(process.is_running() for process in processes)


def memory(process: Process) -> int:
    """Return the private memory of the processes; shared memory counts once."""
    return sum(found.memory_full_info().uss for found in all_processes(process))


async def test_accepted_events_are_on_disk_after_a_stop(
    launch: Launcher, port: int, connection: asyncpg.Connection
) -> None:
    functions = await launch.functions(port).ready()
    async with sender(port) as sending:
        under_way = asyncio.create_task(sending.send(0, 20_000))
        await is_under_way(sending, 200)
        assert await functions.terminate() == 0
        await under_way

    # Every accepted request got a response, and later ones found no listener.
    assert sending.cut > 0, "the process stopped after the last event"
    assert set(sending.answered.values()) == {200}
    assert await ledger(connection) == sending.accepted


async def test_a_kill_loses_no_event_that_got_a_2xx_response(
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
        await sending.send(0, 3_000)
        before = memory(functions)
        await sending.send(100_000, 7_000)
        grown = memory(functions) - before

    assert len(sending.accepted) == 10_000
    # Keeping 7,000 events of 1 kB would exceed this.
    assert grown < 6 * MIB, f"{grown / MIB:.1f} MiB"
    assert await functions.terminate() == 0


async def test_a_stopped_process_leaves_no_child_and_no_connection(
    launch: Launcher, port: int, connection: asyncpg.Connection
) -> None:
    functions = await launch.functions(port).ready()
    async with sender(port) as sending:
        await sending.send(0, 100)
    started = all_processes(functions)
    assert len(started) >= 3
    assert await functions.terminate() == 0

    await until(lambda: all_gone(started), "a process lives on")
    assert functions.output().count("Traceback") == 0

    async def nobody_is_connected() -> bool:
        return not await connection.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )

    await until(nobody_is_connected, "connections are left")


async def test_the_workers_of_a_killed_host_end(launch: Launcher, port: int) -> None:
    functions = await launch.functions(port).ready()
    async with sender(port) as sending:
        await sending.send(0, 10)
    started = all_processes(functions)
    await functions.kill()

    await until(lambda: all_gone(started), "a process lives on")


@pytest.mark.parametrize("missing", ["RETELL_WEBHOOK_SECRET", "SUPABASE_URL"])
async def test_a_function_names_its_missing_setting(launch: Launcher, port: int, missing: str) -> None:
    settings = {missing: "", "RETELL_ENCRYPTION_KEY": ""}
    functions = await launch.start("functions", "functions", "serve", f"--port={port}", **settings).ready()
    async with sender(port) as sending:
        await sending.send(0, 1)
    assert set(sending.answered.values()) == {503}
    assert any(missing in json.dumps(told) for told in functions.log_lines("functions.boot_failed"))


@pytest.mark.parametrize("missing", ["RETELL_WEBHOOK_SECRET", "SUPABASE_URL"])
async def test_standalone_it_does_not_start_without_its_setting(launch: Launcher, missing: str) -> None:
    arguments = ("functions", "serve", "--port=0", "--alone=retell-webhook")
    functions = launch.start("functions", *arguments, **{missing: "", "RETELL_ENCRYPTION_KEY": ""})
    assert await functions.ended() == 1
    [line] = functions.output().splitlines()
    assert missing in line


async def test_a_missing_login_prevents_the_start(launch: Launcher) -> None:
    functions = launch.start("functions", "functions", "serve", "--port=0", OUTDIAL_WEBHOOK_DB_URL="")
    assert await functions.ended() == 1
    [line] = functions.output().splitlines()
    assert line.startswith("Error: OUTDIAL_WEBHOOK_DB_URL is not set: retell-webhook logs in as outdial_webhook")


async def test_one_function_is_served_standalone(launch: Launcher, port: int, connection: asyncpg.Connection) -> None:
    arguments = ("functions", "serve", f"--port={port}", "--alone=retell-webhook")
    functions = await launch.start("functions", *arguments).ready()
    async with sender(port) as sending:
        await sending.send(0, 50)
    assert set(sending.answered.values()) == {200}
    assert psutil.Process(functions.pid).children(recursive=True) == []
    assert await functions.terminate() == 0
    assert len(await ledger(connection)) == 50
