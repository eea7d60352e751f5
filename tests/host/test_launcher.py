"""The listening socket outlives each run of the gateway: a restart loses no request, and a death keeps the backlog."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import psutil
import pytest

from outdial.host.gateway.launcher import GatewayLauncher
from outdial.host.wire.errors import GatewayFailed
from outdial.http import listen

ROOT = Path(__file__).parents[2]
AT_ONCE = 16
WITHIN_S = 30.0


@dataclass
class Running:
    """A launcher at work."""

    launcher: GatewayLauncher
    listener: socket.socket
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    restart: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where the gateways answer."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def pid(self) -> int:
        """The process that serves now."""
        assert self.launcher.pid is not None
        return self.launcher.pid


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listen("127.0.0.1", 0) as opened:
        yield opened


def make(listener: socket.socket, *mode: str, **options: float) -> Running:
    command = [sys.executable, "-m", "tests.support.small_gateway", *(mode or ("serve",))]
    return Running(GatewayLauncher(command, listener, {**os.environ, "PYTHONPATH": str(ROOT)}, **options), listener)


@asynccontextmanager
async def at_work(running: Running) -> AsyncIterator[Running]:
    """Run a launcher in the block, which begins when it serves."""
    ready = asyncio.Event()
    task = asyncio.create_task(running.launcher.run(running.stop, running.restart, ready.set))
    try:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([waiting, task], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
        yield running
    finally:
        running.stop.set()
        await asyncio.wait_for(task, WITHIN_S)


async def until(holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.02)
    raise AssertionError(what)


def is_replaced(running: Running, former: int) -> bool:
    return running.pid != former


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@dataclass
class Load:
    """Closed-loop senders, each on a connection that it keeps; what broke is counted, what was answered is kept."""

    session: aiohttp.ClientSession
    answers: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    ended: bool = False

    async def send(self) -> None:
        while not self.ended:
            try:
                # A POST is not sent again by the client itself when its connection breaks.
                async with self.session.post("/", data=b"x") as response:
                    self.answers[int(await response.text())] += 1
            except (aiohttp.ClientError, OSError) as error:
                self.broken.append(repr(error))


@asynccontextmanager
async def under_load(running: Running) -> AsyncIterator[Load]:
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(running.url, connector=connector) as session:
        load = Load(session)
        senders = [asyncio.create_task(load.send()) for _ in range(AT_ONCE)]
        try:
            yield load
        finally:
            load.ended = True
            await asyncio.gather(*senders)


async def test_a_restart_under_load_loses_no_request(listener: socket.socket) -> None:
    async with at_work(make(listener)) as running, under_load(running) as load:
        for _ in range(3):
            await until(lambda: load.answers[running.pid] > 100, "the gateway does not answer")
            former = running.pid
            running.restart.set()
            await until(partial(is_replaced, running, former), "there is no new gateway")
            await until(lambda: load.answers[running.pid] > 100, "the new gateway does not answer")
            await until(partial(is_gone, former), "the old gateway does not end")

    assert load.broken == []
    assert len(load.answers) == 4


async def test_a_killed_gateway_is_replaced_and_the_backlog_is_served(listener: socket.socket) -> None:
    async with at_work(make(listener)) as running:
        first = running.pid
        os.kill(first, signal.SIGKILL)
        # The kernel takes the connection although nobody accepts it yet.
        async with aiohttp.ClientSession(running.url) as session, session.post("/", data=b"x") as response:
            assert int(await response.text()) == running.pid != first


async def test_only_the_connections_of_a_killed_gateway_break(listener: socket.socket) -> None:
    async with at_work(make(listener)) as running, under_load(running) as load:
        first = running.pid
        await until(lambda: load.answers[first] > 100, "the gateway does not answer")
        os.kill(first, signal.SIGKILL)
        await until(lambda: load.answers[running.pid] > 100 and running.pid != first, "no new gateway answers")

    assert len(load.broken) <= AT_ONCE


async def test_a_gateway_that_dies_again_and_again_is_started_less_and_less_often(
    listener: socket.socket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    async with at_work(make(listener, "broken-if", str(broken))) as running:
        first = running.pid
        broken.touch()
        os.kill(first, signal.SIGKILL)

        def pauses() -> list[float]:
            fields = [getattr(r, "fields", {}) for r in caplog.records if r.message == "launcher.gateway_died"]
            return [record["again_in_s"] for record in fields]

        await until(lambda: len(pauses()) >= 3, "it is not started again")
        assert pauses()[:3] == [0.0, 0.1, 0.2]
        broken.unlink()
        await until(lambda: running.pid != first, "it is not started again")


async def test_a_new_gateway_that_does_not_start_leaves_the_old_one_serving(
    listener: socket.socket, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    async with at_work(make(listener, "broken-if", str(broken))) as running, under_load(running) as load:
        first = running.pid
        broken.touch()
        running.restart.set()
        await until(lambda: not running.restart.is_set(), "the restart was not begun")
        before = load.answers[first]
        await until(lambda: load.answers[first] > before + 500, "the gateway does not answer")
        assert running.pid == first
        broken.unlink()
        running.restart.set()
        await until(lambda: running.pid != first, "there is no new gateway")

    assert load.broken == []


async def test_a_stop_answers_what_is_under_way(listener: socket.socket) -> None:
    async with at_work(make(listener)) as running, aiohttp.ClientSession(running.url) as session:
        pid = running.pid
        slow = asyncio.create_task(session.post("/slow", data=b"x"))
        connection = psutil.Process(pid)
        await until(lambda: len(connection.net_connections()) >= 2, "the request did not arrive")
        running.stop.set()
        async with await slow as response:
            assert int(await response.text()) == pid
    assert not psutil.pid_exists(pid)


async def test_a_gateway_that_does_not_end_is_killed(listener: socket.socket) -> None:
    async with at_work(make(listener, "stubborn", grace_s=0.2)) as running:
        pid = running.pid
    assert not psutil.pid_exists(pid)


async def test_a_first_gateway_that_does_not_start_is_told(listener: socket.socket) -> None:
    with pytest.raises(GatewayFailed):
        async with at_work(make(listener, "broken")):
            pass


async def test_a_stop_during_the_start_ends_it(listener: socket.socket) -> None:
    running = make(listener)
    running.stop.set()
    await asyncio.wait_for(running.launcher.run(running.stop, running.restart), WITHIN_S)
    assert running.launcher.pid is None


async def test_the_gateway_ends_with_its_launcher(listener: socket.socket) -> None:
    source = (
        "import asyncio, os, sys\n"
        "from outdial.host.gateway.launcher import GatewayLauncher\n"
        "from outdial.http import listen\n"
        "async def main():\n"
        "    command = [sys.executable, '-m', 'tests.support.small_gateway', 'serve']\n"
        "    launcher = GatewayLauncher(command, listen('127.0.0.1', 0), os.environ)\n"
        "    tell = lambda: print(launcher.pid, flush=True)\n"
        "    await launcher.run(asyncio.Event(), asyncio.Event(), tell)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    gateway = int(await asyncio.wait_for(process.stdout.readline(), WITHIN_S))
    process.kill()
    await process.communicate()

    await until(partial(is_gone, gateway), "the gateway lives on")
