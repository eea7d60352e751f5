"""System calls that Python does not wrap. Each raises OSError with the kernel's errno."""

import ctypes
import errno
import os
import platform
import re

# Machines whose system call numbers we know, by each of their names.
_NAMES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
MACHINE = _NAMES.get(platform.machine().lower())
IS_LINUX = platform.system() == "Linux"

PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, argument: int = 0) -> int:
    """Call prctl(2) on this process."""
    if not IS_LINUX:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return _checked(_libc.prctl(option, *map(ctypes.c_ulong, (argument, 0, 0, 0))))


def release() -> tuple[int, int]:
    """Return major and minor version of the kernel; (0, 0) if its release has none."""
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return (int(found[1]), int(found[2])) if found else (0, 0)


def set_name(name: str) -> None:
    """Set the process name that `top` shows; the kernel keeps 15 bytes of it."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    prctl(PR_SET_NAME, ctypes.addressof(buffer))


def syscall(number: int, *arguments: int | ctypes.c_void_p) -> int:
    """Make the system call `number`."""
    if not IS_LINUX:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words))


def address(buffer: ctypes.Array[ctypes.c_char]) -> ctypes.c_void_p:
    """Return the address of `buffer`. The caller keeps the buffer alive during the call."""
    return ctypes.c_void_p(ctypes.addressof(buffer))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
