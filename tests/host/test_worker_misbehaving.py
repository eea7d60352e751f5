"""Functions that do what no function should: each is held, and the host learns of it."""

import asyncio
import errno
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outdial.host.pool.process import ProcessExit
from outdial.host.pool.spawning import ZygoteProcess
from outdial.host.wire import frames
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.frames import MAX_CHARACTERS, MAX_LINES, LimitFrame, ResponseFrame
from tests.support.hosting import KEYS, MISBEHAVING, Talk, has_ended, misbehaving

OWN_UID = 61_997
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make workers somebody else")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module", params=[None, pytest.param(OWN_UID, marks=AS_ROOT)], ids=["same user", "own user"])
def uid(request: pytest.FixtureRequest) -> int | None:
    """The user that workers become."""
    value: int | None = request.param
    return value


async def worker(zygote: ZygoteProcess, slug: str, uid: int | None, **config: Any) -> Talk:
    talk = await Talk.begin(zygote, misbehaving(slug), {**KEYS, "OWN_SECRET": "own secret"}, uid=uid, **config)
    await talk.ready()
    return talk


async def answer(talk: Talk, path: str, body: object = None) -> Any:
    reply = await talk.ask(path, json.dumps(body).encode())
    assert isinstance(reply, ResponseFrame), (reply, talk.texts)
    return json.loads(reply.body)


async def is_well(talk: Talk, slug: str) -> bool:
    return bool(await answer(talk, f"/{slug}/well") == {"ok": True})


async def test_spinning_in_steps_ends_the_request_alone(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "spins", uid, cpu_ms=100)
    exceeded = await talk.ask("/spins/in-steps")
    assert isinstance(exceeded, LimitFrame)
    assert (exceeded.resource, exceeded.limit) == ("cpu", 100)
    assert exceeded.used >= 100
    assert await is_well(talk, "spins")
    talk.process.kill()


@pytest.mark.parametrize("mode", ["", "/printing"])
async def test_spinning_within_one_step_is_detected_from_outside(
    zygote: ZygoteProcess, uid: int | None, mode: str
) -> None:
    talk = await worker(zygote, "spins", uid)
    talk.send(f"/spins{mode}")
    said = await talk.line("about to spin")
    assert said.request_id == "request-1"
    before = talk.process.cpu_ms()
    await uses_cpu(talk, before + 200)
    talk.process.kill()
    ended = await talk.ended()
    assert ended.signal == signal.SIGKILL
    assert ended.cpu_s * 1000 >= before + 200
    assert talk.process.cpu_ms() > 0


@pytest.mark.parametrize("mode", ["", "/at-once"])
async def test_eating_memory_ends_the_request_with_the_limit(zygote: ZygoteProcess, uid: int | None, mode: str) -> None:
    talk = await worker(zygote, "eats-memory", uid, memory_mb=64)
    exceeded = await talk.ask(f"/eats-memory{mode}")
    assert isinstance(exceeded, LimitFrame)
    assert (exceeded.resource, exceeded.limit) == ("memory", 64)
    assert 48 <= exceeded.used <= 66 or mode
    assert "the limit is 64 MiB" in (await talk.line("out of memory")).text
    assert await is_well(talk, "eats-memory")
    assert talk.process.status().memory_mb < 32
    talk.retire()
    assert (await talk.ended()).status == 0


async def test_a_worker_without_memory_to_read_a_request_exits(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "eats-memory", uid, memory_mb=64)
    assert isinstance(await talk.ask("/eats-memory/for-good"), LimitFrame)
    ended = await talk.ask("/eats-memory/well", bytes(3 << 20))
    assert isinstance(ended, ProcessExit)
    assert (ended.status, ended.signal) == (1, 0)
    assert "out of memory while reading a request" in talk.texts[-1]


async def test_memory_that_no_rlimit_counts_is_measured_from_outside(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "eats-memory", uid, memory_mb=64)
    assert talk.process.status().memory_mb < 16
    await answer(talk, "/eats-memory/uncounted")
    assert 250 < talk.process.status().memory_mb < 280
    talk.process.kill()
    await talk.ended()
    assert talk.process.status().memory_mb == 0


