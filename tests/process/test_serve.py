"""`outdial serve` under constant load: restarts lose no request, and a dead gateway is replaced."""

import asyncio
import os
import signal
import ssl
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import asyncpg
import psutil
import pytest

from tests.host.test_tls import make_certificate
from tests.support.load import AT_ONCE, gateway_of, ledger, replaced, under_load
from tests.support.processes import Launcher, until

pytestmark = pytest.mark.timeout(300)


async def ended(processes: list[psutil.Process]) -> bool:
    """Whether none of them is running; a zombie is not."""
    with suppress(psutil.NoSuchProcess):
        return all(not one.is_running() or one.status() == psutil.STATUS_ZOMBIE for one in processes)
    return False


async def test_a_restart_under_load_loses_no_webhook(
    launch: Launcher, port: int, connection: asyncpg.Connection
) -> None:
    host = await launch.start("serve", "serve", f"--port={port}").ready()
    async with under_load(port) as load:
        for _ in range(2):
            former = gateway_of(host)
            os.kill(host.pid, signal.SIGHUP)
            await replaced(host, former)
            await load.wait_for_more()

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
        await load.wait_for_more()
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
    await until(lambda: ended(started), "processes outlive their host")


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
