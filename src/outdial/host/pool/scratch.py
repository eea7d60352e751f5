"""Writable directories of workers. They are removed with their gateway, or by the next gateway if it was killed."""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from outdial.host.pool.removal import allow_owner, remove_tree
from outdial.log import log

_PREFIX = "outdial-workers-"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# Workers of other users must pass through it to their own directories.
_MODE = 0o711
# How long removing may take: one worker's directory, all of them when the gateway stops, and those of killed gateways
# when it starts. What is left then goes when the next gateway starts.
_REMOVE_WORKER_S = 30.0
_CLOSE_S = 5.0
_SWEEP_S = 10.0


class ScratchDirectory:
    """A directory that is locked while this process lives.

    Functions fill it with whatever they like, so nothing here raises when something cannot be removed.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._close_at = float("inf")

    @classmethod
    def create(cls) -> Self:
        """Create a directory, and remove those of killed processes. Raise OSError."""
        until = time.monotonic() + _SWEEP_S
        for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            descriptor = _lock(path)
            if descriptor is not None:
                _remove(path, lambda: time.monotonic() < until)
                os.close(descriptor)
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            path.chmod(_MODE)
            descriptor = _lock(path)
            # Another process may have removed it before it was locked.
            if descriptor is not None and path.is_dir():
                return cls(path, descriptor)

    def create_for_worker(self, name: str, uid: int | None) -> Path:
        """Create the directory of one worker, owned by the user `uid` if given. Raise OSError."""
        # A function that runs as our user may have changed the mode: Landlock does not cover chmod.
        os.fchmod(self._descriptor, _MODE)
        path = self.path / name
        path.mkdir(0o700)
        if uid is not None:
            os.chown(path, uid, uid)
        return path

    def remove_for_worker(self, name: str) -> None:
        """Remove the directory of one worker and its contents, if it exists."""
        until = time.monotonic() + _REMOVE_WORKER_S
        with suppress(OSError):
            os.fchmod(self._descriptor, _MODE)
        _remove(self.path / name, lambda: time.monotonic() < min(until, self._close_at))

    def close_soon(self) -> None:
        """Give all removals, including that of the whole directory, a few seconds from now on."""
        self._close_at = min(self._close_at, time.monotonic() + _CLOSE_S)

    def remove(self) -> None:
        """Remove the whole directory."""
        self.close_soon()
        _remove(self.path, lambda: time.monotonic() < self._close_at)
        os.close(self._descriptor)
        self._descriptor = -1


def _remove(path: Path, may_continue: Callable[[], bool]) -> None:
    try:
        remove_tree(path, may_continue)
    except FileNotFoundError:
        pass
    except Exception as error:  # it must stop neither a start nor another removal
        log("host.scratch_left", level="warning", path=str(path), reason=str(error))


def _lock(path: Path) -> int | None:
    """Lock a directory of this user; return None when another user owns it, another process locks it, or it is gone."""
    with suppress(OSError):
        try:
            descriptor = os.open(path, _FLAGS)
        except PermissionError:
            allow_owner(path, mode=_MODE)
            descriptor = os.open(path, _FLAGS)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
    return None
