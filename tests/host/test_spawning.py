"""Spawning: workers come and go, the zygote may be lost, and nothing stays behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from outdial.host.pool.process import ProcessExit
from outdial.host.pool.removal import remove_tree
from outdial.host.pool.scratch import ScratchDirectory
from outdial.host.pool.spawning import CannotSpawn, WorkerSpec, ZygoteProcess
from outdial.host.wire import frames
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import ZygoteLost
from tests.support.hosting import KEYS, Talk, has_ended, make_bundle

HOME = """
    import os
    from outdial.functions import Context, Request, Response, with_supabase

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        with open(os.path.join(os.environ["HOME"], "kept"), "w") as file:
            file.write("x")
        return Response.json(os.environ["HOME"])
"""
GARBLED = """
    import os
    from outdial.functions import Context, Request, Response, with_supabase

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        os.write(3, b"\\xff" * 8)
        return Response.json({})
"""


async def test_nothing_stays_behind(tmp_path: Path) -> None:
    async with ZygoteProcess.running() as warm:
        await Talk.begin(warm, make_bundle(tmp_path))
    bundle = make_bundle(tmp_path, "home", HOME)
    before = len(os.listdir("/proc/self/fd"))
    async with ZygoteProcess.running() as zygote:
        talks = [await Talk.begin(zygote, bundle) for _ in range(3)]
        homes = [Path(json.loads((await talk.ask()).body)) for talk in talks]
        assert all((home / "kept").is_file() for home in homes)
        assert len({*homes}) == 3
        talks[0].retire()
        await talks[0].ended()
        descriptors = [os.pidfd_open(pid) for pid in (zygote.pid, *(talk.process.pid for talk in talks[1:]))]
        # The others end with the zygote.
    assert not homes[0].parent.exists()
    assert {(await talk.ended()).signal for talk in talks[1:]} == {signal.SIGKILL}
    assert all(map(has_ended, descriptors))
    assert len(os.listdir("/proc/self/fd")) == before


async def test_the_directory_of_a_worker_is_removed_with_it(tmp_path: Path) -> None:
    async with ZygoteProcess.running() as zygote:
        talk = await Talk.begin(zygote, make_bundle(tmp_path, source=HOME))
        home = Path(json.loads((await talk.ask()).body))
        assert home.stat().st_mode & 0o777 == 0o700
        talk.process.kill()
        await talk.ended()
        await asyncio.gather(*zygote._cleanups)
        assert not home.exists()


async def test_directories_of_killed_gateways_are_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, strange = tmp_path / "outdial-workers-left", tmp_path / "outdial-workers-strange"
    (left / "7").mkdir(parents=True)
    strange.symlink_to(tmp_path)
    first = ScratchDirectory.create()
    assert not left.exists()
    second = ScratchDirectory.create()
    assert first.path.is_dir()
    assert strange.is_symlink()
    for scratch in (first, second):
        scratch.remove()
    assert list(tmp_path.iterdir()) == [strange]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory that is removed even with more levels than pytest itself can remove."""
    yield tmp_path
    subprocess.run(["rm", "-rf", *map(str, tmp_path.iterdir())], check=True)


