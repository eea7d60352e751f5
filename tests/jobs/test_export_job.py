"""Exports: interrupted, cancelled and removed; and cells that a spreadsheet must not run."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from outdial.clock import VirtualClock
from outdial.db.queries import exports
from outdial.db.session import Connection
from outdial.jobs.csv_cells import CsvBuffer, PlainPhone, format_cell
from outdial.jobs.export_job import ExportJob
from outdial.jobs.retention import KEYS_KEPT, REFUSALS_KEPT, UPLOADS_KEPT
from outdial.jobs.worker import JobWorker
from tests.support.factories import NOW, Tenant, create_campaign, create_contact, create_tenant, insert
from tests.support.jobs import export_row, exported, import_row, store_export, store_import, working
from tests.support.postgres import Scratch


@pytest.fixture
async def tenant(connection: asyncpg.Connection) -> Tenant:
    tenant = await create_tenant(connection)
    for _ in range(20):
        await create_contact(connection, tenant.organization_id)
    return tenant


@pytest.fixture
async def worker(database: Scratch) -> AsyncIterator[JobWorker]:
    async with working(database) as found:
        yield found


def exports_of(worker: JobWorker, piece: int) -> ExportJob:
    return ExportJob(worker._database, VirtualClock(NOW), worker._stopping, chunk_size=piece)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        (" =1", "' =1"),
        ("＝1", "'＝1"),
        ("a=1", "a=1"),
        ("", ""),
        (None, ""),
        (-5, "-5"),
        (Decimal("-1.50"), "-1.50"),
        (NOW, "2026-03-10T17:00:00+00:00"),
        (PlainPhone("+12125550100"), "+12125550100"),
    ],
)
def test_no_spreadsheet_runs_a_cell_as_a_formula(cell: Any, written: str) -> None:
    assert format_cell(cell) == written


def test_a_csv_buffer_is_emptied_chunk_by_chunk() -> None:
    text = CsvBuffer(["a", "b"])
    text.add(['x"y', "two\nlines"])
    first = text.take()
    text.add(["é", None])

    assert first == b'\xef\xbb\xbfa,b\r\n"x""y","two\nlines"\r\n', "Excel reads UTF-8 only with a byte order mark"
    assert text.take() == "é,\r\n".encode()
    assert text.length == 0


async def test_a_run_after_a_dead_one_writes_the_file_again(
    worker: JobWorker, tenant: Tenant, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id = await store_export(connection, tenant.organization_id, "contacts")
    record = exports.record_export
    calls = 0

    async def patched(recording: Connection, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ConnectionError
        return await record(recording, **named)

    with monkeypatch.context() as patch:
        patch.setattr(exports, "record_export", patched)
        await exports_of(worker, 200).run(export_id, tenant.organization_id)
    assert await connection.fetchval("select count(*) from export_chunks") == 2

    await worker.run_once()
    row = await export_row(connection, export_id)
    text = await exported(connection, export_id)
    assert (row.status, row.rows, row.size) == ("completed", 20, len(text.encode()))
    assert len(text.splitlines()) == 21


async def test_an_export_of_contacts_states_where_they_are(
    worker: JobWorker, tenant: Tenant, connection: asyncpg.Connection
) -> None:
    await connection.execute("delete from contacts")
    place = {"country": "US", "region": "MA", "postal_code": "02139", "jurisdiction_key": "US-MA"}
    await create_contact(connection, tenant.organization_id, phone="+16175550100", **place)
    export_id = await store_export(connection, tenant.organization_id, "contacts")
    await exports_of(worker, 10_000).run(export_id, tenant.organization_id)
    header, row = (await exported(connection, export_id)).splitlines()
    cells = dict(zip(header.lstrip("\ufeff").split(","), row.split(","), strict=True))
    assert cells == cells | place


async def test_times_in_a_file_are_in_the_zone_of_the_viewer(
    worker: JobWorker, tenant: Tenant, connection: asyncpg.Connection
) -> None:
    export_id = await store_export(connection, tenant.organization_id, "contacts")
    await connection.execute(
        """update exports set filters = '{"time_zone": "America/New_York"}' where id = $1""", export_id
    )

    await worker.run_once()

    text = await exported(connection, export_id)
    assert "T13:00:00-04:00" in text
    assert "+00:00" not in text


async def test_an_export_cancelled_during_its_run_leaves_no_file(
    worker: JobWorker, tenant: Tenant, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id = await store_export(connection, tenant.organization_id, "contacts")
    record = exports.record_export
    calls = 0

    async def patched(recording: Connection, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            await connection.execute("update exports set status = 'cancelled'")
        return await record(recording, **named)

    monkeypatch.setattr(exports, "record_export", patched)
    await exports_of(worker, 200).run(export_id, tenant.organization_id)

    assert (await export_row(connection, export_id)).status == "cancelled"
    assert await connection.fetchval("select count(*) from export_chunks") == 0


async def test_an_export_cancelled_after_its_run_died_leaves_no_file(
    worker: JobWorker, tenant: Tenant, connection: asyncpg.Connection
) -> None:
    export_id = await store_export(connection, tenant.organization_id, "contacts")
    await connection.execute("update exports set status = 'running', runs = 1, heartbeat_at = $1", NOW)
    await connection.execute(
        "insert into export_chunks (organization_id, export_id, number, content) values ($1, $2, 0, 'phone')",
        tenant.organization_id,
        export_id,
    )

    await exports_of(worker, 200).run(export_id, tenant.organization_id)
    assert await connection.fetchval("select count(*) from export_chunks") == 1
    await connection.execute("update exports set status = 'cancelled'")
    await exports_of(worker, 200).run(export_id, tenant.organization_id)

    assert await connection.fetchval("select count(*) from export_chunks") == 0


async def test_a_run_presumed_dead_does_not_touch_the_file_of_its_successor(
    worker: JobWorker, tenant: Tenant, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id = await store_export(connection, tenant.organization_id, "contacts")
    finish = exports.finish_export
    has_stalled = False

    async def patched(finishing: Connection, **named: Any) -> Any:
        nonlocal has_stalled
        if not has_stalled:
            has_stalled = True
            await connection.execute("update exports set heartbeat_at = $1", NOW - timedelta(hours=1))
            await exports_of(worker, 200).run(export_id, tenant.organization_id)
        return await finish(finishing, **named)

    monkeypatch.setattr(exports, "finish_export", patched)
    await exports_of(worker, 200).run(export_id, tenant.organization_id)

    assert (await export_row(connection, export_id)).status == "completed"
    assert (await exported(connection, export_id)).count("\r\n") == 21


async def test_an_unexpected_error_finally_fails_the_export(
    worker: JobWorker, tenant: Tenant, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    filters = '{"name": "Ann", "time_zone": "UTC"}'
    export_id = await store_export(connection, tenant.organization_id, "contacts", filters)

    async def broken(*_: object, **__: object) -> None:
        raise ValueError("+12125550100")

    monkeypatch.setattr(exports, "record_export", broken)
    for _ in range(5):
        await exports_of(worker, 200).run(export_id, tenant.organization_id)

    row = await export_row(connection, export_id)
    assert (row.status, row.expires_at) == ("failed", None)
    assert row.error == "The export failed (ValueError): export again"
    assert row.filters == '{"time_zone": "UTC"}', "what was searched for may name a person"


async def test_only_expired_data_is_removed(database: Scratch, tenant: Tenant, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, tenant, status="draft", next_batch_at=None)
    upload = await store_import(connection, campaign, b"phone\n+12122000001\n", queued=False)
    done = await store_import(connection, campaign, b"phone\nnonsense\n")
    await insert(
        connection,
        "idempotency_keys",
        organization_id=tenant.organization_id,
        caller="service",
        key="k",
        request_sha256=b"1" * 32,
        created_at=NOW,
    )
    clock = VirtualClock(NOW)
    async with working(database, clock) as worker:
        await worker.run_once()
        assert await worker.retention.run_once() == 0
        clock.advance(KEYS_KEPT + timedelta(seconds=1))
        assert await worker.retention.run_once() == 1
        assert await connection.fetchval("select count(*) from idempotency_keys") == 0
        clock.set(NOW + UPLOADS_KEPT + timedelta(seconds=1))
        assert await worker.retention.run_once() == 1
        assert (await import_row(connection, upload)).status == "cancelled"
        assert await connection.fetchval("select count(*) from import_chunks") == 0
        assert await connection.fetchval("select count(*) from import_refusals") == 1
        clock.set(NOW + REFUSALS_KEPT + timedelta(seconds=1))
        assert await worker.retention.run_once() == 1
        assert await connection.fetchval("select count(*) from import_refusals") == 0
        assert await worker.retention.run_once() == 0

    assert (await import_row(connection, done)).refused == 1
