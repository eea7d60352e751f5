"""Jobs processes: another one finishes the import of a killed one, and nothing is lost."""

from pathlib import Path

import asyncpg
import pytest

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.bulk_request import BulkRequest, BulkRequested, request_bulk_job
from outdial.campaigns.selection import ContactSelection
from outdial.db.session import Database
from outdial.domain.policies.bulk_action import CampaignJobAction
from tests.support.factories import NOW, create_campaign, create_tenant, fill_campaign
from tests.support.jobs import import_row, store_export, store_import
from tests.support.postgres import Scratch
from tests.support.processes import launcher, until

ROWS = 20_000
CONTACTS = 8_000

pytestmark = pytest.mark.timeout(300)


async def hold_after_the_first(connection: asyncpg.Connection, table: str, count: str) -> None:
    """Let a job wait before it counts its second portion, so that a busy machine does not see its end."""
    await connection.execute(
        f"""
        create function hold() returns trigger language plpgsql as
          $$ begin perform pg_advisory_xact_lock(1); return new; end $$;
        create trigger hold before update on {table} for each row
          when (old.{count} > 0 and new.{count} > old.{count}) execute function hold();
        select pg_advisory_lock(1)
        """
    )


async def test_the_next_worker_finishes_the_import_of_a_killed_one_with_the_right_counts(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="draft", next_batch_at=None)
    content = "\n".join(["phone", *(f"+1212{2_000_000 + number}" for number in range(ROWS)), "nonsense"]).encode()
    import_id = await store_import(connection, campaign, content)

    async def has_begun() -> bool:
        return (await import_row(connection, import_id)).added > 0

    async def is_over() -> bool:
        return (await import_row(connection, import_id)).status == "completed"

    with launcher(tmp_path, database, port=port) as launch:
        await hold_after_the_first(connection, "imports", "added")
        first = await launch.start("jobs", "jobs").ready()
        await until(has_begun, "a chunk of rows")
        await first.kill()
        cut_off = await import_row(connection, import_id)
        assert (cut_off.status, 0 < cut_off.added < ROWS) == ("running", True)
        assert await connection.fetchval("select count(*) from campaign_contacts") == cut_off.added
        await connection.execute("select pg_advisory_unlock(1)")
        # A dead worker is detected by its silence, which the test does not wait for.
        await connection.execute("update imports set heartbeat_at = '2026-01-01'")
        await connection.execute("update pgqueuer.pgqueuer set heartbeat = '2026-01-01'")

        second = await launch.start("jobs", "jobs").ready()
        await until(is_over, "the import's end")
        assert await second.terminate() == 0
        assert second.log_lines("jobs.stopped")

    row = await import_row(connection, import_id)
    assert (row.rows, row.added, row.already_there, row.refused) == (ROWS + 1, ROWS, 0, 1)
    assert await connection.fetchval("select count(*) from campaign_contacts") == ROWS
    assert await connection.fetchval("select count(*) from pgqueuer.pgqueuer") == 0


async def test_the_next_worker_goes_on_with_the_bulk_job_of_a_killed_one_and_does_nothing_twice(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    await fill_campaign(connection, campaign, CONTACTS)
    dsn = database.dsn_for("outdial_api")
    async with await Database.connect(dsn, application_name="tests:api") as api, api.as_service() as service:
        job = await request_bulk_job(
            service,
            campaign_id=campaign.id,
            request=BulkRequest(action=CampaignJobAction.SKIP, selection=ContactSelection(), reason="wrong list"),
            by="the service",
            actor=Actor(),
            now=NOW,
        )
    assert isinstance(job, BulkRequested)

    async def row() -> tuple[str, int]:
        found = await connection.fetchrow("select status, done from bulk_jobs")
        assert found is not None
        return found["status"], found["done"]

    async def has_begun() -> bool:
        return (await row())[1] > 0

    async def is_over() -> bool:
        return (await row())[0] == "completed"

    # Each change of a contact leaves a row, so that a second one would show.
    await connection.execute(
        """
        create table skips (id uuid);
        create function note_skip() returns trigger language plpgsql security definer as
          $$ begin insert into public.skips values (new.id); return new; end $$;
        create trigger note_skips after update on campaign_contacts for each row execute function note_skip();
        """
    )
    with launcher(tmp_path, database, port=port) as launch:
        await hold_after_the_first(connection, "bulk_jobs", "done")
        first = await launch.start("jobs", "jobs").ready()
        await until(has_begun, "a portion")
        await first.kill()
        status, done = await row()
        assert (status, 0 < done < CONTACTS) == ("running", True)
        await connection.execute("select pg_advisory_unlock(1)")
        # A dead worker is detected by its silence, which the test does not wait for.
        await connection.execute("update bulk_jobs set heartbeat_at = '2026-01-01'")
        await connection.execute("update pgqueuer.pgqueuer set heartbeat = '2026-01-01'")
        second = await launch.start("jobs", "jobs").ready()
        await until(is_over, "the job's end")
        assert await second.terminate() == 0

    assert await row() == ("completed", CONTACTS)
    counted = await connection.fetchrow("select count(*) as changes, count(distinct id) as contacts from skips")
    assert counted is not None
    assert tuple(counted) == (CONTACTS, CONTACTS)


async def test_a_running_worker_starts_jobs_at_once_and_stops_on_a_signal(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    tenant = await create_tenant(connection)
    with launcher(tmp_path, database, port=port) as launch:
        worker = await launch.start("jobs", "jobs").ready()
        export_id = await store_export(connection, tenant.organization_id, "contacts")

        async def is_over() -> bool:
            status = await connection.fetchval("select status from exports where id = $1", export_id)
            return bool(status == "completed")

        await until(is_over, "the export's end", within_s=30)
        assert await worker.terminate() == 0


async def test_without_a_queue_the_error_says_what_to_do(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    await connection.execute("drop schema pgqueuer cascade")
    with launcher(tmp_path, database, port=port) as launch:
        worker = launch.start("jobs", "jobs")
        assert await worker.ended() == 1

    assert "Run outdial db push" in worker.output()
