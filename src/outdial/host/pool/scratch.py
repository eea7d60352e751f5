"""Where workers write: a directory that goes with its gateway, or with the next gateway when that one was killed."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

_PREFIX = "outdial-workers-"


class ScratchDirectory:
    """A directory that is locked as long as this process lives."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor

    @classmethod
    def make(cls) -> Self:
        """Make one, and remove those whose processes were killed; raise OSError."""
        _sweep(Path(tempfile.gettempdir()))
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            # Workers of other users pass through it to their own.
            path.chmod(0o711)
            descriptor = _lock(path)
            # Another process may have swept it away before it was locked.
            if descriptor is not None and path.is_dir():
                return cls(path, descriptor)

    def make_one(self, name: str, uid: int | None) -> Path:
        """Make a directory for one worker, of the user `uid` where given; raise OSError."""
        path = self.path / name
        path.mkdir(0o700)
        if uid is not None:
            os.chown(path, uid, uid)
        return path

    def remove_one(self, name: str) -> None:
        """Remove the directory of one worker with what is in it."""
        shutil.rmtree(self.path / name, ignore_errors=True)

    def remove(self) -> None:
        """Remove the whole."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        descriptor = _lock(path)
        if descriptor is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def _lock(path: Path) -> int | None:
    """Lock a directory of this user; None when it is another's, or gone."""
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