async def test_memory_that_outlives_its_pages_cannot_be_had(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "eats-memory", uid)
    outcomes = await answer(talk, "/eats-memory/shared")
    assert outcomes == dict.fromkeys(["anonymous", "validated", "zeros", "memfd", "pipe"], "PermissionError")
    talk.process.kill()


async def test_directories_that_are_hard_to_remove_go_with_the_worker(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "fills-directories", uid)
    home = Path((await answer(talk, "/fills-directories"))["home"])
    # As the host's own user it can change no permissions.
    assert home.stat().st_mode & 0o777 == (0 if uid else 0o700)
    talk.process.kill()
    await talk.ended()
    await asyncio.gather(*zygote._cleanups)
    assert not home.exists()
    assert home.parent.is_dir()


@pytest.mark.parametrize("kind", ["one-huge-log", "many-logs", "many-heartbeats", "long-line", "many-characters"])
async def test_logging_past_the_workers_log_kills_it_and_delays_no_other(
    zygote: ZygoteProcess, uid: int | None, kind: str
) -> None:
    other = await worker(zygote, "never-answers", uid)
    talk = await worker(zygote, "writes-frames", uid)
    number = talk.send(f"/writes-frames/{kind}")
    ended = asyncio.create_task(talk.outcome(number))
    longest = 0.0
    while not ended.done():
        began = time.process_time()
        assert await is_well(other, "never-answers")
        longest = max(longest, time.process_time() - began)
    # It is killed, unless it notices first that its socket is closed.
    assert isinstance(ended.result(), ProcessExit)
    assert len(talk.lines) < 4 * MAX_LINES
    # One frame of 7 million lines took this process more than 2 s to decode.
    assert longest < 1
    other.process.kill()


@pytest.mark.parametrize("kind", ["many-headers", "long-headers"])
async def test_headers_that_the_worker_would_not_send_kill_it(
    zygote: ZygoteProcess, uid: int | None, kind: str
) -> None:
    talk = await worker(zygote, "writes-frames", uid)
    assert isinstance(await talk.ask(f"/writes-frames/{kind}"), ProcessExit)


async def test_forking_fails_and_threads_run(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "forks", uid)
    outcomes = await answer(talk, "/forks")
    assert outcomes.pop("thread") == "ran"
    assert outcomes.pop("shell") == "127"
    assert outcomes == dict.fromkeys(outcomes, "PermissionError")
    talk.process.kill()


@AS_ROOT
async def test_threads_are_limited_for_a_user_of_its_own(zygote: ZygoteProcess) -> None:
    talk = await worker(zygote, "starts-threads", OWN_UID, max_workers=1)
    # 64, of which its loop and its threads for names use some.
    assert 32 < (await answer(talk, "/starts-threads"))["started"] < 64
    talk.process.kill()


async def test_threads_are_counted_from_outside(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "forks", uid)
    few = talk.process.status().threads
    await answer(talk, "/forks")
    assert 1 <= few <= talk.process.status().threads <= FunctionConfig().max_threads
    talk.process.kill()
    await talk.ended()
    assert talk.process.status().threads == 0


async def test_a_function_that_may_have_processes_starts_them_and_they_end_with_it(
    zygote: ZygoteProcess, uid: int | None
) -> None:
    talk = await worker(zygote, "forks", uid, processes=4)
    outcomes = await answer(talk, "/forks")
    assert outcomes["fork"].endswith(", 0)")
    # A session of its own would outlive the worker, and a namespace would give it rights.
    assert (outcomes["session"], outcomes["namespace"]) == ("PermissionError", "PermissionError")
    # Landlock lets it run no other program.
    assert (outcomes["subprocess"], outcomes["exec"]) == ("PermissionError", "PermissionError")
    # A sibling of the worker would be a child of the zygote.
    assert outcomes["sibling"] == "PermissionError"
    assert await is_well(talk, "forks")
    talk.process.kill()
    assert (await talk.ended()).signal == signal.SIGKILL


async def test_options_of_the_process_that_weaken_its_fence_cannot_be_set(
    zygote: ZygoteProcess, uid: int | None
) -> None:
    talk = await worker(zygote, "outlives", uid)
    options = (await answer(talk, "/outlives"))["options"]
    assert options == dict.fromkeys(options, os.strerror(errno.EPERM))
    talk.process.kill()


