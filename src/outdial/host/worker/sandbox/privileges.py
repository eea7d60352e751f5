"""Drops root privileges and capabilities, and enters a user namespace."""

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from outdial.host.worker.sandbox import kernel

# linux/capability.h
DAC_READ_SEARCH = 2
_CAPSET = {"x86_64": 126, "aarch64": 91}
_VERSION_3 = 0x20080522
_UNSHARE = {"x86_64": 272, "aarch64": 97}
_CLONE_NEWUSER = 0x10000000
# The first kernel that counts a user's processes separately in each user namespace.
_COUNTS_PER_NAMESPACE = (5, 14)
_OTHERS_MAY_ENTER, _OTHERS_MAY_READ = 0o001, 0o004


def become(uid: int, *, keep: frozenset[int] = frozenset()) -> None:
    """Switch to an ordinary user without groups. Requires root. Raises OSError."""
    kernel.prctl(kernel.PR_SET_KEEPCAPS, 1 if keep else 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    kernel.prctl(kernel.PR_SET_KEEPCAPS, 0)


def enter_user_namespace() -> bool:
    """Move this single-threaded process to a new user namespace, where RLIMIT_NPROC counts nothing else.

    Its user stays the same. Return False where that does not help (for root, on old kernels) or is not allowed. The
    caller drops the capabilities that the process has in the namespace, and hides its memory again.
    """
    if kernel.MACHINE is None or os.geteuid() == 0 or kernel.release() < _COUNTS_PER_NAMESPACE:
        return False
    uid, gid = os.geteuid(), os.getegid()
    try:
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # otherwise the files below belong to root
        kernel.syscall(_UNSHARE[kernel.MACHINE], _CLONE_NEWUSER)
    except OSError:
        return False
    with suppress(OSError):  # without them only getuid() differs
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path("/proc/self", name).write_text(text)
    return True


def drop_capabilities(*, keep: frozenset[int] = frozenset()) -> None:
    """Drop every capability except `keep` irreversibly. Raises OSError."""
    if kernel.MACHINE is None:
        raise OSError("the system calls of this machine are not known")
    bits = sum(1 << number for number in keep)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0), 8)
    sets = ctypes.create_string_buffer(struct.pack("=6I", low, low, 0, high, high, 0), 24)
    kernel.syscall(_CAPSET[kernel.MACHINE], kernel.address(header), kernel.address(sets))


def closed_to_others(paths: Iterable[Path]) -> Path | None:
    """Return the first directory on the path to `paths` that an ordinary user cannot enter or read, if any."""
    seen: set[Path] = set()
    for path in paths:
        for directory in (path, *path.parents):
            if directory in seen:
                continue
            seen.add(directory)
            needed = _OTHERS_MAY_ENTER | (_OTHERS_MAY_READ if directory == path else 0)
            try:
                mode = os.stat(directory).st_mode
            except OSError:
                continue
            if mode & needed != needed:
                return directory
    return None
