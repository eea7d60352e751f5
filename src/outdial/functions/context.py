"""The context of one invocation: caller, database, log, clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg

from outdial.auth import Caller, User
from outdial.auth.caller import ModeKind, Role
from outdial.db.session import Connection
from outdial.functions.errors import HttpError
from outdial.functions.log import Logger
from outdial.functions.runtime import Env, Runtime

# How long a request waits for a connection, as in @supabase/server.
_CHECKOUT_S = 10
_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)


class Context:
    """One invocation of a function."""

    __slots__ = ("_log", "_runtime", "caller", "request_id", "slug")

    def __init__(self, runtime: Runtime, caller: Caller, slug: str, request_id: str) -> None:
        self._runtime = runtime
        self._log: Logger | None = None
        self.caller = caller
        self.slug = slug
        self.request_id = request_id

    @property
    def user(self) -> User | None:
        """The signed-in user; None in every mode but `user`."""
        return self.caller.user

    @property
    def auth_mode(self) -> ModeKind:
        """The auth mode that admitted the caller."""
        return self.caller.mode

    @property
    def claims(self) -> Mapping[str, Any]:
        """The claims that row level security sees: those of the user's JWT, or only the role."""
        return self.caller.claims

    @property
    def env(self) -> Env:
        """The environment, read-only."""
        return self._runtime.env

    @property
    def log(self) -> Logger:
        """A logger that adds the function and the request id to every line."""
        if self._log is None:
            self._log = self._runtime.log.bind(function=self.slug, request_id=self.request_id)
        return self._log

    def now(self) -> datetime:
        """Return the current time, aware, in UTC, from the clock of the process."""
        return self._runtime.clock.now()

    def db(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction as the caller, under row level security; it commits unless the block raises.

        The block's exit turns a permission error of Postgres into HttpError 403 FORBIDDEN. An unreachable database
        raises HttpError 503 DATABASE_UNREACHABLE.
        """
        return self._transaction(self.caller.role, self.caller.claims)

    def admin_db(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction as `service_role`, which bypasses row level security."""
        return self._transaction("service_role", {"role": "service_role"})

    def wait_until(self, awaitable: Awaitable[object]) -> None:
        """Run `awaitable` in the background. The process waits for it before it stops, up to a time limit."""
        self._runtime.run_in_background(awaitable, self.log)

    @asynccontextmanager
    async def _transaction(self, role: Role, claims: Mapping[str, Any]) -> AsyncIterator[Connection]:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_CHECKOUT_S):
                    database = await self._runtime.database()
                    connection = await stack.enter_async_context(database.as_caller(role, dict(claims)))
            except _UNREACHABLE as error:
                self.log.exception("functions.database_unreachable", error)
                raise HttpError(503, "DATABASE_UNREACHABLE", "The database cannot be reached: try again") from error
            try:
                yield connection
            except asyncpg.InsufficientPrivilegeError as error:
                self.log.warning("functions.database_refused", role=role, reason=str(error))
                if role == "service_role":
                    raise
                raise HttpError(403, "FORBIDDEN", "You are not allowed to do this") from error
