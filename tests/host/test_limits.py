"""Limits: what is put up is in force, and what this kernel lacks is told and stops nothing else."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from outdial.host.worker import limits
from outdial.host.worker.sandbox import kernel
from outdial.host.worker.sandbox.privileges import closed_to_others

pytestmark = pytest.mark.skipif(not kernel.IS_LINUX, reason="the fences are Linux's")

FENCE = """
    import json, os, resource, sys
    from pathlib import Path
    from outdial.host.worker import limits
    from outdial.host.wire.config import FunctionConfig
    from outdial.host.worker.sandbox import landlock, privileges, seccomp

    def lacking(*_, **__):
        raise OSError(38, "Function not implemented")

    def fence(uid=None, readable=(), **config):
        readable = (*limits.python_paths(), *readable)
        policy = limits.SandboxPolicy(
            config=FunctionConfig(**config), readable=readable, temporary=Path(sys.argv[1]), uid=uid
        )
        return limits.apply_sandbox(policy, lambda: None)

    def outcome(act):
        try:
            return str(act())
        except (OSError, MemoryError, ValueError) as error:
            return type(error).__name__
"""


def fenced(script: str, temporary: Path) -> Any:
    """Run a script that prints JSON, in a process that may fence itself in."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(FENCE) + dedent(script), str(temporary)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_limits_of_the_configuration_are_in_force(tmp_path: Path) -> None:
    got = fenced(
        """
        applied = fence(memory_mb=32, open_files=20)
        limits.limit_memory(32)
        print(json.dumps({
            "missing": applied.missing,
            "seccomp": applied.seccomp,
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE),
            "a little": outcome(lambda: len(bytearray(16 << 20))),
            "too much": outcome(lambda: len(bytearray(48 << 20))),
            "more files": outcome(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))),
        }))
        """,
        tmp_path,
    )
    assert got == {
        "missing": [],
        "seccomp": True,
        "core": [0, 0],
        "files": [20, 20],
        "a little": str(16 << 20),
        "too much": "MemoryError",
        "more files": "ValueError",
    }


def test_only_its_own_files_can_be_read_and_only_its_own_directory_written(tmp_path: Path) -> None:
    own, others, temporary = tmp_path / "own", tmp_path / "others", tmp_path / "temporary"
    for directory in (own, others, temporary):
        directory.mkdir()
        (directory / "file").write_text("content")
    got = fenced(
        f"""
        fence(readable=[Path({str(own)!r})])
        print(json.dumps([
            outcome(lambda: Path({str(own / "file")!r}).read_text()),
            outcome(lambda: Path({str(others / "file")!r}).read_text()),
            outcome(lambda: Path({str(temporary / "file")!r}).write_text("new")),
            outcome(lambda: Path({str(own / "file")!r}).write_text("new")),
            outcome(lambda: os.rename({str(temporary / "file")!r}, {str(own / "moved")!r})),
            outcome(lambda: os.listdir({str(tmp_path)!r})),
        ]))
        """,
        temporary,
    )
    assert got == ["content", "PermissionError", "3", "PermissionError", "PermissionError", "PermissionError"]


@pytest.mark.parametrize(
    ("lacks", "still"),
    [
        ("landlock.version = lambda: 0; landlock.restrict", {"fork": "PermissionError", "read": "content"}),
        ("seccomp.install", {"read": "PermissionError"}),
        ("privileges.drop_capabilities", {"fork": "PermissionError", "read": "PermissionError"}),
    ],
)
def test_missing_kernel_features_are_reported_and_the_rest_applies(
    tmp_path: Path, lacks: str, still: dict[str, str]
) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "file").write_text("content")
    got = fenced(
        f"""
        {lacks} = lacking
        applied = fence(open_files=20)
        print(json.dumps({{
            "missing": applied.missing,
            "read": outcome(lambda: Path({str(tmp_path / "file")!r}).read_text()),
            "fork": outcome(lambda: os.fork() or os._exit(0)),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        }}))
        """,
        tmp_path / "temporary",
    )
    assert len(got["missing"]) == 1
    assert got["missing"][0].endswith(": Function not implemented")
    assert got["files"] == [20, 20]
    assert {name: got[name] for name in still} == still


