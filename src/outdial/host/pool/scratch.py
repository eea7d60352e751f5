"""Writable directories of workers. They are removed with their gateway, or by the next gateway if it was killed."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

_PREFIX = "outdial-workers-"


class ScratchDirectory:
    """A directory that is locked while this process lives."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls) -> Self:
        """Create a directory, and remove those of killed processes. Raise OSError."""
        for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            descriptor = _lock(path)
            if descriptor is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(descriptor)
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            # Workers of other users must pass through it to their own directories.
            path.chmod(0o711)
            descriptor = _lock(path)
            # Another process may have removed it before it was locked.
            if descriptor is not None and path.is_dir():
                return cls(path, descriptor)

    def create_for_worker(self, name: str, uid: int | None) -> Path:
        """Create the directory of one worker, owned by the user `uid` if given. Raise OSError."""
        path = self.path / name
        path.mkdir(0o700)
        if uid is not None:
            os.chown(path, uid, uid)
        return path

    def remove_for_worker(self, name: str) -> None:
        """Remove the directory of one worker and its contents."""
        shutil.rmtree(self.path / name, ignore_errors=True)

    def remove(self) -> None:
        """Remove the whole directory."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)


def _lock(path: Path) -> int | None:
    """Lock a directory of this user; return None when another user owns it, another process locks it, or it is gone."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
    return None
