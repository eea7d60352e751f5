"""The zygote: quick to fork from, with nothing in it that a worker should not have, and gone with its gateway."""

import asyncio
import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from outdial.host.pool.spawning import ZygoteProcess
from outdial.host.wire import orders
from outdial.host.wire.config import FunctionConfig
from outdial.host.worker import zygote as zygote_module
from tests.support.hosting import KEYS, Talk, has_ended, make_bundle

pytestmark = pytest.mark.asyncio(loop_scope="module")

DRAWS = """
    import random, uuid
    from outdial.functions import Context, Request, Response, with_supabase

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        return Response.json([random.random(), str(uuid.uuid4())])
"""
OPEN_FILES = """
    import os
    from outdial.functions import Context, Request, Response, with_supabase

    def targets():
        for name in os.listdir("/proc/self/fd"):
            try:
                yield int(name), os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                pass

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        return Response.json(dict(targets()))
"""
VERIFYING = """
    import asyncio, importlib, sys
    from outdial.clock import SystemClock
    from outdial.host.worker import zygote

    for name in zygote._IMPORTS:
        importlib.import_module(name)
    loaded = set(sys.modules)
    from outdial.auth.jwks import RemoteJwks

    async def main():
        keys = RemoteJwks("http://127.0.0.1:1/jwks.json", SystemClock())
        await keys.find("key")
        assert keys.failure is not None
        await keys.close()

    asyncio.run(main())
    print(*sorted(sys.modules.keys() - loaded))
"""


async def test_a_worker_imports_nothing_to_fetch_the_keys_of_tokens() -> None:
    # Each worker would import it for itself, in a third of a second in which it serves no request.
    program = [sys.executable, "-c", dedent(VERIFYING)]
    printed = await asyncio.to_thread(subprocess.run, program, capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout.split() == []


async def test_it_has_one_thread(zygote: ZygoteProcess) -> None:
    assert len(os.listdir(f"/proc/{zygote.pid}/task")) == 1


async def test_a_worker_starts_quickly(zygote: ZygoteProcess, tmp_path: Path) -> None:
    bundle, took = make_bundle(tmp_path), [math.inf]
    # 9 ms here, and more on a busy machine; a fresh interpreter that imports the same takes 300 ms.
    while took[-1] >= 100 and len(took) <= 50:
        talk = await Talk.begin(zygote, bundle)
        took.append((await talk.ready()).boot_ms)
        talk.process.kill()
        await talk.ended()
    assert min(took) < 100


async def test_workers_draw_different_random_numbers(zygote: ZygoteProcess, tmp_path: Path) -> None:
    bundle, drawn = make_bundle(tmp_path, source=DRAWS), []
    for _ in range(2):
        talk = await Talk.begin(zygote, bundle)
        drawn.append(json.loads((await talk.ask()).body))
        talk.process.kill()
    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] != drawn[1][1]


async def test_a_worker_has_only_its_own_descriptors(zygote: ZygoteProcess, tmp_path: Path) -> None:
    first = await Talk.begin(zygote, make_bundle(tmp_path))
    await first.ready()
    talk = await Talk.begin(zygote, make_bundle(tmp_path, "files", OPEN_FILES))
    held = json.loads((await talk.ask()).body)
    assert held["0"] == "/dev/null"
    assert {held["1"][:5], held["2"][:5]} == {"pipe:"}
    sockets = [number for number, target in held.items() if target.startswith("socket:")]
    assert "3" in sockets
    # The other two are the loop's own to wake itself.
    assert len(sockets) <= 3
    for each in (first, talk):
        each.process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may look into it, not even its own user")
async def test_the_zygote_has_no_secret_in_its_memory(zygote: ZygoteProcess, tmp_path: Path) -> None:
    secret = f"{random.getrandbits(128):032x}"
    talk = await Talk.begin(zygote, make_bundle(tmp_path), {**KEYS, "OWN_SECRET": secret})
    await talk.ready()
    assert secret.encode() in b"".join(memory(talk.process.pid))
    assert not any(secret.encode() in part for part in memory(zygote.pid))
    assert secret.encode() not in Path(f"/proc/{talk.process.pid}/environ").read_bytes()
    talk.process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may look into it, not even its own user")
