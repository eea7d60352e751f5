"""Limits sign-in attempts per client, network and email address and in total, across all processes."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final

from outdial.clock import Clock
from outdial.db.queries.auth import sessions
from outdial.db.session import Database
from outdial.net import network_of

WINDOW: Final = timedelta(minutes=15)
# A client is an IPv4 address or an IPv6 /64, which one machine can have to itself; a network is a /24 or a /48.
MOST_FOR_CLIENT: Final = 60
MOST_FOR_NETWORK: Final = 300
MOST_FOR_EMAIL: Final = 10
# Reached only by failed attempts from at least ten networks: successful ones are given back.
MOST_IN_TOTAL: Final = 3000
_FORGET_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class ThrottleSubject:
    """What attempts are counted for, hashed, and its limit."""

    digest: bytes
    limit: int


class SignInThrottle:
    """Counts attempts before the password check, so that parallel attempts cannot exceed the limit."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def wait_for(self, email: str, client: str) -> timedelta | None:
        """Count an attempt. Return how long to wait when there were too many, else None.

        An attempt that one limit refuses does not count for the next, so a single client can lock out neither the users
        whose addresses it makes up, nor its network, nor everyone.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            for subject in _subjects(email, client):
                row = await sessions.count_attempt(
                    connection, subject_sha256=subject.digest, now=now, before=now - WINDOW
                )
                if row.count > subject.limit:
                    return max(timedelta(seconds=1), row.began_at + WINDOW - now)
        return None

    async def give_back(self, email: str, client: str, *, signed_in: bool) -> None:
        """Take back an attempt that did no harm. After a sign-in, also delete the user's earlier ones, and old ones."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            for subject in _subjects(email, client):
                await sessions.return_attempt(connection, subject_sha256=subject.digest)
            if signed_in:
                digest = sha256(f"email:{email}".encode()).digest()
                await sessions.delete_attempts(
                    connection, subject_sha256=digest, before=now - WINDOW, limit=_FORGET_AT_ONCE
                )


def _subjects(email: str, client: str) -> list[ThrottleSubject]:
    """Return the subjects of an attempt, in the order in which all attempts lock their rows."""
    names = [
        (f"client:{network_of(client)}", MOST_FOR_CLIENT),
        (f"network:{network_of(client, ipv4_bits=24, ipv6_bits=48)}", MOST_FOR_NETWORK),
        (f"email:{email}", MOST_FOR_EMAIL),
        ("total", MOST_IN_TOTAL),
    ]
    return [ThrottleSubject(sha256(name.encode()).digest(), limit) for name, limit in names if not name.endswith(":")]
