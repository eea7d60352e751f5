"""Opens connections to Postgres, directly or through a pooler in session mode, with no more rights than declared."""

import asyncio
import socket
from typing import Any, Final

import asyncpg

from outdial.database_url import names_transaction_pooler, user_of
from outdial.db.errors import PoolerFull, RoleMissing, TooManyRights, TransactionPooling

CONNECT_TIMEOUT_S: Final = 10.0

# A host that vanishes sends nothing. The kernel closes an idle connection after 25 s without a response, and one with
# unacknowledged data after 20 s. Postgres does the same for its clients.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}

# Identifies a session of the server, even if several servers share one address.
_SESSION: Final = "select pg_backend_pid(), pg_postmaster_start_time(), inet_server_addr()::text, inet_server_port()"
_ROLE_EXISTS: Final = "select exists (select from pg_roles where rolname = $1)"
_RIGHTS: Final = """
select current_user::text as current, session_user::text as session,
  (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as current_is_unbound,
  (select rolsuper or rolbypassrls from pg_roles where rolname = session_user) as session_is_unbound
"""
_PROBES: Final = 8
_PROBE_SECONDS: Final = 10.0
# What poolers report when a statement is prepared in one session and executed in another.
_POOLING_ERRORS: Final = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.ProtocolViolationError,
)


async def connect_owner(dsn: str) -> asyncpg.Connection:
    """Connect as the login in `dsn`; raise TransactionPooling behind a pooler in transaction mode."""
    return await connect_as(dsn, None, application_name="outdial")


async def connect_as(dsn: str, role: str | None, *, application_name: str) -> asyncpg.Connection:
    """Connect, and assume `role` if it is given. Raises as `refuse_transaction_pooling` and `assume_role` do."""
    refuse_transaction_port(dsn)
    connection = await asyncpg.connect(dsn, server_settings={"application_name": application_name})
    watch_socket(connection)
    try:
        await refuse_transaction_pooling(connection, dsn)
        if role is not None:
            await assume_role(connection, dsn, role)
    except BaseException:
        connection.terminate()
        raise
    return connection


def refuse_transaction_port(dsn: str) -> None:
    """Raise TransactionPooling if `dsn` names the port of Supabase's pooler in transaction mode."""
    if names_transaction_pooler(dsn):
        raise TransactionPooling("port 6543 is that of Supabase's pooler in transaction mode")


async def refuse_transaction_pooling(connection: asyncpg.Connection, dsn: str) -> None:
    """Raise TransactionPooling if statements of `connection` run in different sessions of the server.

    Roles, settings and locks would then stay in a session that another client gets next. A pooler makes up the process
    id that the protocol reports, so a real one means that there is no pooler. Otherwise this opens a second connection:
    under transaction pooling, it gets the session of the first one, or moves the first one's next statement to another
    session. Raises PoolerFull if the pooler has no second session.
    """
    try:
        before = await connection.fetchrow(_SESSION)
        if before is None or before[0] == connection.get_server_pid():
            return
        async with asyncio.timeout(_PROBE_SECONDS):
            other = await asyncpg.connect(dsn, server_settings={"application_name": "outdial"})
            try:
                for _ in range(_PROBES):
                    async with other.transaction():
                        beside = await other.fetchrow(_SESSION)
                        if beside == before:
                            raise TransactionPooling("two connections share one session of the server")
                        now = await connection.fetchrow(_SESSION)
                    if now != before:
                        raise TransactionPooling("statements of one connection run in different sessions")
            finally:
                other.terminate()
    except _POOLING_ERRORS:
        raise TransactionPooling("it loses prepared statements") from None
    except asyncpg.ConnectionDoesNotExistError as error:
        if "statement pooling" in str(error):  # PgBouncer ends a connection that begins a transaction in this mode
            raise TransactionPooling("it allows no transactions") from None
        raise
    except TimeoutError:
        raise PoolerFull from None


async def assume_role(connection: asyncpg.Connection, dsn: str, role: str) -> None:
    """Set the role of a session, and check that it has no more rights than its URL and `role` declare.

    The role is not among the startup parameters, because PgBouncer refuses connections with unknown ones. Raises
    RoleMissing; or TooManyRights if the policies do not bind the role, or the user that a pooler logs in as, unless
    `dsn` names that user.
    """
    try:
        await connection.execute(f'set role "{role}"')
    except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError):
        login = await connection.fetchval("select session_user::text")
        exists = await connection.fetchval(_ROLE_EXISTS, role)
        raise RoleMissing(role, login if exists else None) from None
    rights = await connection.fetchrow(_RIGHTS)
    if rights is None or rights["current"] != role:
        raise TooManyRights(f"a session that should have the role {role} has another one")
    if rights["current_is_unbound"]:
        raise TooManyRights(
            f"the role {role} is a superuser or has BYPASSRLS: run alter role {role} nosuperuser nobypassrls"
        )
    login = user_of(dsn)
    declared = (login, login.partition(".")[0])  # Supabase's pooler expects the project after the role
    if login and rights["session_is_unbound"] and rights["session"] not in declared:
        raise TooManyRights(
            f"the database URL logs in as {login}, but the session belongs to {rights['session']}, who is a superuser "
            f"or has BYPASSRLS: have the pooler log in as its client does"
        )


def watch_socket(connection: Any) -> None:
    """Have the kernel close a connection whose host has vanished. Does nothing for a Unix socket."""
    # asyncpg has no public access to the socket.
    tcp = connection._transport.get_extra_info("socket")
    if tcp is None or tcp.family not in (socket.AF_INET, socket.AF_INET6):
        return
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        # Some of them exist on Linux only.
        if (option := getattr(socket, name, None)) is not None:
            tcp.setsockopt(socket.IPPROTO_TCP, option, value)
