"""Hashes passwords with argon2id (RFC 9106), in threads, a few at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST: Final = 8
LONGEST: Final = 512
# Each check takes 64 MiB and some 50 ms of a core. More in parallel would starve other requests.
_PARALLEL: Final = 2
# The last in the queue then waits about a second.
MOST_WAITING: Final = 32


class PasswordQueueFull(Exception):
    """Too many passwords are being hashed or checked at the moment."""


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """Whether a password matches. `new_hash` uses the current parameters when the stored hash is weaker."""

    matches: bool
    new_hash: str | None = None


class PasswordHashing:
    """Hashes and checks passwords. A check takes equally long for an unknown user."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._semaphore = asyncio.Semaphore(_PARALLEL)
        self._pending = 0
        self._dummy_hash: str | None = None

    async def hash(self, password: str) -> str:
        """Return the hash of `password`. Raise PasswordQueueFull when too many wait."""
        async with self._slot():
            return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, stored: str | None, password: str) -> PasswordCheck:
        """Compare `password` with the `stored` hash. None, for an unknown user, is compared with a dummy hash.

        Raises PasswordQueueFull when too many wait.
        """
        if len(password) > LONGEST:
            return PasswordCheck(False)
        async with self._slot():
            return await asyncio.to_thread(self._check, stored, password)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._pending >= _PARALLEL + MOST_WAITING:
            raise PasswordQueueFull
        self._pending += 1
        try:
            async with self._semaphore:
                yield
        finally:
            self._pending -= 1

    def _check(self, stored: str | None, password: str) -> PasswordCheck:
        if stored is None:
            if self._dummy_hash is None:
                self._dummy_hash = self._hasher.hash("a password of no user")
            self._matches(self._dummy_hash, password)
            return PasswordCheck(False)
        if not self._matches(stored, password):
            return PasswordCheck(False)
        return PasswordCheck(True, self._hasher.hash(password) if self._hasher.check_needs_rehash(stored) else None)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
