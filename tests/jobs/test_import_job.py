"""Imports: added contacts, refused rows, and what an interrupted run leaves to the next one."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from outdial.clock import VirtualClock
from outdial.db.queries import imports
from outdial.db.session import Connection
from outdial.jobs.import_job import DEAD_AFTER, MAX_STORED_REFUSALS
from outdial.jobs.sweep import LOST_AFTER
from tests.support.factories import NOW, Campaign, create_campaign, create_member, create_tenant, insert
from tests.support.jobs import import_row, store_import, working
from tests.support.postgres import Scratch


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection), status="draft", next_batch_at=None)


def people(count: int, *odd: str, first: int = 0) -> bytes:
    rows = [f"+1212{2_000_000 + number},Contact {number}" for number in range(first, first + count)]
    return "\n".join(["phone,name", *rows, *odd]).encode()


async def contacts_in(connection: Connection, campaign: Campaign) -> int:
    count = await connection.fetchval("select count(*) from campaign_contacts where campaign_id = $1", campaign.id)
    return int(count)


async def queue(connection: Connection) -> list[tuple[str, str]]:
    rows = await connection.fetch("select entrypoint, status::text as status from pgqueuer.pgqueuer order by id")
    return [(row["entrypoint"], row["status"]) for row in rows]


class Cut(Exception):
    """The process was killed."""


def cut_after(
    monkeypatch: pytest.MonkeyPatch, chunks: int, *, then: Callable[[], None] | None = None
) -> list[dict[str, Any]]:
    """End a run, as if its process had been killed, after this many stored chunks; or call `then` instead."""
    told: list[dict[str, Any]] = []
    record = imports.record_import

    async def patched(connection: Connection, **named: Any) -> Any:
        told.append(named)
        if len(told) > chunks:
            if then is None:
                raise Cut
            then()
        return await record(connection, **named)

    monkeypatch.setattr(imports, "record_import", patched)
    return told


async def test_an_import_adds_contacts_and_reports_refused_rows_with_reasons(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    import_id = await store_import(connection, campaign, people(5, "nonsense,Ada", "+12122000001,Twin"))

    async with working(database) as worker:
        await worker.run_once()

    row = await import_row(connection, import_id)
    assert (row.status, row.rows, row.added, row.already_there, row.refused) == ("completed", 7, 5, 0, 2)
    assert msgspec.json.decode(row.refused_by_kind) == {"bad_phone": 1, "duplicate": 1}
    assert await contacts_in(connection, campaign) == 5
    refusals = await connection.fetch("select line, value, kind from import_refusals order by line")
    assert [tuple(refusal) for refusal in refusals] == [
        (7, "nonsense", "bad_phone"),
        (8, "+12122000001", "duplicate"),
    ]
    assert await connection.fetchval("select count(*) from import_chunks") == 0
    assert await queue(connection) == []


async def test_a_file_in_many_chunks_is_read_as_one(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    long_names = [f"+1212{2_000_000 + number},{'é' * 1_000}" for number in range(400)]
    content = "\n".join(["phone,name", *long_names]).encode()
    import_id = await store_import(connection, campaign, content)

    async with working(database) as worker:
        await worker.run_once()

    row = await import_row(connection, import_id)
    assert row.chunks == 4
    assert (row.status, row.added, row.refused, row.bytes_read) == ("completed", 400, 0, len(content))


async def test_json_lines_in_many_chunks_are_read_for_their_keys_and_then_for_their_rows(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    lines = [{"phone": f"+1212{2_000_000 + number}", "note": "é" * 1_000} for number in range(300)] + [{"late": "key"}]
    content = "\n".join([json.dumps(line, ensure_ascii=False) for line in lines]).encode()
    import_id = await store_import(connection, campaign, content)

    async with working(database) as worker:
        await worker.run_once()

    row = await import_row(connection, import_id)
    assert row.chunks == 3
    assert (row.status, row.added, row.refused, row.bytes_read) == ("completed", 300, 1, len(content))
    assert (
        await imports.import_header(connection, import_id=import_id, organization_id=campaign.tenant.organization_id)
        == '["phone", "note", "late"]'
    )


async def test_the_audit_log_names_the_user_of_the_import(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    user_id = await create_member(connection, campaign.tenant.organization_id)
    import_id = await store_import(connection, campaign, people(2))
    await connection.execute("update imports set created_by = $1 where id = $2", user_id, import_id)

    async with working(database) as worker:
        await worker.run_once()

    entries = await connection.fetch("select actor, action, subject_id from audit_log")
    assert [tuple(entry) for entry in entries] == [(str(user_id), "import_contacts", str(campaign.id))]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"name\nAda\n", "No phone column"),
        (b"phone,phone\n+12122000000,\n", "are both named 'phone'"),
    ],
)
async def test_an_unusable_file_fails_the_import_with_the_reason(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign, content: bytes, error: str
) -> None:
    import_id = await store_import(connection, campaign, content)

    async with working(database) as worker:
        await worker.run_once()

    row = await import_row(connection, import_id)
    assert row.status == "failed"
    assert error in str(row.error)
    assert row.finished_at is not None


async def test_a_run_after_a_dead_one_ends_with_the_counts_of_an_undisturbed_run(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert(
        connection,
        "do_not_call",
        organization_id=campaign.tenant.organization_id,
        phone="+12122000003",
        source="manual",
    )
    known = await store_import(connection, campaign, people(2, first=20))
    import_id = await store_import(connection, campaign, people(30, "nonsense,Ada"))
    clock = VirtualClock(NOW)
    async with working(database, clock, chunk_rows=2) as worker:
        await worker._imports.run(known, campaign.tenant.organization_id)
        with monkeypatch.context() as patch:
            cut_after(patch, 4)
            # A killed process neither releases its import nor records an end.
            patch.setattr(imports, "release_import", _nothing)
            await worker._imports.run(import_id, campaign.tenant.organization_id)

    row = await import_row(connection, import_id)
    assert (row.status, row.added) == ("running", 7)
    assert await contacts_in(connection, campaign) == 9

    async with working(database, clock, chunk_rows=2) as worker:
        await worker._imports.run(import_id, campaign.tenant.organization_id)
        assert (await import_row(connection, import_id)).status == "running", "the dead run was not silent for long"
        clock.advance(DEAD_AFTER + timedelta(seconds=1))
        await worker._imports.run(import_id, campaign.tenant.organization_id)

    row = await import_row(connection, import_id)
    assert (row.status, row.rows, row.added, row.already_there, row.refused) == ("completed", 31, 27, 2, 2)
    assert await contacts_in(connection, campaign) == 29
    assert await connection.fetchval("select count(*) from import_refusals where import_id = $1", import_id) == 2


async def _nothing(*_: object, **__: object) -> int:
    return 0


async def test_a_lost_import_is_queued_again_once(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    import_id = await store_import(connection, campaign, people(3))
    waiting = await store_import(connection, campaign, people(3, first=10))
    await connection.execute("delete from pgqueuer.pgqueuer where dedupe_key = $1", f"import:{import_id}")
    clock = VirtualClock(NOW)

    async with working(database, clock) as worker:
        assert await worker.sweeper.run_once() == 0
        clock.advance(LOST_AFTER + timedelta(seconds=1))
        assert await worker.sweeper.run_once() == 2
        assert await worker.sweeper.run_once() == 2
        assert await queue(connection) == [("import", "queued")] * 2
        await worker.run_once()

    for job_id in (import_id, waiting):
        assert (await import_row(connection, job_id)).status == "completed"


async def test_an_import_cancelled_during_its_run_ends_after_the_current_chunk(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = await store_import(connection, campaign, people(20))
    other = await asyncpg.connect(database.dsn)
    record = imports.record_import
    seen = 0

    async def patched(recording: Connection, **named: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == 3:
            await other.execute("update imports set status = 'cancelling' where id = $1", import_id)
        return await record(recording, **named)

    monkeypatch.setattr(imports, "record_import", patched)
    async with working(database, chunk_rows=2) as worker:
        await worker.run_once()
    await other.close()

    row = await import_row(connection, import_id)
    assert (row.status, row.added, await contacts_in(connection, campaign)) == ("cancelled", 4, 4)
    assert await connection.fetchval("select count(*) from import_chunks") == 0


async def test_an_import_cancelled_without_a_run_ends_with_the_next_sweep(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    import_id = await store_import(connection, campaign, people(3))
    await connection.execute("update imports set status = 'running', heartbeat_at = null")
    await connection.execute("update imports set status = 'cancelling'")

    async with working(database) as worker:
        await worker.run_once()

    assert (await import_row(connection, import_id)).status == "cancelled"


async def test_a_stopping_worker_hands_its_import_over_at_once(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = await store_import(connection, campaign, people(20))
    stopping: list[asyncio.Task[None]] = []
    async with working(database, chunk_rows=2) as worker:
        with monkeypatch.context() as patch:
            cut_after(patch, 2, then=lambda: stopping.append(asyncio.create_task(worker.stop())))
            await worker.start()
            while not stopping:  # noqa: ASYNC110 - the worker stops it
                await asyncio.sleep(0)
            await asyncio.gather(*stopping)

    row = await import_row(connection, import_id)
    assert (row.status, row.added > 0, row.added < 20) == ("running", True, True)
    assert await queue(connection) == [("import", "queued")]

    async with working(database) as worker:
        await worker.run_once()
    row = await import_row(connection, import_id)
    assert (row.status, row.added, row.already_there) == ("completed", 20, 0)


async def test_an_overtaken_run_writes_nothing_more(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = await store_import(connection, campaign, people(20))
    told: list[UUID] = []
    record = imports.record_import

    async def patched(recording: Connection, **named: Any) -> Any:
        if not told:
            await connection.execute("update imports set runs = runs + 1 where id = $1", import_id)
        told.append(named["import_id"])
        return await record(recording, **named)

    monkeypatch.setattr(imports, "record_import", patched)
    async with working(database, chunk_rows=2) as worker:
        await worker.run_once()

    row = await import_row(connection, import_id)
    assert (row.status, row.added, await contacts_in(connection, campaign)) == ("running", 0, 0)


async def test_refused_rows_beyond_the_stored_ones_are_counted(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    content = "\n".join(["phone", *["nonsense"] * (MAX_STORED_REFUSALS + 10)]).encode()
    import_id = await store_import(connection, campaign, content)

    async with working(database) as worker:
        await worker.run_once()

    row = await import_row(connection, import_id)
    assert (row.status, row.refused) == ("completed", MAX_STORED_REFUSALS + 10)
    assert await connection.fetchval("select count(*) from import_refusals") == MAX_STORED_REFUSALS


async def test_an_unexpected_error_is_retried_and_finally_fails_the_import_without_quoting_a_row(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = await store_import(connection, campaign, people(3))
    cut_after(monkeypatch, 0)
    async with working(database) as worker:
        for _ in range(5):
            await worker._imports.run(import_id, campaign.tenant.organization_id)

    row = await import_row(connection, import_id)
    assert row.status == "failed"
    assert row.error == "The import failed (Cut): import the file again"


async def test_a_job_of_a_deleted_import_is_finished(
    database: Scratch, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    await store_import(connection, campaign, people(3))
    await connection.execute("delete from imports")

    async with working(database) as worker:
        await worker.run_once()

    assert await queue(connection) == []
