"""The numbers of lists that no longer count are deleted in portions; lists in force and their numbers stay."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.clock import VirtualClock
from outdial.db.queries import screening
from outdial.db.session import Database
from outdial.domain.ids import new_id
from outdial.jobs.screening_retention import SILENT_FOR, ScreeningRetention
from tests.support.factories import NOW, Tenant, create_tenant, insert
from tests.support.postgres import Scratch


async def store(connection: asyncpg.Connection, tenant: Tenant, status: str, silent_for: timedelta) -> UUID:
    """Store a list with five numbers."""
    list_id = new_id(NOW)
    await insert(
        connection,
        "screening_lists",
        id=list_id,
        organization_id=tenant.organization_id,
        kind="litigator",
        registry_date=NOW.date(),
        file_name="numbers.csv",
        status=status,
        created_at=NOW - silent_for,
        updated_at=NOW - silent_for,
    )
    for number in range(5):
        await insert(
            connection,
            "screened_numbers",
            organization_id=tenant.organization_id,
            list_id=list_id,
            phone=f"+1212555010{number}",
        )
    return list_id


@pytest.mark.parametrize(
    ("status", "silent_for", "after"),
    [
        ("current", SILENT_FOR * 100, "current"),
        ("loading", SILENT_FOR, "loading"),
        ("loading", SILENT_FOR * 2, "failed"),
        ("replaced", timedelta(0), "replaced"),
        ("removed", timedelta(0), "removed"),
        ("failed", timedelta(0), "failed"),
    ],
)
async def test_numbers_of_lists_that_do_not_count_are_deleted(
    database: Scratch, connection: asyncpg.Connection, status: str, silent_for: timedelta, after: str
) -> None:
    cleared = (status, silent_for) not in (("current", SILENT_FOR * 100), ("loading", SILENT_FOR))
    first, second = [await create_tenant(connection, credential=name) for name in ("default", "other")]
    list_id = await store(connection, first, status, silent_for)
    kept = await store(connection, second, "current", timedelta(0))
    jobs = await Database.connect(database.dsn_for("outdial_jobs"), application_name="test", max_size=2)
    async with jobs:
        retention = ScreeningRetention(jobs, VirtualClock(NOW), portion=2)
        assert await retention.run_once() == cleared
        assert await retention.run_once() == 0

    left = await connection.fetch("select list_id, count(*) from screened_numbers group by list_id")
    assert {row["list_id"]: row["count"] for row in left} == {kept: 5} | ({} if cleared else {list_id: 5})
    assert await connection.fetchval("select status from screening_lists where id = $1", list_id) == after


async def test_an_upload_that_goes_on_is_failed_before_its_first_number_is_deleted(
    database: Scratch, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await create_tenant(connection)
    list_id = await store(connection, tenant, "loading", SILENT_FOR * 2)
    completed = []
    delete = screening.delete_screened_numbers

    async def delete_while_the_upload_completes(*arguments: Any, **named: Any) -> int:
        completed.append(
            await screening.complete_screening_list(
                connection, list_id=list_id, organization_id=tenant.organization_id, now=NOW
            )
        )
        return await delete(*arguments, **named)

    monkeypatch.setattr(screening, "delete_screened_numbers", delete_while_the_upload_completes)
    jobs = await Database.connect(database.dsn_for("outdial_jobs"), application_name="test", max_size=2)
    async with jobs:
        await ScreeningRetention(jobs, VirtualClock(NOW), portion=2).run_once()

    assert completed == [None] * 4
    assert await connection.fetchval("select status from screening_lists") == "failed"


async def test_an_upload_that_goes_on_before_it_is_failed_keeps_its_numbers(
    database: Scratch, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await create_tenant(connection)
    list_id = await store(connection, tenant, "loading", SILENT_FOR * 2)
    list_outdated = screening.outdated_screening_lists

    async def list_before_the_upload_goes_on(*arguments: Any, **named: Any) -> list[screening.OutdatedScreeningList]:
        outdated = await list_outdated(*arguments, **named)
        await screening.advance_screening_list(
            connection, list_id=list_id, organization_id=tenant.organization_id, added=1, refused=0, now=NOW
        )
        return outdated

    monkeypatch.setattr(screening, "outdated_screening_lists", list_before_the_upload_goes_on)
    jobs = await Database.connect(database.dsn_for("outdial_jobs"), application_name="test", max_size=2)
    async with jobs:
        assert await ScreeningRetention(jobs, VirtualClock(NOW), portion=2).run_once() == 1

    assert await connection.fetchval("select count(*) from screened_numbers") == 5
    assert await connection.fetchval("select status from screening_lists") == "loading"