async def test_nothing_outlives_the_zygote(uid: int | None) -> None:
    async with ZygoteProcess.running() as own:
        talk = await worker(own, "outlives", uid, processes=4)
        pids = [talk.process.pid, *(await answer(talk, "/outlives"))["children"]]
        talk.send("/outlives/asleep")
        await talk.line("about to sleep")
        descriptors = list(map(os.pidfd_open, pids))
        os.kill(own.pid, signal.SIGKILL)
        assert len(pids) == 3
        assert await asyncio.to_thread(lambda: [has_ended(each) for each in descriptors]) == [True, True, True]
        assert (await talk.ended()).signal == signal.SIGKILL


async def test_failing_at_import_comes_back_as_traceback_without_secrets(
    zygote: ZygoteProcess, uid: int | None
) -> None:
    talk = await Talk.begin(zygote, misbehaving("fails-at-import"), {**KEYS, "OWN_SECRET": "own secret"}, uid=uid)
    failed = await talk.next(frames.BootFailedFrame)
    assert "LookupError: no table for [secret]" in failed.message
    assert 'index.py", line' in failed.traceback
    assert "in prepare" in failed.traceback
    assert "own secret" not in failed.traceback
    assert (await talk.ended()).status == 1


@pytest.mark.parametrize(
    ("mode", "status", "by", "words"),
    [
        ("", 2, 0, "the function called sys.exit(2), so its worker exits"),
        ("/hard", 3, 0, "about to exit"),
        ("/crash", 0, signal.SIGSEGV, "Fatal Python error: Segmentation fault"),
    ],
)
async def test_exiting_is_detected_and_the_last_lines_arrive(
    zygote: ZygoteProcess, uid: int | None, mode: str, status: int, by: int, words: str
) -> None:
    talk = await worker(zygote, "exits", uid)
    ended = await talk.ask(f"/exits{mode}")
    assert isinstance(ended, ProcessExit)
    assert (ended.status, ended.signal) == (status, by)
    assert "about to exit" in talk.texts
    assert words in talk.texts


async def test_exiting_in_the_background_ends_the_worker_after_the_response(
    zygote: ZygoteProcess, uid: int | None
) -> None:
    talk = await worker(zygote, "exits", uid)
    assert (await talk.ask("/exits/later")).status == 200
    assert (await talk.ended()).status == 4
    assert "the function called sys.exit(4), so its worker exits" in talk.texts


async def test_a_hanging_request_blocks_no_other(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "never-answers", uid)
    for _ in range(50):
        talk.send("/never-answers")
    assert await is_well(talk, "never-answers")
    talk.process.kill()


async def test_printing_a_gigabyte_costs_little_and_is_counted(zygote: ZygoteProcess, uid: int | None) -> None:
    talk, now = await worker(zygote, "prints-a-gigabyte", uid), asyncio.get_running_loop().time
    began, number = now(), talk.send("/prints-a-gigabyte")
    assert await is_well(talk, "prints-a-gigabyte")
    await talk.outcome(number)
    assert talk.process.status().memory_mb < 32
    talk.retire()
    await talk.ended()
    assert len(talk.lines) + talk.dropped == 1024
    # So many are kept of each second.
    assert sum(map(len, talk.texts)) < (4 + now() - began) * MAX_CHARACTERS


async def test_raw_output_is_rejected_when_the_pipe_is_full(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "prints-a-gigabyte", uid)
    number = talk.send("/prints-a-gigabyte/raw")
    assert await is_well(talk, "prints-a-gigabyte")
    refused = json.loads((await talk.outcome(number)).body)["refused"]
    assert refused > 500
    talk.retire()
    await talk.ended()
    assert len(talk.texts) == 1
    assert " characters cut " in talk.texts[0]