@pytest.mark.parametrize("interface", [1, 3, 5, 6])
def test_signals_and_listening_fail_on_older_landlock_interfaces_too(tmp_path: Path, interface: int) -> None:
    got = fenced(
        f"""
        import fcntl, signal, socket, struct, subprocess
        from outdial.host.worker.sandbox import kernel
        real = kernel.syscall
        newest = landlock.version()
        kernel.syscall = lambda number, *rest: (
            min({interface}, newest) if (number, *rest) == (444, 0, 0, 1) else real(number, *rest)
        )
        victim = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ours, theirs = socket.socketpair()
        applied = fence()
        got = {{
            "landlock": applied.landlock == min({interface}, newest),
            "missing": applied.missing,
            "owner": outcome(lambda: fcntl.fcntl(ours, fcntl.F_SETOWN, victim.pid)),
            "signal": outcome(lambda: fcntl.fcntl(ours, fcntl.F_SETSIG, signal.SIGKILL)),
            "by ioctl": outcome(lambda: fcntl.ioctl(ours, 0x8901, struct.pack("i", victim.pid))),
            "listen": outcome(lambda: socket.socket().listen()),
        }}
        fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        theirs.send(b"x")
        print(json.dumps({{**got, "victim": victim.poll(), "pid": victim.pid}}))
        """,
        tmp_path,
    )
    os.kill(got.pop("pid"), signal.SIGKILL)
    refused = dict.fromkeys(["owner", "signal", "by ioctl", "listen"], "PermissionError")
    assert got == {"landlock": True, "missing": [], "victim": None, **refused}


@pytest.mark.parametrize("interface", [1, 2, 3])
def test_the_hosts_own_files_cannot_be_emptied_on_older_landlock_interfaces_either(
    tmp_path: Path, interface: int
) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "readable").mkdir()
    hidden, readable = tmp_path / "hidden", tmp_path / "readable" / "file"
    for path in (hidden, readable):
        path.write_text("content")
    got = fenced(
        f"""
        from outdial.host.worker.sandbox import kernel
        real = kernel.syscall
        newest = landlock.version()
        kernel.syscall = lambda number, *rest: (
            min({interface}, newest) if (number, *rest) == (444, 0, 0, 1) else real(number, *rest)
        )
        applied = fence(readable=[Path({str(tmp_path / "readable")!r})])
        own = Path(sys.argv[1]) / "own"
        own.write_text("long")
        own.write_text("new")
        print(json.dumps([
            outcome(lambda: os.truncate({str(hidden)!r}, 0)),
            outcome(lambda: os.truncate({str(readable)!r}, 0)),
            outcome(lambda: os.open({str(readable)!r}, os.O_RDONLY | os.O_TRUNC)),
            outcome(lambda: os.open({str(hidden)!r}, os.O_ACCMODE | os.O_TRUNC)),
            outcome(lambda: Path({str(readable)!r}).read_text()),
            own.read_text(),
        ]))
        """,
        tmp_path / "temporary",
    )
    assert got == [*["PermissionError"] * 4, "content", "new"]
    assert (hidden.read_text(), readable.read_text()) == ("content", "content")


def test_layers_that_the_machine_lacks_are_known_before_any_function_runs(tmp_path: Path) -> None:
    got = fenced(
        """
        found = [limits.missing_layers(limits.python_paths())]
        landlock.restrict = lacking
        found.append(limits.missing_layers(limits.python_paths()))
        seccomp.install = lambda **_: 1 / 0
        found.append(limits.missing_layers(limits.python_paths()))
        print(json.dumps(found))
        """,
        tmp_path,
    )
    assert got == [
        [],
        ["landlock: Function not implemented"],
        ["all layers: the process that tried them ended with status 1"],
    ]


