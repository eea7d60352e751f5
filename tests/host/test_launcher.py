"""The listening socket outlives the gateway: a restart loses no request, a crash keeps the backlog."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import dedent

import aiohttp
import psutil
import pytest

from outdial.host.gateway.launcher import GatewayLauncher
from outdial.host.wire.errors import GatewayFailed
from outdial.http import listen

ROOT = Path(__file__).parents[2]
CONNECTIONS = 16
WITHIN_S = 30.0


@dataclass
class Running:
    """A running launcher."""

    launcher: GatewayLauncher
    listener: socket.socket
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    restart: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """URL of the gateways."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def pid(self) -> int:
        """Process id of the gateway that serves now."""
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
async def running_launcher(running: Running) -> AsyncIterator[Running]:
    """Run a launcher for the length of the block, which starts when a gateway serves."""
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


def has_exited(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@dataclass
class Load:
    """Closed-loop clients on keep-alive connections. Counts responses per process, and collects errors."""

    session: aiohttp.ClientSession
    responses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    ended: bool = False

    async def send(self) -> None:
        while not self.ended:
            try:
                # aiohttp does not retry a POST when its connection breaks.
                async with self.session.post("/", data=b"x") as response:
                    self.responses[int(await response.text())] += 1
            except (aiohttp.ClientError, OSError) as error:
                self.broken.append(repr(error))


@asynccontextmanager
async def under_load(running: Running) -> AsyncIterator[Load]:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(running.url, connector=connector) as session:
        load = Load(session)
        senders = [asyncio.create_task(load.send()) for _ in range(CONNECTIONS)]
        try:
            yield load
        finally:
            load.ended = True
            await asyncio.gather(*senders)


async def test_a_restart_under_load_loses_no_request(listener: socket.socket) -> None:
    async with running_launcher(make(listener)) as running, under_load(running) as load:
        for _ in range(3):
            await until(lambda: load.responses[running.pid] > 100, "the gateway does not respond")
            former = running.pid
            running.restart.set()
            await until(partial(is_replaced, running, former), "there is no new gateway")
            await until(lambda: load.responses[running.pid] > 100, "the new gateway does not respond")
            await until(partial(has_exited, former), "the old gateway does not exit")

    assert load.broken == []
    assert len(load.responses) == 4


async def test_replaces_a_killed_gateway_and_serves_the_backlog(listener: socket.socket) -> None:
    async with running_launcher(make(listener)) as running:
        first = running.pid
        os.kill(first, signal.SIGKILL)
        # The kernel accepts the connection into the backlog, before any gateway does.
        async with aiohttp.ClientSession(running.url) as session, session.post("/", data=b"x") as response:
            assert int(await response.text()) == running.pid != first


async def test_only_the_connections_of_a_killed_gateway_break(listener: socket.socket) -> None:
    async with running_launcher(make(listener)) as running, under_load(running) as load:
        first = running.pid
        await until(lambda: load.responses[first] > 100, "the gateway does not respond")
        os.kill(first, signal.SIGKILL)
        await until(lambda: load.responses[running.pid] > 100 and running.pid != first, "no new gateway responds")

    assert len(load.broken) <= CONNECTIONS


async def test_the_pause_grows_while_a_gateway_keeps_dying(
    listener: socket.socket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    async with running_launcher(make(listener, "broken-if", str(broken))) as running:
        first = running.pid
        broken.touch()
        os.kill(first, signal.SIGKILL)

        def pauses() -> list[float]:
            fields = [getattr(r, "fields", {}) for r in caplog.records if r.message == "launcher.gateway_died"]
            return [record["again_in_s"] for record in fields]

        await until(lambda: len(pauses()) >= 3, "it is not restarted")
        assert pauses()[:3] == [0.0, 0.1, 0.2]
        broken.unlink()
        await until(lambda: running.pid != first, "it is not restarted")


async def test_the_old_gateway_keeps_serving_if_a_new_one_does_not_start(
    listener: socket.socket, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    async with running_launcher(make(listener, "broken-if", str(broken))) as running, under_load(running) as load:
        first = running.pid
        broken.touch()
        running.restart.set()
        await until(lambda: not running.restart.is_set(), "the restart did not start")
        before = load.responses[first]
        await until(lambda: load.responses[first] > before + 500, "the gateway does not respond")
        assert running.pid == first
        broken.unlink()
        running.restart.set()
        await until(lambda: running.pid != first, "there is no new gateway")

    assert load.broken == []


async def test_a_stop_finishes_requests_in_progress(listener: socket.socket) -> None:
    async with running_launcher(make(listener)) as running, aiohttp.ClientSession(running.url) as session:
        pid = running.pid
        slow = asyncio.create_task(session.post("/slow", data=b"x"))
        connection = psutil.Process(pid)
        await until(lambda: len(connection.net_connections()) >= 2, "the request did not arrive")
        running.stop.set()
        async with await slow as response:
            assert int(await response.text()) == pid
    assert not psutil.pid_exists(pid)


async def test_kills_a_gateway_that_does_not_exit(listener: socket.socket) -> None:
    async with running_launcher(make(listener, "stubborn", grace_s=0.2)) as running:
        pid = running.pid
    assert not psutil.pid_exists(pid)


async def test_raises_if_the_first_gateway_does_not_start(listener: socket.socket) -> None:
    with pytest.raises(GatewayFailed):
        async with running_launcher(make(listener, "broken")):
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
        "    on_ready = lambda: print(launcher.pid, flush=True)\n"
        "    await launcher.run(asyncio.Event(), asyncio.Event(), on_ready)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    gateway = int(await asyncio.wait_for(process.stdout.readline(), WITHIN_S))
    process.kill()
    await process.communicate()

    await until(partial(has_exited, gateway), "the gateway still runs")


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux's")
def test_gateway_and_launcher_hide_their_memory_and_environment() -> None:
    script = """
        import asyncio, ctypes, socket
        from outdial.host.gateway import launch

        def is_dumpable():
            return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)

        class Launcher:
            async def run(self, *_):
                print(is_dumpable())

        async def run_gateway(*_):
            print(is_dumpable())

        launch.run_gateway = run_gateway
        print(is_dumpable())
        asyncio.run(launch.CALL)
    """
    for call in ("run_launcher(Launcher(), None)", "run_host(None, None, None)"):
        program = dedent(script).replace("CALL", call)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
        assert done.stdout.split() == ["1", "0"]