async def test_another_functions_secret_cannot_be_read(zygote: ZygoteProcess, uid: int | None, tmp_path: Path) -> None:
    (tmp_path / "outdial-home-key").write_text("of the host")
    other = await Talk.begin(zygote, misbehaving("never-answers"), {**KEYS, "OTHER_SECRET": "hunter2"}, uid=uid)
    await other.ready()
    talk = await worker(zygote, "reads-secrets", uid)
    home = (await answer(talk, "/reads-secrets", {"files": [], "pids": []}))["environment"]["HOME"]
    files = [
        str(MISBEHAVING / "functions" / "exits" / "index.py"),
        str(MISBEHAVING / "config.toml"),
        str(tmp_path / "outdial-home-key"),
        str(Path(home).parent),
        "/etc/shadow",
        # Private keys of servers are below it.
        "/etc/ssl",
        *([] if not Path("/etc/ssl/private").exists() else ["/etc/ssl/private"]),
        "/proc/1/environ",
    ]
    seen = await answer(talk, "/reads-secrets", {"files": files, "pids": [os.getpid(), zygote.pid, other.process.pid]})
    assert seen["environment"] == {**KEYS, "OWN_SECRET": "own secret", "HOME": home, "TMPDIR": home}
    assert len(seen["files"]) == len(files) + 18
    assert seen["files"] == dict.fromkeys(seen["files"], "PermissionError")
    for each in (talk, other):
        each.process.kill()


async def test_other_processes_cannot_be_meddled_with(zygote: ZygoteProcess, uid: int | None) -> None:
    other = await worker(zygote, "never-answers", uid)
    talk = await worker(zygote, "meddles", uid)
    outcomes = await answer(talk, "/meddles", {"pids": [os.getpid(), zygote.pid, other.process.pid]})
    assert outcomes == {way: ["PermissionError"] for way in outcomes}
    assert await is_well(talk, "meddles")
    for each in (talk, other):
        each.process.kill()


@pytest.fixture
def unix_socket(tmp_path: Path) -> Iterator[str]:
    """A socket as Postgres has one: whoever can reach it is trusted."""
    path = str(tmp_path / ".s.PGSQL.5432")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen()
        yield path


async def test_sockets_of_this_machine_cannot_be_reached(
    zygote: ZygoteProcess, uid: int | None, unix_socket: str
) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        talk = await worker(zygote, "opens-sockets", uid)
        port = server.sockets[0].getsockname()[1]
        outcomes = await answer(talk, "/opens-sockets", {"unix": unix_socket, "tcp": port})
    assert outcomes == {
        "unix": "PermissionError",
        "unix by a pair": "PermissionError",
        "unix by a pair of streams": "OSError",
        "packet": "PermissionError",
        "raw": "PermissionError",
        "ring": "OSError",
        "listening": "PermissionError",
        "listening anywhere": "PermissionError",
        "listening on IPv6": "PermissionError",
        "MPTCP": "PermissionError",
        "SCTP": "PermissionError",
        "tcp": "done",
        "names": "done",
    }
    talk.process.kill()


async def test_files_are_limited_in_number_size_and_place(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "opens-files", uid, open_files=64)
    got = await answer(talk, "/opens-files")
    assert 40 <= got["opened"] < 64
    assert got["written"] == 64 << 20
    *forbidden, own = got["elsewhere"].items()
    assert {outcome for _, outcome in forbidden} == {"PermissionError"}
    assert own[1] == "writes"
    assert await is_well(talk, "opens-files")
    talk.process.kill()


async def test_no_privilege_is_kept_or_gained(zygote: ZygoteProcess, uid: int | None) -> None:
    talk = await worker(zygote, "gains-privileges", uid)
    got = await answer(talk, "/gains-privileges")
    expected = dict.fromkeys(got["outcomes"], "PermissionError")
    # Root's own name without root's rights is no gain.
    assert got["outcomes"] == (expected if uid or os.geteuid() else {**expected, "root": "done"})
    assert (got["status"]["NoNewPrivs"], got["status"]["Seccomp"]) == ("1", "2")
    assert set(got["status"]["Uid"].split()) == {str(uid or os.geteuid())}
    # At most the right to read, of what Landlock lets it see: where Python lies in root's own directory.
    assert got["status"]["CapEff"] in ("0" * 16, "0" * 15 + "4")
    talk.process.kill()


async def uses_cpu(talk: Talk, ms: float) -> None:
    loop, reached = asyncio.get_running_loop(), asyncio.Event()

    def look() -> None:
        if talk.process.cpu_ms() >= ms:
            reached.set()
        else:
            loop.call_later(0.02, look)

    look()
    async with asyncio.timeout(30):
        await reached.wait()
