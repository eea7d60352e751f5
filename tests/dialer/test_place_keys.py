"""Keys of an older version are computed again in batches, while calls go on."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import pytest

from outdial.db.queries.places import contact_keys
from outdial.dialer import place_keys
from outdial.dialer.place_keys import PlaceKeyUpdater
from outdial.domain.location import KEYS_VERSION, StoredKeys
from tests.support.dialing import Stage
from tests.support.factories import (
    NOW,
    Campaign,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_tenant,
)

TENNESSEE = "America/Chicago|America/New_York"


async def fill(connection: asyncpg.Connection, campaign: Campaign, size: int) -> None:
    """Add contacts of Chattanooga as an older version stored them: by their exchange, without a jurisdiction."""
    organization_id = campaign.tenant.organization_id
    await connection.execute(
        "insert into contacts (organization_id, phone, zone_key, zone_source, created_at, updated_at)"
        " select $1, '+1423' || (2000000 + n), 'America/New_York', 'number', $3, $3 from generate_series(1, $2::int) n",
        organization_id,
        size,
        NOW,
    )
    await connection.execute(
        "insert into campaign_contacts (organization_id, campaign_id, contact_id, phone, zone_key, next_attempt_at,"
        " created_at, updated_at)"
        " select organization_id, $2, id, phone, zone_key, $3, $3, $3 from contacts where organization_id = $1",
        organization_id,
        campaign.id,
        NOW,
    )
    await connection.execute("analyze contacts, campaign_contacts")


async def keys_of(connection: asyncpg.Connection, table: str) -> list[tuple[str, str, int]]:
    rows = await connection.fetch(f"select zone_key, jurisdiction_key, count(*) from {table} group by 1, 2")  # noqa: S608
    return [(row[0], row[1], row[2]) for row in rows]


async def test_old_keys_are_computed_again_and_pending_contacts_of_campaigns_follow(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    await fill(stage.look, campaign, 25)
    done = await create_contact(stage.look, campaign.tenant.organization_id, phone="+12125550142", zone_key="UTC")
    texan = await create_contact(
        stage.look, campaign.tenant.organization_id, phone="+12125550143", region="TX", zone_key="UTC"
    )
    await create_campaign_contact(stage.look, campaign, done, status="completed")
    await create_campaign_contact(stage.look, campaign, texan, status="review")
    await stage.look.execute("update contacts set keys_version = 0")

    assert await PlaceKeyUpdater(stage.dialing, stage.clock, batch_size=10).run_once() == 27
    assert await PlaceKeyUpdater(stage.dialing, stage.clock, batch_size=10).run_once() == 0

    assert (TENNESSEE, "US-TN", 25) in await keys_of(stage.look, "contacts")
    assert sorted(await keys_of(stage.look, "campaign_contacts")) == [
        ("America/Chicago|America/Denver|America/New_York", "US-TX", 1),
        (TENNESSEE, "US-TN", 25),
        # Never called again.
        ("UTC", "", 1),
    ]
    rows = await stage.look.fetch("select distinct keys_version, updated_at from contacts")
    # The contact itself is as it was: an import that added it can still be undone.
    assert [tuple(row) for row in rows] == [(KEYS_VERSION, NOW)]


async def test_a_place_that_a_member_changes_with_sql_has_its_keys_computed_again(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    contact = await create_contact(stage.look, tenant.organization_id, phone="+14155550142", jurisdiction_key="US-CA")
    updater = PlaceKeyUpdater(stage.dialing, stage.clock)
    await stage.look.execute("update contacts set name = 'Eve', region = region")
    assert await updater.run_once() == 0

    await stage.look.execute("update contacts set region = 'NY'")

    assert await updater.run_once() == 1
    assert await keys_of(stage.look, "contacts") == [("America/Los_Angeles|America/New_York", "US-NY", 1)]
    assert contact.zone_key == "America/New_York"


async def test_columns_that_contradict_each_other_end_in_the_strictest_law_and_not_in_a_loop(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await create_contact(
        stage.look, tenant.organization_id, phone="+12125550142", country="CA", region="TX", keys_version=1
    )

    assert await PlaceKeyUpdater(stage.dialing, stage.clock).run_once() == 1
    assert await PlaceKeyUpdater(stage.dialing, stage.clock).run_once() == 0
    assert await keys_of(stage.look, "contacts") == [("America/New_York", "US-ZZ", 1)]


async def test_a_phone_of_no_country_gets_keys_under_which_it_is_not_called(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    for phone in ("+9991234567", "+12125550142"):
        await create_contact(stage.look, tenant.organization_id, phone=phone, keys_version=1)

    assert await PlaceKeyUpdater(stage.dialing, stage.clock).run_once() == 2

    rows = await stage.look.fetch("select phone, zone_key, zone_source, jurisdiction_key, keys_version from contacts")
    assert sorted(tuple(row) for row in rows) == [
        ("+12125550142", "America/New_York", "number", "US-NY", KEYS_VERSION),
        ("+9991234567", "America/New_York", "conflict", "ZZ", KEYS_VERSION),
    ]


async def test_an_organization_whose_contacts_cannot_be_updated_delays_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        await fill(stage.look, await create_campaign(stage.look, await create_tenant(stage.look, credential=name)), 2)
    locate, batches = place_keys._locate, list[int]()

    def fail_first(rows: Sequence[contact_keys.OldKeys]) -> list[StoredKeys]:
        batches.append(len(rows))
        if len(batches) == 1:
            raise ZeroDivisionError
        return locate(rows)

    monkeypatch.setattr(place_keys, "_locate", fail_first)

    assert await PlaceKeyUpdater(stage.dialing, stage.clock).run_once() == 2
    assert batches == [2, 2, 0]


async def test_waiting_campaigns_look_again_once_the_keys_are_there(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    later = NOW.replace(year=2027)
    campaign = await create_campaign(stage.look, tenant, next_batch_at=later)
    paused = await create_campaign(stage.look, tenant, status="paused", next_batch_at=None)
    other = await create_campaign(stage.look, await create_tenant(stage.look, credential="other"), next_batch_at=later)
    await fill(stage.look, campaign, 1)

    await PlaceKeyUpdater(stage.dialing, stage.clock).run_once()

    due = {row["id"]: row["next_batch_at"] for row in await stage.rows("campaigns")}
    assert due == {campaign.id: NOW, paused.id: None, other.id: later}


async def locked_rows(connection: asyncpg.Connection, table: str) -> int:
    """Return how many rows another transaction holds so that they cannot be changed."""
    async with connection.transaction():
        free = await connection.fetchval(
            f"select count(*) from (select from {table} for no key update skip locked) as f"  # noqa: S608
        )
        total = await connection.fetchval(f"select count(*) from {table}")  # noqa: S608
    assert isinstance(free, int)
    assert isinstance(total, int)
    return total - free


async def test_ten_thousand_contacts_are_updated_in_batches_while_a_claim_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The updater is stopped in each of its transactions, and what it holds then is counted."""
    campaign = await create_campaign(stage.look, await create_tenant(stage.look, concurrency_limit=50), batch_size=5)
    await fill(stage.look, campaign, 10_000)
    loop, computed, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    locate = place_keys._locate

    async def pause() -> None:
        computed.set()
        await go_on.wait()
        go_on.clear()

    def locate_and_pause(rows: Sequence[contact_keys.OldKeys]) -> list[StoredKeys]:
        asyncio.run_coroutine_threadsafe(pause(), loop).result()
        return locate(rows)

    monkeypatch.setattr(place_keys, "_locate", locate_and_pause)
    updating = asyncio.ensure_future(PlaceKeyUpdater(stage.dialing, stage.clock).run_once())
    held: list[int] = []
    called = 0
    while True:
        waiting = asyncio.ensure_future(computed.wait())
        await asyncio.wait((waiting, updating), return_when=asyncio.FIRST_COMPLETED)
        if updating.done():
            waiting.cancel()
            break
        computed.clear()
        held.append(await locked_rows(stage.look, "contacts"))
        assert await locked_rows(stage.look, "campaign_contacts") == 0
        if len(held) <= 3:
            dialer = stage.dialer()
            await dialer.run_once()
            await dialer.settled()
            called = await stage.look.fetchval("select count(*) from calls")
            stage.clock.advance(timedelta(seconds=10))
        go_on.set()

    # The last batch is empty. A calling contact is updated too: its call is under way, and its next one needs the keys.
    assert held == [1_000] * 10 + [0]
    assert await updating == 10_000
    assert called >= 3
    assert await keys_of(stage.look, "contacts") == [(TENNESSEE, "US-TN", 10_000)]
    assert await keys_of(stage.look, "campaign_contacts") == [(TENNESSEE, "US-TN", 10_000)]


