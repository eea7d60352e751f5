"""An undo beside what others do at the same moment: opt-outs, erasures and other acts."""

import asyncio
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.selected import SelectedRequest, act_on_selected
from outdial.campaigns.undoing.acts import record_act
from outdial.campaigns.undoing.undo import ActUndone, restore_contacts
from outdial.db.queries import do_not_call
from outdial.db.session import Connection, Database
from outdial.domain.policies.selection import SelectedAction
from outdial.domain.policies.undo import ActKind
from tests.campaigns.test_undo import LATER, World, block, skip, undo
from tests.support.factories import NOW, CampaignContact, create_campaign, create_campaign_contact
from tests.support.postgres import Scratch, until_one_waits
from tests.support.two_organizations import acting

ERASE = "select result from private.erase_phone($1, $2, $3, $4, $5, 'ann', $6)"


def erasure_of(entry: CampaignContact) -> tuple[object, ...]:
    return entry.campaign.tenant.organization_id, uuid4(), entry.contact.phone, uuid4().bytes * 2, bytes(8), LATER


async def erase(database: Scratch, entry: CampaignContact) -> None:
    eraser = await asyncpg.connect(database.dsn)
    async with eraser.transaction():
        await eraser.execute("set local role service_role")
        await eraser.execute(ERASE, *erasure_of(entry))
    await eraser.close()


async def unlist(connection: Connection, organization_id: UUID, phone: str) -> UUID | None:
    """Take a number off the list as a member does; None when it is not there any more."""
    removed = await do_not_call.unblock_phones(
        connection, organization_id=organization_id, phones=[phone], purpose=None
    )
    if not removed:
        return None
    return await record_act(
        connection,
        organization_id=organization_id,
        kind=ActKind.UNLIST,
        now=LATER,
        former=[asdict(entry) for entry in removed],
    )


async def opt_out(connection: Connection, organization_id: UUID, phone: str, at: datetime) -> None:
    await do_not_call.block_phones_during_call(connection, organization_ids=[organization_id], phones=[phone], now=at)


