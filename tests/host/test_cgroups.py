"""A cgroup for each worker: where the host may have them, what they limit, and why it has none elsewhere."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from outdial.host.pool import cgroups
from outdial.host.pool.cgroups import CgroupUnavailable, WorkerCgroups
from outdial.host.pool.spawning import ZygoteProcess
from outdial.host.wire.config import FunctionConfig
from tests.support.hosting import Talk, make_bundle

FULL = "cpuset cpu io memory hugetlb pids rdma misc"


class FakeSystem:
    """A tree like /sys/fs/cgroup, in which this process is alone in the cgroup of a service."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.process, self.mount = root / "proc", root / "cgroup"
        self.base = self.mount / "system.slice" / "outdial.service"
        self.base.mkdir(parents=True)
        self.process.mkdir()
        self.delegated = b"1"
        mounts = ["23 29 0:5 / /proc rw - proc proc rw", f"30 23 0:26 / {self.mount} rw shared:4 - cgroup2 cgroup2 rw"]
        (self.process / "mountinfo").write_text("\n".join(mounts))
        self.lives_in("/system.slice/outdial.service")
        for directory in (self.base, self.base.parent):
            (directory / "cgroup.controllers").write_text(FULL)
            (directory / "cgroup.subtree_control").write_text("")
            (directory / "cgroup.procs").write_text("")
        (self.base / "cgroup.procs").write_text(f"{os.getppid()}\n{os.getpid()}\n")
        monkeypatch.setattr(os, "getxattr", lambda path, name: self.delegated)

    def lives_in(self, path: str) -> None:
        """Say that this process is in a cgroup."""
        (self.process / "cgroup").write_text(f"1:name=systemd:/x\n0::{path}\n")

    def set_up(self) -> WorkerCgroups:
        return WorkerCgroups.set_up(self.process)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    return FakeSystem(tmp_path, monkeypatch)


def test_the_host_moves_into_a_leaf_and_its_workers_get_limits(system: FakeSystem) -> None:
    groups = system.set_up()

    assert groups.directory == system.base / "outdial-workers"
    # A file holds what was written last.
    assert int((system.base / "outdial-host" / "cgroup.procs").read_text()) in (os.getpid(), os.getppid())
    for directory in (system.base, groups.directory):
        assert (directory / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    created = groups.create(FunctionConfig(memory_mb=100, max_workers=3, processes=2), 39.5)
    assert created is not None
    assert created.parent == groups.directory
    assert {path.name: path.read_text() for path in created.iterdir()} == {
        "memory.max": f"{204 << 20}",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "198",
        "cpu.max": "100000 100000",
    }
    assert groups.create(FunctionConfig(), 40.0) != created


# With oom 0 it was killed for the limit of a parent.
@pytest.mark.parametrize(("oom", "kills", "memory_mb"), [(1, 0, 0), (0, 1, 0), (1, 1, 204)])
def test_a_worker_that_was_killed_for_its_memory_is_told_from_others(
    system: FakeSystem, oom: int, kills: int, memory_mb: int
) -> None:
    created = system.set_up().create(FunctionConfig(memory_mb=100), 39.5)
    assert created is not None
    assert cgroups.memory_when_killed(created) == 0
    (created / "memory.events").write_text(f"low 0\nhigh 0\nmax 7\noom {oom}\noom_kill {kills}\noom_group_kill 0\n")
    assert cgroups.memory_when_killed(created) == memory_mb


def test_the_gateway_after_it_uses_the_same_cgroup_and_removes_what_a_killed_one_left(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = system.set_up()
    (system.base / "cgroup.procs").write_text("")
    system.lives_in("/system.slice/outdial.service/outdial-host")
    killed = subprocess.Popen(["/bin/true"])
    killed.wait()
    # Of a killed gateway, of one with the pid that this one has now (in a container), and of one that still runs.
    names = [f"{killed.pid}-1", f"{os.getpid()}-1", f"{os.getppid()}-1", "others"]
    for name in names:
        (first.directory / name).mkdir()
        (first.directory / name / "cgroup.kill").write_text("")
    # Removing a cgroup takes its files with it.
    monkeypatch.setattr(Path, "rmdir", lambda path: path.rename(system.mount / path.name))

    assert system.set_up().directory == first.directory
    assert [(first.directory / name).exists() for name in names] == [False, False, True, True]
    kills = [next(system.mount.rglob(f"{name}/cgroup.kill")).read_text() for name in names]
    assert kills == ["1", "1", "", ""]


def test_the_topmost_cgroup_of_a_container_is_its_own(system: FakeSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    system.delegated = b""
    mounts = f"30 23 0:26 /system.slice/outdial.service {system.base} rw - cgroup2 cgroup2 rw"
    (system.process / "mountinfo").write_text(mounts)
    (system.base.parent / "cgroup.procs").unlink()

    assert system.set_up().directory == system.base / "outdial-workers"


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("there is no cgroup v2", lambda system: (system.process / "mountinfo").write_text("")),
        ("there is no cgroup v2", lambda system: (system.process / "cgroup").write_text("4:memory:/x")),
        ("lacks the controllers memory, pids", lambda system: (system.base / "cgroup.controllers").write_text("cpu")),
        ("contains other processes", lambda system: (system.base / "cgroup.procs").write_text("4194000")),
        ("No such file", lambda system: system.lives_in("/elsewhere")),
    ],
)
def test_a_host_that_cannot_have_cgroups_says_why(system: FakeSystem, reason: str, change: object) -> None:
    assert callable(change)
    change(system)
    with pytest.raises(CgroupUnavailable, match=reason):
        system.set_up()
    assert not (system.base / "outdial-host").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="others may write only to what is delegated to them")
