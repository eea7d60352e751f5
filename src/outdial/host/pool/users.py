"""Gives each function its own system user, on a host that runs as root."""

import fcntl
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from outdial.log import log

# By convention unused: above the uids of human users, below those that systemd allocates.
WORKER_UIDS: Sequence[int] = range(50_000, 60_000)


class WorkerUsers:
    """The system users of functions: one for the workers of each. No two functions share one.

    They are kept in `file`, which all hosts of this machine with the same home share. Without it, the users differ only
    within this process.
    """

    def __init__(self, file: Path, uids: Sequence[int] = WORKER_UIDS) -> None:
        self._file = file
        self._uids = uids
        self._own: dict[str, int] = {}

    def uid_of(self, slug: str) -> int:
        """Return the user of a function: the same one for as long as the file exists."""
        if slug in self._own:
            return self._own[slug]
        kept: dict[str, int] = {}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                with suppress(ValueError):  # it is new, or its last writer was killed
                    kept = json.load(file)
                kept |= self._own
                if slug not in kept:
                    if len(kept) >= len(self._uids):  # of functions that are long gone
                        kept = dict(self._own)
                    kept[slug] = self._choose(slug, kept)
                    file.seek(0)
                    file.truncate()
                    json.dump(kept, file)
        except OSError as error:
            log("host.users_not_kept", level="warning", file=str(self._file), reason=str(error))
        self._own[slug] = kept[slug] if slug in kept else self._choose(slug, self._own)
        return self._own[slug]

    def _choose(self, slug: str, kept: dict[str, int]) -> int:
        """Return a free user. It is the same on most machines, because hashes of two names seldom collide."""
        taken = set(kept.values())
        first = crc32(slug.encode()) % len(self._uids)
        order = (self._uids[(first + step) % len(self._uids)] for step in range(len(self._uids)))
        return next((uid for uid in order if uid not in taken), self._uids[first])
