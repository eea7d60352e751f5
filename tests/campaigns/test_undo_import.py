"""An import is undone whole, until one of its contacts was called."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns.importing import undo as undo_module
from outdial.campaigns.importing.undo import AlreadyCalled, UndoHeld, Undone, undo_import
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.clock import VirtualClock
from outdial.db.session import Connection, Database
from outdial.domain.ids import new_id
from tests.support.factories import (
    NOW,
    Campaign,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
)
from tests.support.importing import as_user, phone, phones_of, run
from tests.support.jobs import import_row, store_import, working
from tests.support.postgres import Scratch, until_one_waits

LATER = NOW + timedelta(minutes=1)


async def undo(api: Database, campaign: Campaign, import_id: UUID) -> object:
    return await undo_import(api.as_service, campaign.id, import_id, Actor(), LATER)


async def known_phones(connection: asyncpg.Connection) -> list[str]:
    return [row["phone"] for row in await connection.fetch("select phone from contacts order by phone")]


async def test_under_legal_hold_nothing_is_undone(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    import_id = new_id(NOW)
    await run(api, campaign, f"phone\n{phone(1)}\n", import_id=import_id)
    await connection.execute("update organizations set legal_hold = true, legal_hold_reason = 'Smith v. Acme'")

    result = await undo(api, campaign, import_id)

    assert isinstance(result, UndoHeld)
    assert "under legal hold" in result.reason
    assert await known_phones(connection) == [phone(1)]
    await connection.execute("update organizations set legal_hold = false, legal_hold_reason = null")
    assert await undo(api, campaign, import_id) == Undone(1)


async def test_what_an_import_added_is_removed_and_what_was_there_stays(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    first, second, elsewhere = new_id(NOW), new_id(NOW), await create_campaign(connection, campaign.tenant)
    await create_contact(connection, campaign.tenant.organization_id, phone=phone(4))
    await run(api, campaign, f"phone\n{phone(1)}\n", import_id=first)
    await run(api, campaign, f"phone,name\n{phone(1)},Ada\n{phone(2)},\n{phone(3)},\n{phone(4)},\n", import_id=second)
    await run(api, elsewhere, f"phone\n{phone(3)}\n")

    assert await undo(api, campaign, second) == Undone(3)

    assert await phones_of(connection, campaign) == [phone(1)]
    assert await phones_of(connection, elsewhere) == [phone(3)]
    # phone(2) came with this import only, phone(3) is in use elsewhere, and phone(4) was there before.
    assert await known_phones(connection) == [phone(1), phone(3), phone(4)]
    details = await connection.fetchval("select details::text from audit_log where action = 'undo_import'")
    assert json.loads(details) == {"import_id": str(second), "removed": 3}


async def test_a_contact_that_was_changed_since_stays_in_the_organization(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    import_id = new_id(NOW)
    await run(api, campaign, f"phone\n{phone(1)}\n{phone(2)}\n", import_id=import_id)
    await connection.execute("update contacts set name = 'Ada', updated_at = $1 where phone = $2", LATER, phone(1))

    assert await undo(api, campaign, import_id) == Undone(2)

    assert await phones_of(connection, campaign) == []
    assert await known_phones(connection) == [phone(1)]


@pytest.mark.parametrize("status", ["calling", "pending", "completed", "review"])
async def test_an_import_with_a_contact_that_was_called_stays_whole(
    api: Database, campaign: Campaign, connection: asyncpg.Connection, status: str
) -> None:
    import_id = new_id(NOW)
    await run(api, campaign, f"phone\n{phone(1)}\n{phone(2)}\n{phone(3)}\n", import_id=import_id)
    await connection.execute(
        "update campaign_contacts set status = 'calling', call_count = 1 where phone = $1", phone(2)
    )
    await connection.execute("update campaign_contacts set status = $1 where phone = $2", status, phone(2))

    result = await undo(api, campaign, import_id)

    assert result == AlreadyCalled(1)
    assert isinstance(result, AlreadyCalled)
    assert result.reason == (
        "1 contact of this import was called already, so the import cannot be undone; pause or cancel the campaign "
        "instead"
    )
    assert await phones_of(connection, campaign) == [phone(1), phone(2), phone(3)]
    assert await connection.fetchval("select count(*) from audit_log where action = 'undo_import'") == 0


async def test_an_import_of_another_campaign_or_an_unknown_one_removes_nothing(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    import_id, other = new_id(NOW), await create_campaign(connection, campaign.tenant)
    await run(api, campaign, f"phone\n{phone(1)}\n", import_id=import_id)
    await create_campaign_contact(connection, other)

    assert await undo(api, other, import_id) == Undone(0)
    assert await undo(api, campaign, new_id(NOW)) == Undone(0)
    assert await undo(api, Campaign(new_id(NOW), campaign.tenant), import_id) == NotFound()
    assert await phones_of(connection, campaign) == [phone(1)]


async def test_operators_undo_and_viewers_and_strangers_do_not(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    import_id = new_id(NOW)
    await run(api, campaign, f"phone\n{phone(1)}\n", import_id=import_id)
    stranger = await create_member(
        connection, (await create_tenant(connection, credential="x")).organization_id, "owner"
    )
    viewer = await create_member(connection, campaign.tenant.organization_id, "viewer")
    for outsider, refused in ((viewer, Forbidden()), (stranger, NotFound())):
        acting = as_user(api, outsider)
        assert await undo_import(acting, campaign.id, import_id, Actor(outsider), LATER) == refused
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with as_user(api, outsider)() as opened:
                await opened.execute(
                    "select private.undo_import($1, $2, $3, null, 10, $4)",
                    campaign.tenant.organization_id,
                    campaign.id,
                    import_id,
                    LATER,
                )
    assert await phones_of(connection, campaign) == [phone(1)]

    operator = await create_member(connection, campaign.tenant.organization_id, "operator")
    acting = as_user(api, operator)
    assert await undo_import(acting, campaign.id, import_id, Actor(operator), LATER) == Undone(1)


async def test_an_active_campaign_that_has_lost_its_last_contact_is_woken_and_completes(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    active = await create_campaign(connection, campaign.tenant, status="active", next_batch_at=NOW + timedelta(hours=9))
    import_id = new_id(NOW)
    await run(api, active, f"phone\n{phone(1)}\n", import_id=import_id, clock=VirtualClock(NOW - timedelta(hours=1)))
    await connection.execute("update campaigns set next_batch_at = $1", NOW + timedelta(hours=9))

    assert await undo(api, active, import_id) == Undone(1)

    assert await connection.fetchval("select next_batch_at from campaigns where id = $1", active.id) == LATER


async def test_an_import_of_the_studio_is_undone_once_and_not_while_it_runs(
    api: Database, database: Scratch, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    import_id = await store_import(connection, campaign, f"phone\n{phone(1)}\n".encode())
    assert await undo(api, campaign, import_id) == Undone(0)
    async with working(database) as worker:
        await worker.run_once()
    assert (await import_row(connection, import_id)).added == 1

    assert await undo(api, campaign, import_id) == Undone(1)
    row = await import_row(connection, import_id)
    assert (row.status, row.undone_at, row.removed) == ("completed", LATER, 1)
    assert await undo(api, campaign, import_id) == Undone(0)
    again = await store_import(connection, campaign, f"phone\n{phone(1)}\n".encode())
    async with working(database) as worker:
        await worker.run_once()
    assert (await import_row(connection, again)).added == 1


async def test_a_contact_that_another_campaign_takes_meanwhile_stays(
    api: Database, database: Scratch, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    import_id, other = new_id(NOW), await create_campaign(connection, campaign.tenant)
    await run(api, campaign, f"phone\n{phone(1)}\n", import_id=import_id)
    beside = await asyncpg.connect(database.dsn)
    async with beside.transaction():
        await beside.execute(
            """
            insert into campaign_contacts (organization_id, campaign_id, contact_id, phone, zone_key, next_attempt_at)
            select organization_id, $1, id, phone, zone_key, $2 from contacts
            """,
            other.id,
            NOW,
        )
        undoing = asyncio.create_task(undo(api, campaign, import_id))
        await until_one_waits(connection)

    assert await undoing == Undone(1)
    assert await known_phones(connection) == [phone(1)]
    assert await phones_of(connection, other) == [phone(1)]
    assert await phones_of(connection, campaign) == []
    await beside.close()


async def test_an_import_into_another_campaign_and_undoing_do_not_deadlock(
    api: Database, database: Scratch, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    import_id = new_id(NOW)
    await run(api, campaign, f"phone\n{phone(1)}\n{phone(2)}\n", import_id=import_id)
    importing = await asyncpg.connect(database.dsn)
    async with importing.transaction():
        # As an import does: contacts first, then their rows in campaigns.
        await importing.execute("select from contacts where phone = $1 for update", phone(1))
        undoing = asyncio.create_task(undo(api, campaign, import_id))
        await until_one_waits(connection)
        await importing.execute("update contacts set zone_key = 'America/Chicago' where phone = $1", phone(1))
    await importing.close()

    assert await undoing == Undone(2)


async def test_an_import_of_the_studio_is_not_undone_under_another_campaign(
    api: Database, database: Scratch, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    other = await create_campaign(connection, campaign.tenant)
    import_id = await store_import(connection, campaign, f"phone\n{phone(1)}\n".encode())
    async with working(database) as worker:
        await worker.run_once()

    assert await undo(api, other, import_id) == Undone(0)

    assert (await import_row(connection, import_id)).undone_at is None
    assert await undo(api, campaign, import_id) == Undone(1)


async def imported_in_portions(
    database: Scratch, campaign: Campaign, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> UUID:
    """Import five contacts that are undone two at a time."""
    monkeypatch.setattr(undo_module, "PORTION", 2)
    lines = "\n".join(phone(number) for number in range(1, 6))
    import_id = await store_import(connection, campaign, f"phone\n{lines}\n".encode())
    async with working(database) as worker:
        await worker.run_once()
    return import_id


async def test_an_import_is_undone_in_portions_and_a_contact_that_is_called_meanwhile_stays(
    api: Database,
    database: Scratch,
    campaign: Campaign,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import_id = await imported_in_portions(database, campaign, connection, monkeypatch)
    called: list[str] = []

    @asynccontextmanager
    async def transaction() -> AsyncIterator[Connection]:
        async with api.as_service() as opened:
            yield opened
        if not called:
            left = "select id from campaign_contacts order by contact_id desc limit 1"
            called.append(
                await connection.fetchval(
                    f"update campaign_contacts set status = 'calling', call_count = 1 where id in ({left}) "  # noqa: S608
                    "returning phone"
                )
            )

    assert await undo_import(transaction, campaign.id, import_id, Actor(), LATER) == Undone(4)

    assert await phones_of(connection, campaign) == await known_phones(connection) == called
    row = await import_row(connection, import_id)
    assert (row.removed, row.undone_at) == (4, LATER)
    removed = await connection.fetch("select details->>'removed' from audit_log where action = 'undo_import'")
    assert [each[0] for each in removed] == ["2", "2"]


async def test_undoing_that_was_interrupted_goes_on(
    api: Database,
    database: Scratch,
    campaign: Campaign,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import_id = await imported_in_portions(database, campaign, connection, monkeypatch)
    opened = [api.as_service()]
    with pytest.raises(IndexError):
        await undo_import(opened.pop, campaign.id, import_id, Actor(), LATER)
    row = await import_row(connection, import_id)
    assert (row.removed, row.undone_at) == (2, None)
    await connection.execute(
        """
        update campaign_contacts set status = 'calling', call_count = 1
        where id in (select id from campaign_contacts limit 1)
        """
    )

    assert await undo(api, campaign, import_id) == Undone(2)

    row = await import_row(connection, import_id)
    assert (row.removed, row.undone_at) == (4, LATER)