def test_what_systemd_has_not_delegated_is_left_alone(system: FakeSystem) -> None:
    system.delegated = b"0"
    with pytest.raises(CgroupUnavailable, match="Delegate=yes"):
        system.set_up()


def test_limits_that_cannot_be_set_stop_no_worker(system: FakeSystem) -> None:
    groups = system.set_up()
    groups.directory.joinpath("cgroup.subtree_control").unlink()
    groups.directory.rmdir()
    assert groups.create(FunctionConfig(), 40.0) is None


@pytest.fixture
def real_cgroup() -> Iterator[Path]:
    """A cgroup of the system, without limits."""
    try:
        path = cgroups._own_cgroup(Path("/proc/self")) / f"outdial-test-{os.getpid()}"
        path.mkdir()
    except (CgroupUnavailable, OSError) as reason:
        pytest.skip(f"this user may create no cgroup: {reason}")
    yield path
    path.rmdir()


async def test_a_worker_joins_its_cgroup_before_its_function_runs(
    real_cgroup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(self: WorkerCgroups, config: FunctionConfig, inherited_mb: float) -> Path:
        (self.directory / "worker").mkdir()
        return self.directory / "worker"

    monkeypatch.setattr(WorkerCgroups, "create", create)
    async with ZygoteProcess.running(WorkerCgroups(real_cgroup)) as zygote:
        talk = await Talk.begin(zygote, make_bundle(tmp_path))
        assert (await talk.ready()).missing == []
        assert (real_cgroup / "worker" / "cgroup.procs").read_text().split() == [f"{talk.process.pid}"]
        talk.retire()
        await talk.ended()
    assert not (real_cgroup / "worker").exists()


async def test_a_worker_that_cannot_join_its_cgroup_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkerCgroups, "create", lambda self, config, inherited_mb: tmp_path / "missing")
    async with ZygoteProcess.running(WorkerCgroups(tmp_path)) as zygote:
        talk = await Talk.begin(zygote, make_bundle(tmp_path))
        assert (await talk.ready()).missing == ["cgroup: No such file or directory"]
