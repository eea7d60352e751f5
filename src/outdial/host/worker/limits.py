"""Fences a worker in before its function's code is imported, and tells which fences this kernel could not put up."""

import resource
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from outdial.host.wire.config import MIB, FunctionConfig
from outdial.host.worker.sandbox import kernel, landlock, privileges, seccomp

# Threads per worker: an executor's 32, those four, and some of libraries.
_THREADS = 64
_OWN_FILE = 64 * MIB

# What libraries read of a system: names, certificates, time zones, shared libraries; nothing that is secret.
_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin"),
    *("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services"),
    *("/etc/protocols", "/etc/passwd", "/etc/group", "/etc/localtime", "/etc/timezone", "/etc/os-release"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/etc/mime.types", "/etc/alternatives", "/sys/devices/system/cpu/online", "/proc/self"),
)
_NOWHERE = Path("/dev/null")
_READABLE = [_NOWHERE, *map(Path, (*_SYSTEM, "/dev/zero", "/dev/random", "/dev/urandom"))]


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """What a worker is to be kept to; `uid` is given when the host is root, `temporary` is the one place to write."""

    config: FunctionConfig
    readable: tuple[Path, ...]
    temporary: Path
    uid: int | None


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What is in force. `landlock` is the version of the kernel's interface, 0 where it has none.

    `reads_all` tells that the user was given the right to pass the permissions of files, because Python itself lies
    where root alone may go; only what `readable` names can be read in any case. `missing` names what could not be
    applied, and why.
    """

    uid: int | None
    seccomp: bool
    landlock: int
    reads_all: bool
    missing: tuple[str, ...]


def apply_sandbox(fence: SandboxPolicy, end_with_parent: Callable[[], None]) -> SandboxReport:
    """Fence this process in, for good; it has one thread. Raises nothing for what the kernel lacks.

    `end_with_parent` asks for the signal that ends this process with its parent, which a change of user undoes.
    """
    missing: list[str] = []

    def attempt(name: str, act: Callable[[], object]) -> bool:
        try:
            act()
        except OSError as error:
            missing.append(f"{name}: {error.strerror or error}")
            return False
        return True

    attempt("no_new_privs", lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1))
    newest = landlock.version()
    attempt("landlock", lambda: landlock.restrict([*fence.readable, *_READABLE], [fence.temporary, _NOWHERE]))
    reads_all = fence.uid is not None and newest > 0 and bool(privileges.closed_to_others(fence.readable))
    keep = frozenset({privileges.DAC_READ_SEARCH}) if reads_all else frozenset()
    uid = fence.uid
    if uid is not None and not attempt("user", partial(privileges.become, uid, keep=keep)):
        uid = None
    attempt("capabilities", lambda: privileges.drop_capabilities(keep=keep))
    hide_memory()
    end_with_parent()
    _limit_resources(fence.config, own_uid=uid is not None)
    filtered = attempt("seccomp", lambda: seccomp.install(processes=fence.config.processes > 0))
    return SandboxReport(uid, filtered, newest, reads_all, tuple(missing))


def limit_memory(memory_mb: int) -> None:
    """Let this process have so many MiB of private memory beside what it has now; then there is a MemoryError."""
    _limit(resource.RLIMIT_DATA, _data_now() + memory_mb * MIB)


def prefer_oom_kill() -> None:
    """Have the kernel, when the machine runs out of memory, end this process or one that it forks before any other."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as score:
        score.write(b"1000")


def hide_memory() -> None:
    """Keep other processes of this user out of this one's memory and environment; a no-op but on Linux."""
    if kernel.IS_LINUX:
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def python_paths() -> tuple[Path, ...]:
    """Return the directories that this interpreter imports from."""
    directories = {Path(name).resolve() for name in (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path) if name}
    return _outermost(directory for directory in directories if directory.is_dir())


def _outermost(directories: Iterable[Path]) -> tuple[Path, ...]:
    found: list[Path] = []
    for directory in sorted(directories):
        if not any(directory.is_relative_to(outer) for outer in found):
            found.append(directory)
    return tuple(found)


def _limit_resources(config: FunctionConfig, *, own_uid: bool) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, config.open_files)
    _limit(resource.RLIMIT_FSIZE, _OWN_FILE)
    if own_uid:  # it counts all that belongs to a user, so for a shared one it says nothing
        _limit(resource.RLIMIT_NPROC, config.max_workers * (_THREADS + config.processes))


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _data_now() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[5]) * resource.getpagesize()
