"""Passwords are kept as argon2id hashes (RFC 9106), made and checked in threads, a few at a time."""

import asyncio
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST: Final = 8
LONGEST: Final = 512
# Each check takes 64 MiB and some 50 ms of one core: more at once would only starve those who wait for a page.
_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """Whether a password fits; `better` is its hash under today's parameters when the kept one is weaker."""

    fits: bool
    better: str | None = None


class PasswordHashing:
    """Hashes and checks passwords. A check takes as long for somebody who does not exist as for somebody who does."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """Return what is kept of `password`."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, kept: str | None, password: str) -> PasswordCheck:
        """Compare `password` with the kept hash; None, nobody's, is compared with a hash that nothing fits."""
        if len(password) > LONGEST:
            return PasswordCheck(False)
        async with self._turn:
            return await asyncio.to_thread(self._check, kept, password)

    def _check(self, kept: str | None, password: str) -> PasswordCheck:
        if kept is None:
            self._fits(self._of_nobody(), password)
            return PasswordCheck(False)
        if not self._fits(kept, password):
            return PasswordCheck(False)
        return PasswordCheck(True, self._hasher.hash(password) if self._hasher.check_needs_rehash(kept) else None)

    def _fits(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    def _of_nobody(self) -> str:
        if self._nobody is None:
            self._nobody = self._hasher.hash("a password that nobody has")
        return self._nobody
