"""Access tokens of the management API, stored as hashes."""

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
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


def new_token() -> str:
    """Generate an access token."""
    return f"sbp_{secrets.token_hex(20)}"


def hash_of(token: str) -> bytes:
    """Return the hash to store. 160 random bits need neither a salt nor a slow hash."""
    return sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """The access tokens in the environment's database."""

    database: Database
    clock: Clock

    async def create(self, name: str) -> str:
        """Create a token and return it; only its hash is stored. `name` says who uses it."""
        token = new_token()
        await self._add(name, token)
        return token

    async def local(self, home: Path) -> str:
        """Return the token of the local stack in `home`. The first call creates it."""
        token = read_or_create(home / _LOCAL_FILE, new_token())
        await self._add(LOCAL_NAME, token)
        return token

    async def find(self, token: str) -> FoundToken | None:
        """Return a token's record, None if it is unknown or revoked.

        Looks it up by its hash, so that the response time reveals nothing about existing tokens.
        """
        if not TOKEN.match(token):
            return None
        now = self.clock.now()
        async with self.database.transaction() as connection:
            found = await secret_queries.find_token(connection, token_sha256=hash_of(token))
            if found is not None and (found.last_used_at is None or now - found.last_used_at > _USE_RECORDED_EVERY):
                await secret_queries.record_token_use(connection, id=found.id, now=now)
        return found

    async def all(self) -> list[AccessTokenRow]:
        """Return all tokens, newest first."""
        async with self.database.transaction() as connection:
            return await secret_queries.list_tokens(connection)

    async def revoke(self, given: str) -> list[RevokedToken]:
        """Revoke the token with this id, or all tokens with this name. Returns the revoked ones."""
        async with self.database.transaction() as connection:
            return await secret_queries.revoke_tokens(connection, given=given, now=self.clock.now())

    async def _add(self, name: str, token: str) -> None:
        now = self.clock.now()
        async with self.database.transaction() as connection:
            await secret_queries.add_token(connection, id=new_id(now), name=name, token_sha256=hash_of(token), now=now)