@pytest.mark.parametrize("apart", [timedelta(), timedelta(milliseconds=3), timedelta(hours=2, minutes=30)], ids=str)
async def test_an_opt_out_beside_an_addition_that_is_not_committed_outlives_its_undo(
    database: Scratch, connection: asyncpg.Connection, two_organizations: World, apart: timedelta
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    campaign = await create_campaign(connection, own.tenant, status="active")
    entry = await create_campaign_contact(connection, campaign)
    pool = await Database.connect(database.dsn_for("outdial_webhook"), application_name="test", max_size=1)

    async def ask_during_a_call() -> None:
        async with pool.transaction() as webhook:
            await opt_out(webhook, organization_id, entry.contact.phone, NOW + apart)

    async with pool:
        async with acting(two_organizations, "operator") as member:
            act_id = await block(member, campaign, entry, Actor(own.users["operator"]))
            asking = asyncio.ensure_future(ask_during_a_call())
            await until_one_waits(connection)
        await asking

    await undo(two_organizations, act_id)
    listed = "select source from do_not_call where phone = $1"
    assert await connection.fetchval(listed, entry.contact.phone) is not None


async def test_an_opt_out_beside_an_undo_is_on_the_list_whichever_is_first(
    database: Scratch, connection: asyncpg.Connection, two_organizations: World
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    campaign = await create_campaign(connection, own.tenant, status="active")
    entries = [await create_campaign_contact(connection, campaign) for _ in range(2)]
    async with acting(two_organizations, "operator") as member:
        acts = [await block(member, campaign, entry, Actor(own.users["operator"])) for entry in entries]
    pool = await Database.connect(database.dsn_for("outdial_webhook"), application_name="test", max_size=1)
    async with pool:
        async with pool.transaction() as webhook:
            await opt_out(webhook, organization_id, entries[0].contact.phone, LATER)
            undoing = asyncio.ensure_future(undo(two_organizations, acts[0]))
            await until_one_waits(connection)
        await undoing

        async def ask_during_a_call() -> None:
            async with pool.transaction() as webhook:
                await opt_out(webhook, organization_id, entries[1].contact.phone, LATER)

        async with acting(two_organizations, "operator") as member:
            await restore_contacts(member, organization_id, acts[1] or uuid4(), None, LATER)
            asking = asyncio.ensure_future(ask_during_a_call())
            await until_one_waits(connection)
        await asking
    phones = [entry.contact.phone for entry in entries]
    assert await connection.fetchval("select count(*) from do_not_call where phone = any ($1)", phones) == 2


async def test_a_number_that_was_removed_and_put_back_still_counts_as_added_again(
    connection: asyncpg.Connection, two_organizations: World
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    entry = await create_campaign_contact(connection, await create_campaign(connection, own.tenant, status="active"))
    phone = entry.contact.phone
    async with acting(two_organizations, "admin") as member:
        added = await block(member, entry.campaign, entry, Actor(own.users["admin"]))
    await opt_out(connection, organization_id, phone, LATER)
    async with acting(two_organizations, "admin") as member:
        taken_off = await unlist(member, organization_id, phone)
    assert await undo(two_organizations, taken_off, role="admin") == ActUndone(kind=ActKind.UNLIST, changed=1)
    await undo(two_organizations, added, role="admin")
    assert await connection.fetchval("select count(*) from do_not_call where phone = $1", phone) == 1


@pytest.mark.parametrize("status", ["pending", "review"])
async def test_blocking_a_number_locks_the_campaign_before_the_list(
    database: Scratch, connection: asyncpg.Connection, two_organizations: World, status: str
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    entry = await create_campaign_contact(connection, campaign, status=status)
    holder = await asyncpg.connect(database.dsn)
    holding = holder.transaction()
    await holding.start()
    await holder.execute("select from campaigns where id = $1 for no key update", campaign.id)

    async def never() -> UUID | None:
        async with acting(two_organizations, "operator") as member:
            return await block(member, campaign, entry, Actor(own.users["operator"]))

    working = asyncio.ensure_future(never())
    await until_one_waits(connection)
    # A bulk job that decides about contacts of the campaign puts their numbers on the list next.
    await holder.execute("set local lock_timeout = '2s'")
    await holder.execute(
        "insert into do_not_call (organization_id, phone, purpose, source) values ($1, $2, 'any', 'manual')",
        own.tenant.organization_id,
        entry.contact.phone,
    )
    await holding.commit()
    await holder.close()
    assert await working is not None


async def test_an_erasure_locks_no_contact_while_an_act_is_undone(
    database: Scratch, connection: asyncpg.Connection, two_organizations: World
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    entry = await create_campaign_contact(connection, campaign)
    async with acting(two_organizations, "operator") as member:
        act_id = await skip(member, campaign, entry, Actor(own.users["operator"]))
    undoing = await asyncpg.connect(database.dsn)
    holding = undoing.transaction()
    await holding.start()
    await undoing.execute("set local role service_role")
    await undoing.execute("select private.lock_act($1, $2)", own.tenant.organization_id, act_id)

    erasing = asyncio.ensure_future(erase(database, entry))
    await until_one_waits(connection)
    await undoing.execute("reset role")
    await undoing.execute("select from campaign_contacts where id = $1 for update nowait", entry.id)
    await holding.commit()
    await undoing.close()
    await erasing
    assert await connection.fetchval("select count(*) from undoable_acts where id = $1", act_id) == 0


async def test_an_erasure_leaves_no_act_with_the_number_that_a_member_removes_beside_it(
    database: Scratch, connection: asyncpg.Connection, two_organizations: World
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    entries = [
        await create_campaign_contact(connection, await create_campaign(connection, own.tenant, status="active"))
        for _ in range(2)
    ]
    for entry in entries:
        await opt_out(connection, organization_id, entry.contact.phone, NOW)

    # The removal first: the erasure waits for the entry of the list.
    async with acting(two_organizations, "admin") as member:
        assert await unlist(member, organization_id, entries[0].contact.phone) is not None
        erasing = asyncio.ensure_future(erase(database, entries[0]))
        await until_one_waits(connection)
    await erasing
    assert await connection.fetchval("select count(*) from undoable_acts where kind = 'unlist'") == 0

    # The erasure first: it is about to delete the acts.
    eraser = await asyncpg.connect(database.dsn)
    async with eraser.transaction():
        await eraser.execute("set local role service_role")
        await eraser.execute(ERASE, *erasure_of(entries[1]))

        async def remove() -> UUID | None:
            async with acting(two_organizations, "admin") as member:
                return await unlist(member, organization_id, entries[1].contact.phone)

        removing = asyncio.ensure_future(remove())
        await until_one_waits(connection)
    await eraser.close()
    assert await removing is None
    assert await connection.fetchval("select count(*) from undoable_acts where kind = 'unlist'") == 0


async def test_selected_contacts_are_locked_in_the_order_of_ids_whatever_is_done_with_each(
    database: Scratch, connection: asyncpg.Connection, two_organizations: World
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    entries = [await create_campaign_contact(connection, campaign, status=status) for status in ("pending", "review")]
    first, last = sorted(entry.id for entry in entries)
    holder = await asyncpg.connect(database.dsn)
    holding = holder.transaction()
    await holding.start()
    # Events of calls lock their contacts so.
    await holder.execute("select from campaign_contacts where id = $1 for update", first)

    async def act() -> None:
        async with acting(two_organizations, "operator") as member:
            await act_on_selected(
                member,
                organization_id=own.tenant.organization_id,
                request=SelectedRequest(action=SelectedAction.DO_NOT_CALL, ids=[last, first]),
                by="ann@example.com",
                actor=Actor(own.users["operator"]),
                now=NOW,
            )

    working = asyncio.ensure_future(act())
    await until_one_waits(connection)
    await holder.execute("select from campaign_contacts where id = $1 for update nowait", last)
    await holding.commit()
    await holder.close()
    await working
    assert await connection.fetchval("select count(*) from do_not_call where source = 'manual'") == 2
