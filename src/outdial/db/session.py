"""Pools that connect as one login role, and transactions that carry an identity for their own length only."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Literal, Self
from uuid import UUID

import asyncpg
import msgspec

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Role = Literal["anon", "authenticated", "service_role"]
ROLES: frozenset[str] = frozenset({"anon", "authenticated", "service_role"})
SERVICE: Mapping[str, object] = {"role": "service_role"}

_open_transactions: ContextVar[int] = ContextVar("open_transactions", default=0)

# As PostgREST does it: the settings end with the transaction. The older ones, which auth.uid() prefers, are emptied,
# for a function may have set one for the length of its session, which the pool hands on.
_ASSUME = """
select set_config('request.jwt.claims', $1, true), set_config('role', $2, true),
  set_config('request.jwt.claim', '', true), set_config('request.jwt.claim.sub', '', true),
  set_config('request.jwt.claim.role', '', true), set_config('request.jwt.claim.email', '', true)
"""
_DECLARE = "select set_config('outdial.organization_id', $1, true)"


def assert_no_transaction() -> None:
    """Raise when the current task has a transaction open: no request to Retell is awaited inside one."""
    if _open_transactions.get():
        raise RuntimeError("a request to the provider was about to leave while a transaction is open")


async def _keep_session(connection: asyncpg.Connection) -> None:
    """Replace the pool's reset, a round trip per use: every setting we make is local to its transaction."""


class Database:
    """A pool of connections that log in as one role."""

    def __init__(self, pool: asyncpg.Pool, dsn: str) -> None:
        self.pool = pool
        self.dsn = dsn

    @classmethod
    async def connect(
        cls, dsn: str, *, application_name: str, min_size: int = 0, max_size: int = 10, role: str | None = None
    ) -> Self:
        """Open a pool at `dsn`; `role`, where the login may assume it, becomes the role of every connection."""
        settings = {"application_name": application_name, "timezone": "UTC"}
        if role is not None:
            settings["role"] = role
        pool = await asyncpg.create_pool(
            dsn, min_size=min_size, max_size=max_size, reset=_keep_session, server_settings=settings
        )
        return cls(pool, dsn)

    async def close(self) -> None:
        """Close every connection, after the work under way has ended."""
        await self.pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction as the login role."""
        async with self.pool.acquire() as connection, connection.transaction():
            token = _open_transactions.set(_open_transactions.get() + 1)
            try:
                yield connection
            finally:
                _open_transactions.reset(token)

    @asynccontextmanager
    async def as_caller(self, role: Role, claims: Mapping[str, object]) -> AsyncIterator[Connection]:
        """Open a transaction as `role` with the JWT's `claims`, so that row level security sees the caller."""
        if role not in ROLES:
            raise ValueError(f"no caller may assume the role {role!r}")
        async with self.transaction() as connection:
            await connection.execute(_ASSUME, msgspec.json.encode(claims).decode(), role)
            yield connection

    @asynccontextmanager
    async def as_service(self) -> AsyncIterator[Connection]:
        """Open a transaction as `service_role`, which sees every organization: for operators' own tools."""
        async with self.as_caller("service_role", SERVICE) as connection:
            yield connection

    @asynccontextmanager
    async def for_organization(self, organization_id: UUID) -> AsyncIterator[Connection]:
        """Open a transaction that sees the rows of one organization, as the dialer does."""
        async with self.transaction() as connection:
            await connection.execute(_DECLARE, str(organization_id))
            yield connection


def encode_json(value: Any) -> str:
    """Return `value` as text for a jsonb parameter."""
    return msgspec.json.encode(value).decode()
