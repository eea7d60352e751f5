"""Statements over imports and exports move only from the states that they name; and who may use the queue, and how."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import asyncpg
import pytest

from outdial.db.migrate import push
from outdial.db.queries import exports, imports
from outdial.db.queries.dialing import bulk_jobs, bulk_work
from outdial.db.queue import enqueue
from outdial.db.session import Connection, Database
from outdial.domain.ids import new_id
from outdial.domain.jobs import BulkJobStatus, ExportStatus, ImportStatus
from tests.support.factories import NOW, Tenant, create_campaign, create_member, create_tenant, insert
from tests.support.jobs import store_import
from tests.support.postgres import MIGRATIONS, Scratch
from tests.support.queries import QueryFunction, parameters_of

LATER = NOW + timedelta(minutes=10)
LONG_AGO = NOW - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Guard:
    """A statement, who runs it, and what it makes of a row in each state that it may leave."""

    statement: QueryFunction
    actor: Literal["operator", "jobs"]
    moves: Mapping[str, str]


ON_IMPORTS = [
    Guard(imports.restart_upload, "operator", {"uploading": "uploading", "ready": "uploading"}),
    Guard(imports.advance_upload, "operator", {"uploading": "uploading"}),
    Guard(imports.finish_upload, "operator", {"uploading": "ready"}),
    Guard(imports.queue_import, "operator", {"ready": "queued"}),
    Guard(
        imports.cancel_import,
        "operator",
        {"uploading": "cancelled", "ready": "cancelled", "queued": "cancelled", "running": "cancelling"},
    ),
    Guard(imports.begin_import, "jobs", {"queued": "running", "running": "running"}),
    Guard(imports.end_cancelled_import, "jobs", {"cancelling": "cancelled"}),
    Guard(imports.record_import, "jobs", {"running": "running"}),
    Guard(imports.release_import, "jobs", {"running": "running", "cancelling": "cancelling"}),
    Guard(imports.finish_import, "jobs", {"running": "completed", "cancelling": "cancelled"}),
    Guard(imports.abandon_upload, "jobs", {"uploading": "cancelled", "ready": "cancelled"}),
]
ON_EXPORTS = [
    Guard(exports.cancel_export, "operator", {"queued": "cancelled", "running": "cancelled"}),
    Guard(exports.begin_export, "jobs", {"queued": "running", "running": "running"}),
    Guard(exports.record_export, "jobs", {"running": "running"}),
    Guard(exports.release_export, "jobs", {"running": "running"}),
    Guard(exports.finish_export, "jobs", {"running": "completed"}),
    Guard(exports.expire_export, "jobs", {"completed": "expired"}),
]
ON_BULK_JOBS = [
    Guard(bulk_jobs.cancel_bulk_job, "operator", {"queued": "cancelled", "running": "cancelled"}),
    Guard(bulk_work.begin_bulk_job, "jobs", {"queued": "running", "running": "running"}),
    Guard(bulk_work.record_portion, "jobs", {"running": "running"}),
    Guard(bulk_work.release_bulk_job, "jobs", {"running": "running"}),
    Guard(bulk_work.finish_bulk_job, "jobs", {"running": "completed"}),
]
TABLES = {"imports": ImportStatus, "exports": ExportStatus, "bulk_jobs": BulkJobStatus}
KNOWN: Mapping[str, object] = {
    "now": LATER,
    "silent_since": NOW,
    "before": NOW,
    "expires_at": LATER,
    "run": 0,
    "added": 1,
    "rows": 1,
    "refused": 0,
    "bytes_read": 1,
    "size": 1,
    "length": 1,
    "offset": 1,
    "mapping": "{}",
    "default_region": None,
    "zone_names": "{}",
    "has_header": True,
    "sheet": None,
    "bytes": 1,
    "chunks": 1,
    "refused_by_kind": "{}",
    "notices": "[]",
    "header": "[]",
    "error": None,
    "done": 1,
    "left_out": 0,
    "failures": 1,
    "status": "completed",
}


@asynccontextmanager
async def acting(database: Scratch, actor: str, tenant: Tenant, user_id: UUID) -> AsyncIterator[Connection]:
    role = "outdial_api" if actor == "operator" else "outdial_jobs"
    async with await Database.connect(database.dsn_for(role), application_name="test", max_size=1) as pool:
        if actor == "operator":
            async with pool.as_caller("authenticated", {"sub": str(user_id)}) as connection:
                yield connection
        else:
            async with pool.for_organization(tenant.organization_id) as connection:
                yield connection


@pytest.mark.parametrize("guard", ON_IMPORTS + ON_EXPORTS + ON_BULK_JOBS, ids=lambda guard: guard.statement.__name__)
async def test_a_guarded_query_only_moves_from_the_states_it_names(
    database: Scratch, connection: asyncpg.Connection, guard: Guard
) -> None:
    tenant = await create_tenant(connection)
    user_id = await create_member(connection, tenant.organization_id)
    campaign = await create_campaign(connection, tenant)
    table = "imports" if guard in ON_IMPORTS else "exports" if guard in ON_EXPORTS else "bulk_jobs"
    own: Mapping[str, Mapping[str, object]] = {
        "imports": {"campaign_id": campaign.id, "file_name": "a.csv", "bytes_stored": 1},
        "exports": {"kind": "calls", "expires_at": NOW, "filters": '{"search": "Ann"}'},
        "bulk_jobs": {"campaign_id": campaign.id, "action": "skip", "reason": "wrong list", "selected": 1}
        | {"other_status": 0, "requested_by": "the service"},
    }
    moved = {}
    for state in TABLES[table]:
        job_id = new_id(NOW)
        row = {**own[table], "id": job_id, "status": state}
        await insert(
            connection,
            table,
            **row,
            organization_id=tenant.organization_id,
            created_at=LONG_AGO,
            updated_at=LONG_AGO,
            heartbeat_at=LONG_AGO,
        )
        known = {**KNOWN, "import_id": job_id, "export_id": job_id, "bulk_job_id": job_id}
        known |= {"organization_id": tenant.organization_id}
        async with acting(database, guard.actor, tenant, user_id) as acting_connection:
            named = {name: known[name] for name in parameters_of(guard.statement)}
            await guard.statement(acting_connection, **named)
        select = f"select status, updated_at from {table} where id = $1"  # noqa: S608
        after = await connection.fetchrow(select, job_id)
        assert after is not None
        if after["updated_at"] != LONG_AGO:
            moved[state] = after["status"]

    assert moved == dict(guard.moves)
    searched = "select status from exports where filters ? 'search' and updated_at <> $1"
    kept = {row["status"] for row in await connection.fetch(searched, LONG_AGO)}
    assert kept <= {"running", "completed"}, "what was searched for may name a person"


@pytest.mark.parametrize("status", ["running", "completed", "failed"])
async def test_an_operator_cannot_set_the_statuses_of_a_run(
    database: Scratch, connection: asyncpg.Connection, status: str
) -> None:
    tenant = await create_tenant(connection)
    user_id = await create_member(connection, tenant.organization_id)
    campaign = await create_campaign(connection, tenant)
    await store_import(connection, campaign, b"phone\n")
    before = "queued" if status == "running" else "running"
    await connection.execute("update imports set status = $1 where status <> $1", before)

    async with acting(database, "operator", tenant, user_id) as acting_connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await acting_connection.execute("update imports set status = $1", status)


async def test_no_one_requests_an_export_as_another_user(database: Scratch, connection: asyncpg.Connection) -> None:
    tenant = await create_tenant(connection)
    user_id = await create_member(connection, tenant.organization_id)
    other = await create_member(connection, tenant.organization_id)
    row = {"id": new_id(NOW), "organization_id": tenant.organization_id, "kind": "calls", "created_by": other}

    async with acting(database, "operator", tenant, user_id) as acting_connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await insert(acting_connection, "exports", **row, created_at=NOW, updated_at=NOW)


async def test_a_job_is_enqueued_once_and_when_its_transaction_commits(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    user_id = await create_member(connection, tenant.organization_id)
    job_id = new_id(NOW)
    queued = "select entrypoint, convert_from(payload, 'utf8') as payload from pgqueuer.pgqueuer"

    async with acting(database, "operator", tenant, user_id) as acting_connection:
        await enqueue(acting_connection, "import", job_id)
        assert await connection.fetch(queued) == [], "not before the transaction ends"
        # It acts as the caller again afterwards.
        assert await acting_connection.fetchval("select current_setting('role')") == "authenticated"
        await enqueue(acting_connection, "import", job_id)
    assert [tuple(row) for row in await connection.fetch(queued)] == [("import", str(job_id))]


@pytest.mark.parametrize("role", ["authenticated", "anon"])
async def test_callers_have_no_access_to_the_queue(database: Scratch, role: Any) -> None:
    pool = await Database.connect(database.dsn_for("outdial_api"), application_name="test")
    async with pool, pool.as_caller(role, {}) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select * from pgqueuer.pgqueuer")


async def test_the_queue_is_installed_once(
    database: Scratch, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE_TABLE", "somewhere_else")
    await enqueue(connection, "export", new_id(NOW))

    assert await push(database.dsn, MIGRATIONS) == []

    assert await connection.fetchval("select count(*) from pgqueuer.pgqueuer") == 1
    tables = await connection.fetch("select tablename::text from pg_tables where schemaname = 'pgqueuer'")
    assert {row["tablename"] for row in tables} == {
        "pgqueuer",
        "pgqueuer_log",
        "pgqueuer_schedules",
        "pgqueuer_statistics",
    }
