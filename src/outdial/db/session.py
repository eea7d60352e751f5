"""Connection pools that log in as one role, and transactions that act as a caller."""

import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Self
from uuid import UUID

import asyncpg
import msgspec

from outdial.db.connect import (
    CONNECT_TIMEOUT_S,
    assume_role,
    refuse_transaction_pooling,
    refuse_transaction_port,
    watch_socket,
)

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Role = Literal["anon", "authenticated", "service_role"]
ROLES: frozenset[str] = frozenset({"anon", "authenticated", "service_role"})
SERVICE: Mapping[str, object] = {"role": "service_role"}
LockNotAvailable = asyncpg.LockNotAvailableError
"""A statement waited for a lock for longer than its session may."""
CONNECTION_ERRORS: Final = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""The connection is lost, which says nothing about the work that used it."""
_LOST: Final = (TimeoutError, ConnectionError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError)

_open_transactions: ContextVar[int] = ContextVar("open_transactions", default=0)

# Like PostgREST, these settings end with the transaction. auth.uid() prefers the older settings below. They are
# cleared, because a function may have set one for its session, and the pool reuses sessions.
_ASSUME = """
select set_config('request.jwt.claims', $1, true), set_config('role', $2, true),
  set_config('request.jwt.claim', '', true), set_config('request.jwt.claim.sub', '', true),
  set_config('request.jwt.claim.role', '', true), set_config('request.jwt.claim.email', '', true)
"""
_ASSUME_IMPATIENT = f"{_ASSUME.rstrip()}, set_config('lock_timeout', $3, true)"
_DECLARE = "select set_config('outdial.organization_id', $1, true)"
_DECLARE_IMPATIENT = f"{_DECLARE}, set_config('lock_timeout', $2, true)"
_MILLISECOND = timedelta(milliseconds=1)

_SERVER_DEADLINE: Final = timedelta(seconds=5)
"""Postgres ends a statement at its own timeout. Without a response this much later, the server has vanished."""

# The server ends connections to clients that vanish as `watch_socket` does to servers.
_SERVER_KEEPALIVE = (
    "set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3;"
    " set tcp_user_timeout = 20000; "
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimeouts:
    """How long a session may keep others waiting, enforced by Postgres; zero means without end.

    Postgres ends a session that stands still within a transaction, such as that of a stopped process, and its locks are
    free again. A statement that waits for a lock or runs for too long fails.
    """

    idle_in_transaction: timedelta
    lock: timedelta
    statement: timedelta

    @property
    def command_s(self) -> float | None:
        """Seconds until a statement without a response counts as lost; None if statements have no limit."""
        return (self.statement + _SERVER_DEADLINE).total_seconds() if self.statement else None

    @property
    def settings(self) -> str:
        """The statements that put the timeouts in force."""
        return (
            f"{_SERVER_KEEPALIVE}"
            f"set idle_in_transaction_session_timeout = {self.idle_in_transaction // _MILLISECOND}; "
            f"set lock_timeout = {self.lock // _MILLISECOND}; "
            f"set statement_timeout = {self.statement // _MILLISECOND}"
        )


def _timeouts(idle_in_transaction_s: float, lock_s: float, statement_s: float) -> SessionTimeouts:
    return SessionTimeouts(
        idle_in_transaction=timedelta(seconds=idle_in_transaction_s),
        lock=timedelta(seconds=lock_s),
        statement=timedelta(seconds=statement_s),
    )


# A claim takes about 10 ms, and a pause waits for it. So a pause waits for a dialer that stands still for 3 seconds.
DIALER_TIMEOUTS: Final = _timeouts(3, 1, 15)
# A flush sets the events of a locked call aside after the lock timeout, and the sender of an event waits for the flush.
WEBHOOK_TIMEOUTS: Final = _timeouts(3, 0.5, 10)
# A request waits for a dialer that stands still. Functions may keep a transaction open while they await others.
REQUEST_TIMEOUTS: Final = _timeouts(30, 10, 40)
# Imports, exports and commands on a million rows have statements that take minutes.
JOB_TIMEOUTS: Final = _timeouts(60, 10, 0)


def assert_no_transaction() -> None:
    """Raise RuntimeError when the current task has a transaction open. No request to Retell is sent inside one."""
    if _open_transactions.get():
        raise RuntimeError("a request to the provider would be sent while a transaction is open")


async def _keep_session(connection: asyncpg.Connection) -> None:
    """Replace the pool's reset, which costs a round trip per use. All our settings are local to a transaction."""


