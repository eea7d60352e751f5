"""Removes directories that untrusted code has filled: any depth, any permissions, no links followed."""

import itertools
import os
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class TreeRemoval:
    """The removal of all that a directory contains, in constant memory and with three descriptors.

    It moves each subdirectory up into the directory `top` and removes it there, so the depth does not matter: paths
    never grow, and nothing recurses. `failure` is the last error. Stops early when `may_continue` returns False.
    """

    def __init__(self, top: int, may_continue: Callable[[], bool]) -> None:
        self.failure: OSError | None = None
        self._top = top
        self._may_continue = may_continue
        self._changes = 0
        # The directory may already contain any name that can be guessed.
        prefix = secrets.token_hex(8)
        self._names = (f"{prefix}-{number}" for number in itertools.count())

    def run(self) -> None:
        """Empty the directory as far as possible."""
        changes = -1
        while changes != self._changes and self._may_continue():
            changes = self._changes
            self.failure = None
            self._empty(self._top, self._remove_directory)

    def _empty(self, directory: int, on_directory: Callable[[str, int], None]) -> None:
        with os.scandir(directory) as entries:
            for entry in entries:
                if not self._may_continue():
                    self.failure = TimeoutError("removing it takes too long")
                    return
                try:
                    if entry.is_dir(follow_symlinks=False):
                        on_directory(entry.name, directory)
                    else:
                        os.unlink(entry.name, dir_fd=directory)
                    self._changes += 1
                except OSError as error:  # the others can go nevertheless
                    self.failure = error

    def _remove_directory(self, name: str, parent: int) -> None:
        directory = open_directory(name, parent)
        try:
            self._empty(directory, self._move_up)
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=parent)

    def _move_up(self, name: str, parent: int) -> None:
        # The kernel changes the directory's entry "..", so moving it requires the right to write to it.
        allow_owner(name, parent)
        os.rename(name, next(self._names), src_dir_fd=parent, dst_dir_fd=self._top)


def remove_tree(path: Path, may_continue: Callable[[], bool]) -> None:
    """Remove a directory and all that it contains. Raise OSError, at the end, if something is left.

    Nothing is removed any more after `may_continue` has returned False: a process that still runs could add files for
    ever.
    """
    top = open_directory(path)
    try:
        removal = TreeRemoval(top, may_continue)
        removal.run()
    finally:
        os.close(top)
    if removal.failure is not None:
        raise removal.failure
    os.rmdir(path)


def open_directory(name: str | Path, parent: int | None = None) -> int:
    """Open a directory, which must not be a link, after giving its owner all rights. Raise OSError."""
    allow_owner(name, parent)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def allow_owner(name: str | Path, parent: int | None = None, mode: int = 0o700) -> None:
    """Give a directory, which must not be a link, these permissions, if possible. Raise OSError when it is gone."""
    if sys.platform != "linux":
        with suppress(OSError):
            os.chmod(name, mode, dir_fd=parent, follow_symlinks=False)
        return
    # Only O_PATH opens a directory without permissions, and chmod by name would follow a link put in its place.
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        if os.fstat(descriptor).st_mode & mode != mode:
            with suppress(OSError):  # opening it will fail, if it matters
                os.chmod(f"/proc/self/fd/{descriptor}", mode)
    finally:
        os.close(descriptor)