async def test_the_zygotes_environment_has_only_what_python_needs(
    zygote: ZygoteProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_SECRET_KEYS", "sb_secret_of_the_gateway")
    async with ZygoteProcess.running() as another:
        environment = Path(f"/proc/{another.pid}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"sb_secret" not in environment


async def test_workers_that_end_are_reaped(zygote: ZygoteProcess, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    talks = [await Talk.begin(zygote, bundle) for _ in range(5)]
    for talk in talks:
        talk.process.kill()
    assert {(await talk.ended()).signal for talk in talks} == {signal.SIGKILL}
    children = Path(f"/proc/{zygote.pid}/task/{zygote.pid}/children").read_text().split()
    assert not {str(talk.process.pid) for talk in talks} & set(children)


async def test_a_failed_fork_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = orders.socket_pair()

    def refused() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    with ours, theirs:
        ours.send(
            orders.encode(
                orders.SpawnOrder(
                    number=7,
                    slug="hello",
                    version=0,
                    root="/",
                    entrypoint="index.py",
                    config=FunctionConfig(),
                    temporary="/",
                    uid=None,
                )
            )
        )
        assert zygote_module.ForkServer(theirs)._execute_order()
        report = orders.decode_report(ours.recv(orders.MAX_PACKET))
    assert isinstance(report, orders.ForkFailed)
    assert (report.number, "temporarily unavailable" in report.reason) == (7, True)


async def test_a_child_that_is_no_worker_is_reaped_and_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = orders.socket_pair()
    usage = resource.struct_rusage(range(16))
    ended = [(4242, 7 << 8, usage), (4243, 0, usage), (0, 0, usage)]
    monkeypatch.setattr(os, "wait4", lambda *_: ended.pop(0))
    monkeypatch.setattr(os, "killpg", lambda pid, number: None)
    with ours, theirs:
        server = zygote_module.ForkServer(theirs)
        server._workers[4243] = 7
        server._reap()
        report = orders.decode_report(ours.recv(orders.MAX_PACKET))
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(orders.MAX_PACKET)
    assert isinstance(report, orders.WorkerExited)
    assert report.number == 7


GATEWAY = """
    import asyncio, json, os
    from outdial.host.pool.spawning import ZygoteProcess
    from tests.support.hosting import Talk, misbehaving

    async def main():
        async with ZygoteProcess.running() as zygote:
            others = 61996 if os.geteuid() == 0 else None
            talks = [await Talk.begin(zygote, misbehaving("spins"), uid=uid) for uid in (None, others)]
            for talk in talks:
                await talk.ready()
            talks[0].send("/spins")
            await talks[0].line("about to spin")
            parent = await Talk.begin(zygote, misbehaving("outlives"), uid=others, processes=4)
            children = json.loads((await parent.ask("/outlives")).body)["children"]
            parent.send("/outlives/asleep")
            await parent.line("about to sleep")
            print(zygote.pid, *(talk.process.pid for talk in (*talks, parent)), *children, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


async def test_it_ends_with_its_gateway_and_its_workers_with_their_children() -> None:
    gateway = subprocess.Popen(
        [sys.executable, "-c", dedent(GATEWAY)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert gateway.stdout is not None
    with gateway:
        pids = [int(pid) for pid in (await asyncio.to_thread(gateway.stdout.readline)).split()]
        descriptors = list(map(os.pidfd_open, pids))
        gateway.kill()
    assert len(pids) == 6
    assert await asyncio.to_thread(lambda: [has_ended(each) for each in descriptors]) == [True] * 6


async def test_requests_sent_before_the_worker_is_ready_get_a_response(zygote: ZygoteProcess, tmp_path: Path) -> None:
    talk = await Talk.begin(zygote, make_bundle(tmp_path))
    number = talk.send("/hello")
    talk.retire()
    assert (await talk.outcome(number)).status == 200
    assert (await talk.ended()).status == 0


def memory(pid: int) -> Iterator[bytes]:
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as content:
        for line in maps:
            span, rights = line.split()[:2]
            if rights.startswith("rw") and "[vv" not in line:
                start, end = (int(word, 16) for word in span.split("-"))
                content.seek(start)
                try:
                    yield content.read(end - start)
                except OSError:
                    continue
