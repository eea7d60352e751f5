"""`outdial serve` under constant load: restarts lose no request, and a dead gateway is replaced."""

import asyncio
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from textwrap import dedent

import aiohttp
import asyncpg
import psutil
import pytest

from outdial.clock import SystemClock
from outdial.retell import signature
from outdial.stack.local import LOCAL_WEBHOOK_SECRET
from tests.host.test_tls import make_certificate
from tests.support.dialing import epoch_ms
from tests.support.processes import Launcher, Process, until

AT_ONCE = 16
WEBHOOK = "/functions/v1/retell-webhook"

pytestmark = pytest.mark.timeout(300)


def gateway_of(host: Process) -> int:
    """The serving process: the younger one of two, or 0 without one."""
    gateways = []
    for child in psutil.Process(host.pid).children():
        with suppress(psutil.NoSuchProcess):  # or a zombie
            if "gateway" in child.cmdline():
                gateways.append((child.create_time(), child.pid))
    return max(gateways)[1] if gateways else 0


async def ended(processes: list[psutil.Process]) -> bool:
    """Whether none of them is running; a zombie is not."""
    with suppress(psutil.NoSuchProcess):
        return all(not one.is_running() or one.status() == psutil.STATUS_ZOMBIE for one in processes)
    return False


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

    async def goes_on(self) -> None:
        """Wait until some hundred more events are accepted."""
        enough = len(self.accepted) + 300

        async def holds() -> bool:
            return len(self.accepted) >= enough

        await until(holds, "no event is taken any more")


@asynccontextmanager
async def under_load(port: int) -> AsyncIterator[Load]:
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as session:
        load = Load(session)
        senders = [asyncio.create_task(load.send()) for _ in range(AT_ONCE)]
        try:
            await load.goes_on()
            yield load
            await load.goes_on()
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


async def test_a_restart_under_load_loses_no_webhook(
    launch: Launcher, port: int, connection: asyncpg.Connection
) -> None:
    host = await launch.start("serve", "serve", f"--port={port}").ready()
    async with under_load(port) as load:
        for _ in range(2):
            former = gateway_of(host)
            os.kill(host.pid, signal.SIGHUP)
            await replaced(host, former)
            await load.goes_on()

    assert (load.broken, load.refused) == ([], [])
    assert load.accepted <= await ledger(connection)
    assert await host.terminate() == 0


async def test_a_killed_gateway_breaks_only_its_connections(
    launch: Launcher, port: int, connection: asyncpg.Connection
) -> None:
    host = await launch.start("serve", "serve", f"--port={port}").ready()
    async with under_load(port) as load:
        former = gateway_of(host)
        workers = psutil.Process(former).children(recursive=True)
        os.kill(former, signal.SIGKILL)
        await replaced(host, former)
        await load.goes_on()
        await until(lambda: ended(workers), "workers outlive their gateway")

    assert len(load.broken) <= AT_ONCE
    assert load.refused == []
    assert load.accepted <= await ledger(connection)
    assert await host.terminate() == 0


async def test_a_stop_leaves_no_process(launch: Launcher, port: int) -> None:
    host = await launch.start("serve", "serve", f"--port={port}").ready()
    started = psutil.Process(host.pid).children(recursive=True)
    assert len(started) >= 3
    assert await host.terminate() == 0
    assert [process for process in started if process.is_running()] == []


async def test_a_restart_loads_a_new_certificate(launch: Launcher, port: int, tmp_path: Path) -> None:
    first = make_certificate(tmp_path)
    options = (f"--port={port}", f"--cert={first.chain}", f"--key={first.key}")
    host = await launch.start("serve", "serve", *options).ready()

    async def presented() -> bytes:
        context = ssl.create_default_context(cafile=str(first.chain))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return shown

    before, former = await presented(), gateway_of(host)
    make_certificate(tmp_path)
    os.kill(host.pid, signal.SIGHUP)
    await replaced(host, former)
    assert await presented() != before
    assert await host.terminate() == 0


@pytest.fixture
def weak_machine(tmp_path: Path) -> dict[str, str]:
    """Settings under which a zygote finds no Landlock, as on an old kernel."""
    (tmp_path / "weak").mkdir()
    (tmp_path / "weak" / "sitecustomize.py").write_text(
        dedent("""
            import sys

            if "outdial.host.worker.zygote" in sys.orig_argv:
                from outdial.host.worker.sandbox import landlock

                def restrict(readable, writable):
                    raise OSError(38, "Function not implemented")

                landlock.version, landlock.restrict = lambda: 0, restrict
        """)
    )
    return {"PYTHONPATH": str(tmp_path / "weak")}


async def test_a_machine_that_cannot_isolate_functions_stops_the_start(
    launch: Launcher, port: int, weak_machine: dict[str, str]
) -> None:
    host = launch.start("serve", "serve", f"--port={port}", **weak_machine)
    assert await host.ended() == 1
    errors = [line for line in host.output().splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "landlock: Function not implemented" in errors[0]
    assert "OUTDIAL_ALLOW_WEAK_FENCES=true" in host.output()


async def test_weak_isolation_can_be_allowed(launch: Launcher, port: int, weak_machine: dict[str, str]) -> None:
    host = launch.start("serve", "serve", f"--port={port}", OUTDIAL_ALLOW_WEAK_FENCES="true", **weak_machine)
    await host.ready()
    (line,) = host.log_lines("host.sandbox_incomplete")
    assert (line["level"], line["missing"]) == ("warning", ["landlock: Function not implemented"])
    assert await host.terminate() == 0


async def test_a_host_that_cannot_start_reports_the_reason_once(launch: Launcher, port: int) -> None:
    host = launch.start("serve", "serve", f"--port={port}", OUTDIAL_SECRETS_KEY="short")
    assert await host.ended() == 1
    errors = [line for line in host.output().splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "OUTDIAL_SECRETS_KEY" in errors[0]