def _is_of_database(error: BaseException) -> bool:
    """Return whether `error` passed through asyncpg: functions also await other hosts in a transaction."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__", "").startswith("asyncpg.") for frame, _ in frames)


class Database:
    """A pool of connections that log in as one role."""

    def __init__(self, pool: asyncpg.Pool, dsn: str) -> None:
        self.pool = pool
        self.dsn = dsn

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        application_name: str,
        min_size: int = 0,
        max_size: int = 10,
        role: str | None = None,
        timeouts: SessionTimeouts = REQUEST_TIMEOUTS,
    ) -> Self:
        """Open a pool. Every connection assumes `role` if it is given.

        Raises TransactionPooling, RoleMissing or TooManyRights if the database can be reached; otherwise the first use
        of the pool does.
        """
        refuse_transaction_port(dsn)
        is_pooling_checked = False

        async def prepare(connection: asyncpg.Connection) -> None:
            nonlocal is_pooling_checked
            watch_socket(connection)
            # Before anything is set, because behind a pooler in transaction mode settings would stay with the server.
            if not is_pooling_checked:
                await refuse_transaction_pooling(connection, dsn)
                is_pooling_checked = True
            if role is not None:
                await assume_role(connection, dsn, role)
            # Not among the server settings: PgBouncer refuses connections that start with these.
            await connection.execute(timeouts.settings)

        pool = await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            init=prepare,
            reset=_keep_session,
            server_settings={"application_name": application_name, "timezone": "UTC"},
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=timeouts.command_s,
        )
        try:
            async with pool.acquire():
                pass
        except asyncpg.ClientConfigurationError:
            await pool.close()
            raise
        except (*CONNECTION_ERRORS, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError):
            pass
        except BaseException:
            pool.terminate()
            raise
        return cls(pool, dsn)

    async def close(self) -> None:
        """Wait for connections in use, then close all of them."""
        await self.pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction as the login role.

        A statement without a response raises TimeoutError. Its connection is closed without waiting for the server, and
        the pool replaces all others: they lead to the same host. A timeout of anything else in the block only rolls
        the transaction back.
        """
        timed_out: TimeoutError | None = None
        try:
            async with self.pool.acquire() as connection:
                try:
                    async with connection.transaction():
                        token = _open_transactions.set(_open_transactions.get() + 1)
                        try:
                            yield connection
                        except TimeoutError as error:
                            if _is_of_database(error):
                                timed_out = error
                                connection.terminate()
                            raise
                        finally:
                            _open_transactions.reset(token)
                except TimeoutError as error:  # also of the first and of the last statement
                    if _is_of_database(error):
                        connection.terminate()
                    raise
        except _LOST as error:
            if not _is_of_database(error):
                raise
            await self.pool.expire_connections()
            if timed_out is not None:
                # The rollback on the closed connection fails, which says less.
                raise timed_out from None
            raise

    @asynccontextmanager
    async def as_caller(
        self, role: Role, claims: Mapping[str, object], *, lock_timeout: timedelta | None = None
    ) -> AsyncIterator[Connection]:
        """Open a transaction as `role` with the claims of a JWT, which row level security reads.

        With `lock_timeout`, which is at least a millisecond, its statements wait no longer for a lock.
        """
        if role not in ROLES:
            raise ValueError(f"callers may not assume the role {role!r}")
        async with self.transaction() as connection:
            if lock_timeout is None:
                await connection.execute(_ASSUME, msgspec.json.encode(claims).decode(), role)
            else:
                wait = f"{lock_timeout // _MILLISECOND}ms"
                await connection.execute(_ASSUME_IMPATIENT, msgspec.json.encode(claims).decode(), role, wait)
            yield connection

    @asynccontextmanager
    async def as_service(self) -> AsyncIterator[Connection]:
        """Open a transaction as `service_role`, which sees every organization. For tools of operators."""
        async with self.as_caller("service_role", SERVICE) as connection:
            yield connection

    @asynccontextmanager
    async def for_organization(
        self, organization_id: UUID, *, lock_timeout: timedelta | None = None
    ) -> AsyncIterator[Connection]:
        """Open a transaction that sees the rows of one organization. For the dialer and background jobs.

        With `lock_timeout`, which is at least a millisecond, its statements wait no longer for a lock.
        """
        async with self.transaction() as connection:
            if lock_timeout is None:
                await connection.execute(_DECLARE, str(organization_id))
            else:
                wait = f"{lock_timeout // _MILLISECOND}ms"
                await connection.execute(_DECLARE_IMPATIENT, str(organization_id), wait)
            yield connection


def encode_json(value: Any) -> str:
    """Return `value` as text for a jsonb parameter."""
    return msgspec.json.encode(value).decode()
