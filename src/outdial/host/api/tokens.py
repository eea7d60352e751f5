"""Access tokens of the management API, stored as hashes."""

import asyncio
import re
import secrets
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from outdial.clock import Clock
from outdial.db.queries.host import secrets as secret_queries
from outdial.db.queries.host.secrets import AccessTokenRow, FoundToken, RevokedToken
from outdial.db.session import Database
from outdial.domain.ids import new_id
from outdial.host.deployments.secrets import read_or_create

# The format that Supabase's CLI requires (supabase/cli, access token).
TOKEN = re.compile(r"sbp_[0-9a-f]{40}\Z")
LOCAL_NAME = "local stack"
_USE_RECORDED_EVERY = timedelta(minutes=1)
_LOCAL_FILE = "access-token"
_LOOKED_UP_AT_ONCE = 1_000


class TokenScope(StrEnum):
    """What a token allows besides reading the project and the list of its functions."""

    DEPLOY = "deploy"
    SECRETS = "secrets"
    LOGS = "logs"


def new_token() -> str:
    """Generate an access token."""
    return f"sbp_{secrets.token_hex(20)}"


def hash_of(token: str) -> bytes:
    """Return the hash to store. 160 random bits need neither a salt nor a slow hash."""
    return sha256(token.encode()).digest()


class AccessTokens:
    """The access tokens in the environment's database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: list[tuple[bytes, asyncio.Future[FoundToken | None]]] = []
        self._lookup: asyncio.Task[None] | None = None

    async def create(
        self, name: str, scopes: Iterable[TokenScope] = tuple(TokenScope), lifetime: timedelta | None = None
    ) -> str:
        """Create a token and return it; only its hash is stored. `name` says who uses it.

        Without a `lifetime` it never expires.
        """
        token = new_token()
        await self._add(name, token, scopes, lifetime)
        return token

    async def local(self, home: Path) -> str:
        """Return the token of the local stack in `home`. The first call creates it."""
        token = read_or_create(home / _LOCAL_FILE, new_token())
        await self._add(LOCAL_NAME, token, TokenScope, None)
        return token

    async def find(self, token: str) -> FoundToken | None:
        """Return a token's record, None if it is unknown or revoked. An expired one is found.

        Looks it up by its hash, so that the response time reveals nothing about existing tokens.
        """
        if not TOKEN.match(token):
            return None
        found: asyncio.Future[FoundToken | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((hash_of(token), found))
        if self._lookup is None or self._lookup.done():
            self._lookup = asyncio.create_task(self._look_up(), name="look up access tokens")
        return await found

    def is_expired(self, token: FoundToken) -> bool:
        """Return whether a token has expired."""
        return token.expires_at is not None and token.expires_at <= self._clock.now()

    async def all(self) -> list[AccessTokenRow]:
        """Return all tokens, newest first."""
        async with self._database.transaction() as connection:
            return await secret_queries.list_tokens(connection)

    async def revoke(self, given: str) -> list[RevokedToken]:
        """Revoke the token with this id, or all tokens with this name. Returns the revoked ones."""
        async with self._database.transaction() as connection:
            return await secret_queries.revoke_tokens(connection, given=given, now=self._clock.now())

    async def _add(self, name: str, token: str, scopes: Iterable[TokenScope], lifetime: timedelta | None) -> None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await secret_queries.add_token(
                connection,
                id=new_id(now),
                name=name,
                token_sha256=hash_of(token),
                now=now,
                scopes=[str(scope) for scope in scopes],
                expires_at=None if lifetime is None else now + lifetime,
            )

    async def _look_up(self) -> None:
        """Look up all waiting hashes with one query, until none is waiting.

        Anyone can send unknown tokens. However many arrive, their look-ups take one connection, and a valid token waits
        for two queries at most.
        """
        while self._waiting:
            batch = self._waiting[:_LOOKED_UP_AT_ONCE]
            self._waiting = self._waiting[_LOOKED_UP_AT_ONCE:]
            try:
                now = self._clock.now()
                async with self._database.transaction() as connection:
                    rows = await secret_queries.find_tokens(connection, hashes=[key for key, _ in batch])
                    used = [
                        row.id
                        for row in rows
                        if row.last_used_at is None or now - row.last_used_at > _USE_RECORDED_EVERY
                    ]
                    if used:
                        await secret_queries.record_token_uses(connection, ids=used, now=now)
            except Exception as error:
                for _, waiter in batch:
                    if not waiter.done():
                        waiter.set_exception(error)
                continue
            found = {row.token_sha256: row for row in rows}
            for key, waiter in batch:
                if not waiter.done():
                    waiter.set_result(found.get(key))
