"""A cgroup for each worker (cgroup v2), where the system has delegated one to this host: memory, threads, processor.

Kernel documentation: admin-guide/cgroup-v2. A cgroup with processes cannot have others with limits below it, so the
host moves itself into a leaf first.
"""

import itertools
import os
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Self

from outdial.host.wire.config import MIB, FunctionConfig
from outdial.log import log

_CONTROLLERS = ("cpu", "memory", "pids")
_HOST, _WORKERS = "outdial-host", "outdial-workers"
# Beyond the memory that a function may use: pages of files, stacks in the kernel, buffers of sockets.
_OTHER_MEMORY_MB = 64
# One core: the first number is the time in microseconds that all threads may use in a period of the second.
_CPU_MAX = "100000 100000"
_INIT = 1


class CgroupUnavailable(Exception):
    """This host cannot use cgroups. The message says why."""


class WorkerCgroups:
    """The cgroups of this host's workers, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers = itertools.count(1)

    @classmethod
    def set_up(cls, process: Path = Path("/proc/self")) -> Self:
        """Move this host into a leaf of its cgroup, and prepare another part of it for workers.

        Raises CgroupUnavailable unless the cgroup was delegated to this host and contains no other processes.
        """
        base = _own_cgroup(process)
        if base.name == _HOST:  # an earlier gateway of this launcher has moved it
            base = base.parent
        try:
            missing = set(_CONTROLLERS) - set((base / "cgroup.controllers").read_text().split())
            if missing:
                raise CgroupUnavailable(f"{base} lacks the controllers {', '.join(sorted(missing))}")
            _check_delegated(base)
            pids = {int(line) for line in (base / "cgroup.procs").read_text().split()}
            others = pids - {os.getpid(), os.getppid(), _INIT}
            if others:
                raise CgroupUnavailable(f"{base} contains other processes, such as {min(others)}")
            (base / _HOST).mkdir(exist_ok=True)
            for pid in pids:
                (base / _HOST / "cgroup.procs").write_text(f"{pid}")
            enabled = " ".join(f"+{name}" for name in _CONTROLLERS)
            (base / "cgroup.subtree_control").write_text(enabled)
            workers = base / _WORKERS
            workers.mkdir(exist_ok=True)
            (workers / "cgroup.subtree_control").write_text(enabled)
            for left in workers.iterdir():
                gateway = left.name.partition("-")[0]
                # During a reload the previous gateway still creates cgroups: an empty one may be about to get a worker.
                if gateway.isdecimal() and (int(gateway) == os.getpid() or not Path("/proc", gateway).exists()):
                    remove_cgroup(left)
        except OSError as error:
            raise CgroupUnavailable(f"{base}: {error.strerror or error}") from error
        return cls(workers)

    def create(self, config: FunctionConfig, inherited_mb: float) -> Path | None:
        """Create the cgroup of a worker, which joins it before its function runs. Return None on failure.

        The worker shares `inherited_mb` MiB with its zygote; each page that it writes to is copied and counts for it.
        """
        path = self.directory / f"{os.getpid()}-{next(self._numbers)}"
        try:
            path.mkdir()
            memory_mb = config.memory_mb + ceil(inherited_mb) + _OTHER_MEMORY_MB
            (path / "memory.max").write_text(f"{memory_mb * MIB}")
            with suppress(FileNotFoundError):  # on a kernel without swap
                (path / "memory.swap.max").write_text("0")
            (path / "memory.oom.group").write_text("1")
            (path / "pids.max").write_text(f"{config.max_threads}")
            (path / "cpu.max").write_text(_CPU_MAX)
        except OSError as error:
            log("host.cgroup_failed", level="warning", path=str(path), reason=str(error))
            remove_cgroup(path)
            return None
        return path


def worker_cgroups() -> WorkerCgroups | None:
    """Return the cgroups for this host's workers, or None and log the reason."""
    try:
        cgroups = WorkerCgroups.set_up()
    except CgroupUnavailable as unavailable:
        log("host.no_cgroups", reason=str(unavailable))
        return None
    log("host.cgroups", directory=str(cgroups.directory))
    return cgroups


def memory_when_killed(path: Path) -> int:
    """Return the memory limit in MiB at which the kernel killed a worker, or 0 if it did not.

    `oom_kill` also counts workers killed for the limit of a parent cgroup, `oom` only allocations beyond its own.
    """
    try:
        events = dict(line.split() for line in (path / "memory.events").read_text().splitlines())
        if "0" in (events.get("oom", "0"), events.get("oom_kill", "0")):
            return 0
        return ceil(int((path / "memory.max").read_text()) / MIB)
    except (OSError, ValueError):
        return 0


def remove_cgroup(path: Path) -> None:
    """Remove the cgroup of a worker that has ended, and kill the processes that are left in it."""
    with suppress(OSError):
        if (path / "cgroup.kill").exists():  # from Linux 5.14 on
            (path / "cgroup.kill").write_text("1")
    with suppress(OSError):  # otherwise the next start does it
        path.rmdir()


def _own_cgroup(process: Path) -> Path:
    """Return the directory of this process's cgroup (man 5 proc_pid_mountinfo, proc_pid_cgroup)."""
    try:
        lines = (line.partition(" - ") for line in (process / "mountinfo").read_text().splitlines())
        mounts = [before.split()[3:5] for before, _, after in lines if after.startswith("cgroup2 ")]
        groups = (process / "cgroup").read_text().splitlines()
    except OSError as error:
        raise CgroupUnavailable(f"{process}: {error.strerror}") from error
    paths = [group.removeprefix("0::") for group in groups if group.startswith("0::")]
    if not mounts or not paths:
        raise CgroupUnavailable("there is no cgroup v2")
    (root, mount_point), path = mounts[0], paths[0]
    if root != "/" and path != root and not path.startswith(f"{root}/"):
        raise CgroupUnavailable(f"the cgroup {path} of this process is not mounted")
    inside = path if root == "/" else path.removeprefix(root)
    return Path(mount_point + inside) if inside != "/" else Path(mount_point)


def _check_delegated(base: Path) -> None:
    """Raise CgroupUnavailable unless this user may divide the cgroup, and its manager leaves it alone."""
    if not all(os.access(base / name, os.W_OK) for name in ("", "cgroup.procs", "cgroup.subtree_control")):
        raise CgroupUnavailable(f"{base} is not delegated to this user: set Delegate=yes in its systemd unit")
    # The topmost cgroup is ours to divide, such as that of a container.
    if os.geteuid() != 0 or not (base.parent / "cgroup.procs").exists():
        return
    # root may write anywhere; systemd marks what it has delegated.
    for name in ("trusted.delegate", "user.delegate"):
        with suppress(OSError):
            if os.getxattr(base, name) == b"1":
                return
    raise CgroupUnavailable(f"{base} is not delegated: set Delegate=yes in its systemd unit")