async def test_a_contact_that_is_being_changed_is_left_for_the_next_run(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    await fill(stage.look, campaign, 3)
    updater = PlaceKeyUpdater(stage.dialing, stage.clock)
    other = await asyncpg.connect(stage.scratch.dsn)
    try:
        async with other.transaction():
            await other.execute("select from contacts where phone = '+14232000002' for update")
            assert await updater.run_once() == 2
    finally:
        await other.close()
    assert await updater.run_once() == 1


async def test_an_event_that_holds_a_contact_of_a_campaign_delays_only_its_organization(stage: Stage) -> None:
    first, second = [
        await create_campaign(stage.look, await create_tenant(stage.look, credential=name)) for name in ("one", "two")
    ]
    await fill(stage.look, first, 2)
    await fill(stage.look, second, 2)
    other = await asyncpg.connect(stage.scratch.dsn)
    held = min(first, second, key=lambda campaign: campaign.tenant.organization_id)
    try:
        async with other.transaction():
            await other.execute("select from campaign_contacts where campaign_id = $1 for update", held.id)
            assert await PlaceKeyUpdater(stage.dialing, stage.clock).run_once() == 2
    finally:
        await other.close()
    assert await PlaceKeyUpdater(stage.dialing, stage.clock).run_once() == 2


async def test_a_dialer_updates_keys_of_its_own_declared_organization_only(stage: Stage) -> None:
    mine, other = await create_tenant(stage.look), await create_tenant(stage.look, credential="other")
    contact = await create_contact(stage.look, other.organization_id)
    async with stage.dialing.for_organization(mine.organization_id) as connection:
        assert (
            await contact_keys.set_contact_keys(
                connection,
                ids=[contact.id],
                zone_keys=["UTC"],
                zone_sources=["number"],
                jurisdiction_keys=["ZZ"],
                keys_version=KEYS_VERSION,
            )
            == 0
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("update contacts set name = 'Eve'")


async def test_the_webhook_role_finds_no_organizations_with_old_keys(stage: Stage) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with stage.webhook.transaction() as connection:
            await contact_keys.organizations_with_old_keys(connection, keys_version=KEYS_VERSION)
