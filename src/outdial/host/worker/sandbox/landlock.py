"""Landlock: restricts a process to listed files (kernel documentation: userspace-api/landlock)."""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from outdial.host.worker.sandbox import kernel

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REG, _MAKE_SYM = 1 << 7, 1 << 8, 1 << 12
_REFER, _TRUNCATE = 1 << 13, 1 << 14

_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE

# The number of file rights that each version can deny: 13, then also renaming out of a directory, truncating, and
# device ioctls. Version 4 adds TCP, version 6 abstract sockets and signals to processes outside.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
RESTRICTS_TRUNCATION = 3
_BIND_TCP = 1
_FOREIGN_SOCKETS, _FOREIGN_SIGNALS = 1, 2


def version() -> int:
    """Return the version of the kernel's interface; 0 when Landlock is missing or disabled."""
    try:
        return kernel.syscall(_CREATE, 0, 0, _VERSION)
    except OSError:
        return 0


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> int:
    """Restrict this process to these files and directory trees; return the version of the interface.

    The process can also execute nothing, listen on no TCP port, and signal or trace no outside process, as far as the
    version supports it. Missing paths are ignored. Requires `no_new_privs`. Raises OSError without Landlock.
    """
    newest = kernel.syscall(_CREATE, 0, 0, _VERSION)
    handled = (1 << _FILE_RIGHTS[min(newest, max(_FILE_RIGHTS))]) - 1
    words = [handled]
    if newest >= 4:
        words.append(_BIND_TCP)
    if newest >= 6:
        words.append(_FOREIGN_SOCKETS | _FOREIGN_SIGNALS)
    attributes = struct.pack(f"{len(words)}Q", *words)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = kernel.syscall(_CREATE, kernel.address(buffer), len(attributes), 0)
    try:
        for paths, rights in ((readable, _READ), (writable, _WRITE)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        kernel.syscall(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    return newest


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, descriptor)
        buffer = ctypes.create_string_buffer(rule, len(rule))
        kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, kernel.address(buffer), 0)
    finally:
        os.close(descriptor)
