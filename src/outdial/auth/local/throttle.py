"""Limits sign-in attempts per email address and per client, across all processes."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final

from outdial.clock import Clock
from outdial.db.queries.auth import sessions
from outdial.db.session import Database

WINDOW: Final = timedelta(minutes=15)
MOST_FOR_EMAIL: Final = 10
MOST_FOR_CLIENT: Final = 60
_FORGET_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class ThrottleSubject:
    """An email address or a client, hashed, and its limit."""

    digest: bytes
    limit: int


class SignInThrottle:
    """Counts attempts before the password check, so that parallel attempts cannot exceed the limit."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def wait_for(self, email: str, client: str) -> timedelta | None:
        """Count an attempt. Return how long to wait when there were too many, else None."""
        now = self._clock.now()
        subjects = [_subject(f"email:{email}", MOST_FOR_EMAIL)]
        if client:
            subjects.append(_subject(f"client:{client}", MOST_FOR_CLIENT))
        async with self._database.transaction() as connection:
            # In a fixed order, so that two attempts cannot deadlock.
            rows = [
                (
                    subject,
                    await sessions.count_attempt(
                        connection, subject_sha256=subject.digest, now=now, before=now - WINDOW
                    ),
                )
                for subject in sorted(subjects, key=lambda subject: subject.digest)
            ]
        waits = [row.began_at + WINDOW - now for subject, row in rows if row.count > subject.limit]
        return max(timedelta(seconds=1), *waits) if waits else None

    async def forgive(self, email: str) -> None:
        """Delete the attempts of a user who has signed in, and expired ones."""
        subject, now = _subject(f"email:{email}", MOST_FOR_EMAIL), self._clock.now()
        async with self._database.transaction() as connection:
            await sessions.delete_attempts(
                connection, subject_sha256=subject.digest, before=now - WINDOW, limit=_FORGET_AT_ONCE
            )


def _subject(name: str, limit: int) -> ThrottleSubject:
    return ThrottleSubject(sha256(name.encode()).digest(), limit)
