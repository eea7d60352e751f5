"""The system calls that Python has no function for. Each raises OSError with the kernel's own errno."""

import ctypes
import errno
import os
import platform

# The machines whose numbers of system calls we know, by each of their names.
_NAMES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
MACHINE = _NAMES.get(platform.machine().lower())
IS_LINUX = platform.system() == "Linux"

PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, argument: int = 0) -> int:
    """Change something about this process (man 2 prctl)."""
    if not IS_LINUX:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return _checked(_libc.prctl(option, *map(ctypes.c_ulong, (argument, 0, 0, 0))))


def set_name(name: str) -> None:
    """Give this process the name that `top` shows, of which the kernel keeps 15 bytes."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    prctl(PR_SET_NAME, ctypes.addressof(buffer))


def syscall(number: int, *arguments: int | ctypes.c_void_p) -> int:
    """Make a system call by its number."""
    if not IS_LINUX:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words))


def address(buffer: ctypes.Array[ctypes.c_char]) -> ctypes.c_void_p:
    """Return where `buffer` lies; keep it alive during the call."""
    return ctypes.c_void_p(ctypes.addressof(buffer))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