def test_permissions_of_the_hosts_own_files_do_not_change(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for directory in (home, temporary):
        directory.mkdir(mode=0o700)
    got = fenced(
        f"""
        import shutil
        fence(readable=[Path({str(home)!r})])
        own = Path(sys.argv[1]) / "own"
        own.write_text("own")
        print(json.dumps([
            outcome(lambda: os.chmod({str(home)!r}, 0)),
            outcome(lambda: os.chmod({str(tmp_path)!r}, 0)),
            outcome(lambda: os.fchmod(os.open({str(home)!r}, os.O_RDONLY), 0)),
            outcome(lambda: os.chown({str(home)!r}, -1, 61_998)),
            outcome(lambda: Path(shutil.copy(own, own.with_name("copy"))).read_text()),
        ]))
        """,
        temporary,
    )
    assert got == ["None", "None", "None", "None", "own"]
    assert [directory.stat().st_mode & 0o777 for directory in (home, tmp_path)] == [0o700, 0o700]
    assert home.stat().st_gid == temporary.stat().st_gid != 61_998


def test_no_directory_of_private_keys_is_readable() -> None:
    for name in ("/etc/ssl/private/server.key", "/etc/pki/tls/private/server.key", "/etc/pki/nssdb/key4.db"):
        assert not any(Path(name).is_relative_to(path) for path in limits._READABLE), name


def test_certificates_of_authorities_are_readable(tmp_path: Path) -> None:
    got = fenced(
        """
        import ssl
        before = len(ssl.create_default_context().get_ca_certs())
        fence()
        after = len(ssl.create_default_context().get_ca_certs())
        print(json.dumps([before, after, outcome(lambda: os.listdir("/etc/ssl"))]))
        """,
        tmp_path,
    )
    assert got[0] == got[1]
    assert got[2] == ("PermissionError" if Path("/etc/ssl").exists() else "FileNotFoundError")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_drops_to_the_user_and_may_read_only_the_listed_paths(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "own").write_text("own")
    os.chown(tmp_path, 61_998, 61_998)
    got = fenced(
        f"""
        applied = fence(uid=61998, readable=[Path({str(hidden)!r})])
        print(json.dumps({{
            "uid": applied.uid,
            "reads_all": applied.reads_all,
            "missing": applied.missing,
            "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
            "own": outcome(lambda: Path({str(hidden / "own")!r}).read_text()),
            "written": outcome(lambda: Path({str(hidden / "own")!r}).write_text("new")),
            "root again": outcome(lambda: os.setuid(0)),
            "shadow": outcome(lambda: Path("/etc/shadow").read_text()),
            "import": outcome(lambda: __import__("wave").__name__),
        }}))
        """,
        tmp_path / "temporary",
    )
    assert got == {
        "uid": 61_998,
        "reads_all": True,
        "missing": [],
        "ids": [[61_998] * 3, [61_998] * 3, []],
        "own": "own",
        "written": "PermissionError",
        "root again": "PermissionError",
        "shadow": "PermissionError",
        "import": "wave",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_landlock_no_right_passes_the_permissions_of_files(tmp_path: Path) -> None:
    got = fenced(
        """
        import wave
        landlock.version = lambda: 0
        landlock.restrict = lacking
        applied = fence(uid=61998)
        print(json.dumps([applied.reads_all, outcome(lambda: Path("/etc/shadow").read_text())]))
        """,
        tmp_path,
    )
    assert got == [False, "PermissionError"]


def test_a_directory_that_others_cannot_enter_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    assert closed_to_others([inner]) is not None
    assert closed_to_others([Path("/usr/bin")]) is None


def test_python_paths_include_the_interpreter() -> None:
    paths = limits.python_paths()
    for name in ("json", "msgspec", "outdial"):
        assert any(Path(__import__(name).__file__ or "").resolve().is_relative_to(path) for path in paths), name
    assert not any(inner != outer and inner.is_relative_to(outer) for inner in paths for outer in paths)
