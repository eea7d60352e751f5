"""Applies the sandbox to a worker before it imports the function, and reports layers that this kernel lacks."""

import os
import resource
import stat
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from outdial.host.wire.config import CERTIFICATES, MIB, FunctionConfig
from outdial.host.worker.sandbox import kernel, landlock, privileges, seccomp

_MAX_FILE = 64 * MIB
_NOBODY = 65534

# System files that libraries read: names, certificates, time zones, shared libraries. None is secret.
_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin"),
    *("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services"),
    *("/etc/protocols", "/etc/passwd", "/etc/group", "/etc/localtime", "/etc/timezone", "/etc/os-release"),
    # Not the directories above: they also hold the private keys of servers.
    *("/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/ca-certificates"),
    *("/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf", "/etc/pki/ca-trust"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/etc/mime.types", "/etc/alternatives", "/sys/devices/system/cpu/online", "/proc/self"),
)
_DEV_NULL = Path("/dev/null")
# Not /dev/zero: mapped as shared, it is memory that no limit counts.
_READABLE = [_DEV_NULL, *map(Path, (*_SYSTEM, "/dev/random", "/dev/urandom"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPolicy:
    """The sandbox of a worker. `uid` is its user when the host runs as root; it may write only to `temporary`."""

    config: FunctionConfig
    readable: tuple[Path, ...]
    temporary: Path
    uid: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxReport:
    """The sandbox layers in force. `landlock` is the version of the kernel's interface, 0 without Landlock.

    With `counts_threads` the kernel limits the threads of the worker; otherwise only the gateway does, from outside.
    With `reads_all` the user bypasses file permissions, because Python lies in a directory that only root may enter;
    Landlock still limits reads to `readable`. `missing` lists layers that could not be applied, with the reason.
    """

    uid: int | None
    seccomp: bool
    landlock: int
    counts_threads: bool
    reads_all: bool
    missing: tuple[str, ...]


def apply_sandbox(policy: SandboxPolicy, set_death_signal: Callable[[], None]) -> SandboxReport:
    """Sandbox this single-threaded process irreversibly. Layers that the kernel lacks are reported, not raised.

    `set_death_signal` makes the process die with its parent; a change of user would undo an earlier call.
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
    has_namespace = policy.uid is None and privileges.enter_user_namespace()
    newest = landlock.version()
    attempt("landlock", lambda: landlock.restrict([*policy.readable, *_READABLE], [policy.temporary, _DEV_NULL]))
    reads_all = policy.uid is not None and newest > 0 and bool(privileges.closed_to_others(policy.readable))
    keep = frozenset({privileges.DAC_READ_SEARCH}) if reads_all else frozenset()
    uid = policy.uid
    if uid is not None and not attempt("user", partial(privileges.become, uid, keep=keep)):
        uid = None
    attempt("capabilities", lambda: privileges.drop_capabilities(keep=keep))
    hide_memory()
    set_death_signal()
    config = policy.config
    _set_limit(resource.RLIMIT_CORE, 0)
    _set_limit(resource.RLIMIT_NOFILE, config.open_files)
    _set_limit(resource.RLIMIT_FSIZE, _MAX_FILE)
    counts_threads = has_namespace or uid is not None
    if counts_threads:  # the kernel counts those of a user, and nothing else may run as this one
        _set_limit(resource.RLIMIT_NPROC, config.max_threads)
    filtered = attempt(
        "seccomp",
        lambda: seccomp.install(
            processes=config.processes > 0,
            permissions=uid is not None,
            truncation=newest >= landlock.RESTRICTS_TRUNCATION,
        ),
    )
    return SandboxReport(
        uid=uid,
        seccomp=filtered,
        landlock=newest,
        counts_threads=counts_threads,
        reads_all=reads_all,
        missing=tuple(missing),
    )


def missing_layers(python_paths: tuple[Path, ...]) -> list[str]:
    """Try the sandbox in a child process, which ends at once; return the layers that this machine lacks.

    Requires a single thread.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            policy = SandboxPolicy(
                config=FunctionConfig(),
                readable=python_paths,
                temporary=Path(tempfile.gettempdir()),
                uid=_NOBODY if os.geteuid() == 0 else None,
            )
            os.write(writing, "\n".join(apply_sandbox(policy, lambda: None).missing).encode())
            status = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            raise
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as stream:
        missing = stream.read().decode().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return missing if status == 0 else [f"all layers: the process that tried them ended with status {status}"]


def join_cgroup(directory: str) -> list[str]:
    """Move this process to a cgroup. Return what is missing, if that fails."""
    try:
        Path(directory, "cgroup.procs").write_text("0")
    except OSError as error:
        return [f"cgroup: {error.strerror}"]
    return []


def limit_memory(memory_mb: int) -> None:
    """Allow this process `memory_mb` MiB of private memory beyond its current use; more is a MemoryError."""
    with open("/proc/self/statm", "rb") as statm:
        used = int(statm.read().split()[5]) * resource.getpagesize()
    _set_limit(resource.RLIMIT_DATA, used + memory_mb * MIB)


def prefer_oom_kill() -> None:
    """Raise the OOM score of this process and its future children, so that the kernel kills them first."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as score:
        score.write(b"1000")


def hide_memory() -> None:
    """Deny other processes of this user access to this one's memory and environment. Linux only."""
    if kernel.IS_LINUX:
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def python_paths() -> tuple[Path, ...]:
    """Return the directories that this interpreter imports from, without nested ones."""
    directories = {Path(name).resolve() for name in (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path) if name}
    found: list[Path] = []
    for directory in sorted(filter(Path.is_dir, directories)):
        if not any(directory.is_relative_to(outer) for outer in found):
            found.append(directory)
    return tuple(found)


def certificate_files(env: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files with certificates of authorities that OpenSSL's settings name. They need not exist.

    Of a directory these are the files in it that every user may read, because it may also hold private keys.
    """
    file, directories = (env.get(name, "") for name in CERTIFICATES)
    if file:
        yield Path(file)
    for directory in filter(None, directories.split(os.pathsep)):
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_file() and entry.stat().st_mode & stat.S_IROTH:
                        yield Path(entry.path)


def _set_limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))
