"""The queue of background jobs: PgQueuer's tables in a separate schema."""

from typing import Final, Literal
from uuid import UUID

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import (
    DBSettings,
    Durability,
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.types import Channel

from outdial.db.session import Connection

JobKind = Literal["import", "export", "bulk"]
SCHEMA: Final = "pgqueuer"

# Every name is set, because PgQueuer reads missing ones from environment variables with names like CHANNEL.
_SETTINGS: Final = DBSettings(
    prefix="",
    db_schema=SCHEMA,
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
    durability=Durability.durable,
    widen_id=True,
)
CHANNEL: Final = _SETTINGS.channel

_IS_WANTED = "select to_regclass('public.imports') is not null"
_GRANTS = f"""
grant usage on schema {SCHEMA} to service_role, outdial_jobs;
grant select, insert on all tables in schema {SCHEMA} to service_role;
grant select, insert, update, delete on all tables in schema {SCHEMA} to outdial_jobs;
grant usage on all sequences in schema {SCHEMA} to service_role, outdial_jobs;
"""
_BECOME = "select set_config('role', $1, true)"
_ROLE = "select current_setting('role')"
_CALLERS: Final = frozenset({"authenticated", "service_role"})


def queue_of(connection: Connection) -> Queries:
    """Return PgQueuer's queries on a connection."""
    return Queries(
        AsyncpgDriver(connection),  # type: ignore[arg-type]  # it only runs queries, and a pool's connection does too
        qbe=QueryBuilderEnvironment(_SETTINGS),
        qbq=QueryQueueBuilder(_SETTINGS),
        qbs=QuerySchedulerBuilder(_SETTINGS),
    )


async def install_queue(connection: asyncpg.Connection) -> None:
    """Create or upgrade PgQueuer's tables for the installed version, as the owner.

    Does nothing in a database without Outdial's job tables.
    """
    if not await connection.fetchval(_IS_WANTED):
        return
    queue = queue_of(connection)
    if await queue.schema_is_installed():
        await queue.apply_upgrade()
    else:
        await queue.install()
    await connection.execute(_GRANTS)


async def enqueue(connection: Connection, kind: JobKind, job_id: UUID) -> None:
    """Enqueue a job, unless the same job is waiting or running.

    The job becomes visible when the transaction of `connection` commits, together with the row that requests it.
    Callers have no rights on the queue, because it holds jobs of all organizations. For this statement the transaction
    acts as service_role, which the login outdial_api may assume.
    """
    role = await connection.fetchval(_ROLE)
    if role in _CALLERS:
        await connection.execute(_BECOME, "service_role")
    await queue_of(connection).enqueue(kind, str(job_id).encode(), dedupe_key=f"{kind}:{job_id}", on_conflict="skip")
    if role in _CALLERS:
        await connection.execute(_BECOME, role)