async def test_a_directory_that_cannot_be_removed_stops_neither_start_nor_end(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    # shutil.rmtree of Python 3.11 recurses.
    make_deep(directory / "outdial-workers-left" / "7", sys.getrecursionlimit() + 100)
    scratch = ScratchDirectory.create()
    assert list(directory.iterdir()) == [scratch.path]

    make_deep(scratch.create_for_worker("1", None), 10)
    for error in (RecursionError(), PermissionError("not permitted")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        (directory / "outdial-workers-left" / "1").mkdir(parents=True)
        with monkeypatch.context() as patched, caplog.at_level("WARNING", logger="outdial"):
            patched.setattr(os, "rmdir", fail)
            scratch.remove_for_worker("1")
            ScratchDirectory.create().remove()
        ScratchDirectory.create().remove()
        assert not (directory / "outdial-workers-left").exists()
    assert {record.getMessage() for record in caplog.records} == {"host.scratch_left"}
    scratch.remove()
    assert list(directory.iterdir()) == []


async def test_a_worker_starts_although_another_closed_the_directory_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = ScratchDirectory.create()
    scratch.path.chmod(0)
    assert scratch.create_for_worker("1", None).is_dir()
    assert scratch.path.stat().st_mode & 0o777 == 0o711
    scratch.path.chmod(0)
    scratch.remove_for_worker("1")
    assert not (scratch.path / "1").exists()
    scratch.remove()


async def test_removing_ends_in_time_although_files_are_added_for_ever(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    numbers = count()

    def may_continue() -> bool:
        number = next(numbers)
        (home / f"added-{number}").touch()
        return number < 1_000

    with pytest.raises(OSError):
        remove_tree(home, may_continue)
    remove_tree(home, lambda: True)
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; the other tests run as this user")
async def test_an_ordinary_user_removes_directories_without_permissions() -> None:
    home = Path(tempfile.mkdtemp())
    home.chmod(0o777)
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            own = home / "own"
            (own / "a" / "b" / "c").mkdir(parents=True)
            (own / "a" / "b" / "file").touch()
            (own / "link").symlink_to(home)
            for directory in (own / "a" / "b" / "c", own / "a" / "b", own / "a", own):
                directory.chmod(0)
            remove_tree(own, lambda: True)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert list(home.iterdir()) == []
    home.rmdir()


async def test_a_lost_zygote_takes_its_workers_along_and_is_noticed(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    async with ZygoteProcess.running() as zygote:
        talk = await Talk.begin(zygote, bundle)
        await talk.ready()
        os.kill(zygote.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            await zygote.lost.wait()
        assert (await talk.ended()).signal == signal.SIGKILL
        assert await talk.process.exited == await talk.ended()
        with pytest.raises(ZygoteLost):
            await Talk.begin(zygote, bundle)
        talk.process.kill()
        talk.process.send(frames.encode(frames.RetireFrame()))
    async with ZygoteProcess.running() as another:
        assert (await (await Talk.begin(another, bundle)).ask()).status == 200


async def test_a_zygote_lost_while_workers_are_ordered_is_noticed(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    async with ZygoteProcess.running() as zygote:
        os.kill(zygote.pid, signal.SIGSTOP)
        orders = [asyncio.create_task(Talk.begin(zygote, bundle)) for _ in range(5)]
        await asyncio.sleep(0)
        os.kill(zygote.pid, signal.SIGKILL)
        outcomes = await asyncio.gather(*orders, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZygoteLost] * 5


async def test_more_orders_than_the_socket_holds_are_all_carried_out(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / ("long" * 50))
    async with ZygoteProcess.running() as zygote:
        os.kill(zygote.pid, signal.SIGSTOP)
        orders = [asyncio.create_task(Talk.begin(zygote, bundle)) for _ in range(24)]
        zygote._control.setsockopt(1, 7, 2048)
        await asyncio.sleep(0)
        assert zygote._packets
        os.kill(zygote.pid, signal.SIGCONT)
        talks = await asyncio.gather(*orders)
        assert len({talk.process.pid for talk in talks}) == 24
        for talk in talks:
            await talk.ready()


async def test_a_worker_whose_spawn_was_cancelled_is_killed(tmp_path: Path) -> None:
    ended: asyncio.Future[ProcessExit] = asyncio.get_running_loop().create_future()
    order = WorkerSpec(
        slug="hello", execution_id=str(uuid4()), bundle=make_bundle(tmp_path), env=KEYS, config=FunctionConfig()
    )
    async with ZygoteProcess.running() as zygote:
        task = asyncio.create_task(zygote.spawn(order, lambda frame: None, ended.set_result))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20):
            assert (await ended).signal == signal.SIGKILL


async def test_a_worker_that_speaks_nonsense_is_ended(tmp_path: Path) -> None:
    async with ZygoteProcess.running() as zygote:
        talk = await Talk.begin(zygote, make_bundle(tmp_path, source=GARBLED))
        await talk.ready()
        ended = await talk.ask()
    assert isinstance(ended, ProcessExit)


async def test_running_out_of_descriptors_is_reported_and_leaks_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path)
    async with ZygoteProcess.running() as zygote:
        before = len(os.listdir("/proc/self/fd"))
        pipes = iter([os.pipe()])
        monkeypatch.setattr(os, "pipe", lambda: next(pipes, None) or out_of_descriptors())
        with pytest.raises(CannotSpawn, match="Too many open files"):
            await Talk.begin(zygote, bundle)
        monkeypatch.undo()
        assert len(os.listdir("/proc/self/fd")) == before
        assert (await (await Talk.begin(zygote, bundle)).ask()).status == 200


def make_deep(path: Path, levels: int) -> None:
    """Make a directory with `levels` more below it: too many for one path."""
    path.mkdir(parents=True, exist_ok=True)
    above = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("deep", dir_fd=above)
        below = os.open("deep", os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)


def out_of_descriptors() -> tuple[int, int]:
    raise OSError(24, "Too many open files")


async def test_an_order_does_not_print_its_secrets(tmp_path: Path) -> None:
    order = WorkerSpec(
        slug="hello",
        execution_id="e",
        bundle=make_bundle(tmp_path),
        env={"OWN_SECRET": "hunter2"},
        config=FunctionConfig(),
    )
    assert "hunter2" not in repr(order)


async def test_an_environment_larger_than_any_buffer_arrives_whole(tmp_path: Path) -> None:
    env = {**KEYS, **{f"SETTING_{number}": "x" * 24_000 for number in range(100)}}
    source = HOME.replace('json(os.environ["HOME"])', "json(sum(map(len, os.environ.values())))")
    async with ZygoteProcess.running() as zygote:
        talk = await Talk.begin(zygote, make_bundle(tmp_path, source=source), env)
        assert json.loads((await talk.ask()).body) > 2_400_000


async def test_missing_sandbox_layers_are_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with ZygoteProcess.running() as zygote:
        assert zygote.missing == []
        with caplog.at_level("WARNING", logger="outdial"):
            for _ in range(2):
                zygote.on_worker_ready(frames.ReadyFrame(1.0, ["landlock: Function not implemented"]))
    assert zygote.missing == ["landlock: Function not implemented"]
    assert [record.getMessage() for record in caplog.records] == ["host.sandbox_incomplete"]
