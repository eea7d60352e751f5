"""Whoever locks several rows locks them in the order of their ids, calls before contacts: nobody waits in a circle."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns.entries.items import ItemReader
from outdial.campaigns.importing.contact_store import ContactStore
from outdial.clock import VirtualClock
from outdial.db.queries import calling_rules, campaign_status, due_contacts
from outdial.db.queries import calls as call_queries
from outdial.db.session import Database
from outdial.dialer.finish import Finisher
from outdial.dialer.place import CallResponse, PlacementResponse, TooLate
from outdial.dialer.plan import PlannedCall
from outdial.dialer.settle import Settler
from outdial.domain.campaign import CampaignStatus
from outdial.inbox.applier import EventApplier
from outdial.provider import CallPlaced, CallRefused, CallUncertain, RefusalKind
from outdial.retell.events import RetellEventReader
from outdial.retell.provider import RetellProvider
from outdial.settings import DialerSettings
from tests.support.dialing import ANY_TIME, CHECK_AFTER, event_body
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    create_calling,
    create_campaign,
    create_tenant,
    insert,
)
from tests.support.postgres import Scratch, until_one_waits

DEADLINE = NOW + timedelta(seconds=35)


@dataclass(frozen=True, slots=True)
class Scene:
    """Two calls whose rows lie, and are named, in the order in which they must not be locked."""

    database: Scratch
    look: asyncpg.Connection
    dialer: Database
    webhook: Database
    campaign: Campaign
    entries: tuple[CampaignContact, CampaignContact]
    calls: tuple[UUID, UUID]

    async def first_waited_for(self, table: str, ids: tuple[UUID, UUID], work: Awaitable[object]) -> bool:
        """Tell whether `work`, while it waits for the row of the smaller id, leaves the other free."""
        holder = await asyncpg.connect(self.database.dsn)
        holding = holder.transaction()
        await holding.start()
        await holder.execute(f"select from {table} where id = $1 for update", min(ids))
        working = asyncio.ensure_future(work)
        await until_one_waits(self.look)
        try:
            await holder.execute(f"select from {table} where id = $1 for update nowait", max(ids))
        except asyncpg.LockNotAvailableError:
            return False
        finally:
            await holding.rollback()
            await working
            await holder.close()
        return True


@pytest.fixture
async def scene(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Scene]:
    campaign = await create_campaign(connection, await create_tenant(connection))
    one, first = await create_calling(connection, campaign)
    two, second = await create_calling(connection, campaign)
    # A new version of the row lies behind the others.
    await connection.execute("update campaign_contacts set updated_at = $1 where id = $2", NOW, one.id)
    await connection.execute("update calls set updated_at = $1 where id = $2", NOW, first)
    # A join that sorts would lock in the right order by chance.
    for method in ("mergejoin", "hashjoin", "indexscan", "bitmapscan"):
        await connection.execute(f"alter database {database.name} set enable_{method} = off")
    async with AsyncExitStack() as stack:
        dialer, webhook = [
            await stack.enter_async_context(await Database.connect(database.dsn_for(role), application_name="test"))
            for role in ("outdial_dialer", "outdial_webhook")
        ]
        yield Scene(database, connection, dialer, webhook, campaign, (two, one), (second, first))


def planned(scene: Scene, call_id: UUID) -> PlannedCall:
    tenant = scene.campaign.tenant
    return PlannedCall(
        id=call_id,
        organization_id=tenant.organization_id,
        campaign_id=scene.campaign.id,
        campaign_status=CampaignStatus.ACTIVE,
        provider_account_id=tenant.provider_account_id,
        credential=tenant.credential,
        phone="+12125550100",
        start_at=NOW,
        deadline=DEADLINE,
        spacing=timedelta(milliseconds=10),
        body=b"",
        window=ANY_TIME,
        limits_at=NOW,
    )


async def settle(scene: Scene, answer_to: Callable[[UUID], PlacementResponse]) -> None:
    settler = Settler(scene.dialer, VirtualClock(NOW), DialerSettings())
    await settler.settle([CallResponse(planned(scene, call_id), answer_to(call_id)) for call_id in scene.calls])


async def flush(scene: Scene) -> None:
    async with scene.webhook.transaction() as connection:
        await call_queries.lock_reported_calls(connection, ids=list(scene.calls), retell_call_ids=[])


ANSWERS: dict[str, Callable[[UUID], PlacementResponse]] = {
    "placed": lambda call_id: CallPlaced(f"call_{call_id}", None),
    "refused": lambda _: CallRefused(RefusalKind.contact, 400, "bad number"),
    "ambiguous": lambda _: CallUncertain("HTTP 500"),
    "too late": lambda _: TooLate(),
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_settling_locks_calls_in_the_order_of_ids(scene: Scene, answer: str) -> None:
    assert await scene.first_waited_for("calls", scene.calls, settle(scene, ANSWERS[answer]))


@pytest.mark.parametrize("answer", ["refused", "too late"])
async def test_settling_locks_contacts_in_the_order_of_ids(scene: Scene, answer: str) -> None:
    ids = (scene.entries[0].id, scene.entries[1].id)
    assert await scene.first_waited_for("campaign_contacts", ids, settle(scene, ANSWERS[answer]))


@pytest.mark.parametrize("table", ["calls", "campaign_contacts"])
async def test_a_flush_locks_in_the_order_of_ids(scene: Scene, table: str) -> None:
    ids = scene.calls if table == "calls" else (scene.entries[0].id, scene.entries[1].id)
    assert await scene.first_waited_for(table, ids, flush(scene))


async def test_a_flush_locks_all_its_calls_before_it_locks_a_contact(scene: Scene) -> None:
    # The call with the greater id belongs to the contact with the smaller one.
    (two, one), (second, first) = scene.entries, scene.calls
    await scene.look.execute(
        "update calls set campaign_contact_id = $1, attempt_number = 2 where id = $2", one.id, second
    )
    await scene.look.execute("update calls set campaign_contact_id = $1 where id = $2", two.id, first)
    holder = await asyncpg.connect(scene.database.dsn)
    async with holder.transaction():
        await holder.execute("select from calls where id = $1 for update", second)
        flushing = asyncio.create_task(flush(scene))
        await until_one_waits(scene.look)
        await holder.execute("select from campaign_contacts for update nowait")
    await flushing
    await holder.close()


async def test_pausing_an_account_locks_its_campaigns_in_the_order_of_ids(scene: Scene) -> None:
    tenant = scene.campaign.tenant
    other = await create_campaign(scene.look, tenant)
    await scene.look.execute("update campaigns set updated_at = $1 where id = $2", NOW, scene.campaign.id)

    async def pause() -> None:
        async with scene.webhook.transaction() as connection:
            await campaign_status.pause_account_campaigns(
                connection, provider_account_id=tenant.provider_account_id, reason="no credit", now=NOW
            )

    assert await scene.first_waited_for("campaigns", (other.id, scene.campaign.id), pause())


async def test_a_corrected_zone_locks_campaign_contacts_in_the_order_of_ids(scene: Scene) -> None:
    async def correct() -> None:
        connection = await asyncpg.connect(scene.database.dsn)
        await connection.execute("update contacts set zone_key = 'Europe/Berlin'")
        await connection.close()

    (two, one) = scene.entries
    await scene.look.execute("update contacts set updated_at = $1 where id = $2", NOW, one.contact.id)
    assert await scene.first_waited_for("campaign_contacts", (two.id, one.id), correct())


async def test_a_claim_that_skips_a_place_does_not_wait_for_contacts(scene: Scene) -> None:
    await scene.look.execute("update campaign_contacts set status = 'pending'")
    held = scene.entries[0].id
    holder = await asyncpg.connect(scene.database.dsn)
    async with holder.transaction():
        await holder.execute("select from campaign_contacts where id = $1 for update", held)
        async with scene.dialer.for_organization(scene.campaign.tenant.organization_id) as connection:
            await due_contacts.skip_places(
                connection,
                campaign_id=scene.campaign.id,
                zone_keys=["America/New_York"],
                jurisdiction_keys=[""],
                reason="r",
                limit=9,
                now=NOW,
            )
    await holder.close()

    rows = await scene.look.fetch("select id from campaign_contacts where status = 'pending'")
    assert [row["id"] for row in rows] == [held]


async def test_finishing_a_pause_locks_no_call_while_it_waits_for_the_campaign(scene: Scene) -> None:
    await scene.look.execute("update campaigns set status = 'pausing'")
    holder = await asyncpg.connect(scene.database.dsn)
    finisher = Finisher(scene.dialer, RetellProvider({}), VirtualClock(DEADLINE))
    async with holder.transaction():
        # As a repeated request holds its campaign, on its way to the call.
        await holder.execute("select from campaigns for share")
        tenant = scene.campaign.tenant
        finishing = asyncio.create_task(finisher.finish(tenant.organization_id, scene.campaign.id, "pausing"))
        await until_one_waits(scene.look)
        await holder.execute("select from calls for update nowait")
    assert await finishing
    await holder.close()


async def test_an_applier_locks_no_event_while_it_waits_for_a_call(scene: Scene) -> None:
    _, call_id = scene.calls
    body = event_body("call_started", "call_1", call_id)
    await insert(
        scene.look,
        "webhook_events",
        source="webhook",
        credential="default",
        retell_call_id="call_1",
        event="call_started",
        body=body,
        body_sha256=bytes(32),
        received_at=NOW,
        next_try_at=NOW,
    )
    holder = await asyncpg.connect(scene.database.dsn)
    async with holder.transaction():
        # As a flush does that counts a repeat of the event.
        await holder.execute("select from calls where id = $1 for update", call_id)
        applying = asyncio.create_task(
            EventApplier(scene.webhook, RetellEventReader(), VirtualClock(NOW), check_after=CHECK_AFTER).run_once()
        )
        await until_one_waits(scene.look)
        await holder.execute("select from webhook_events for update nowait")
    assert await applying == 1
    await holder.close()


async def test_changed_rules_wake_campaigns_in_the_order_of_their_ids(scene: Scene) -> None:
    later = NOW + timedelta(hours=1)
    other = await create_campaign(scene.look, scene.campaign.tenant, next_batch_at=later)
    # A new version of the row lies behind the other.
    await scene.look.execute("update campaigns set next_batch_at = $1 where id = $2", later, scene.campaign.id)

    async def wake() -> None:
        async with scene.dialer.for_organization(scene.campaign.tenant.organization_id) as connection:
            await calling_rules.wake_organization(
                connection, organization_id=scene.campaign.tenant.organization_id, now=NOW
            )

    assert await scene.first_waited_for("campaigns", (scene.campaign.id, other.id), wake())


async def test_an_addition_locks_contacts_of_its_campaign_in_the_order_of_ids(scene: Scene) -> None:
    """A bulk job or a batch of events that has the first one waits for the second."""
    low, high = sorted(scene.entries, key=lambda entry: entry.id)
    await scene.look.execute("update campaigns set reentry_after = interval '1 hour'")
    # One enters again, the other is refreshed and moves to another zone: three statements of an addition.
    completed = "update campaign_contacts set status = 'completed', updated_at = updated_at - interval '1 day'"
    await scene.look.execute(f"{completed} where id = $1", low.id)
    await scene.look.execute("update campaign_contacts set status = 'pending' where id = $1", high.id)

    async def add() -> None:
        async with await Database.connect(scene.database.dsn_for("outdial_api"), application_name="test") as api:
            store = ContactStore(api.as_service, scene.campaign.id, VirtualClock(NOW))
            items = [
                {"phone": entry.contact.phone, "timezone": "Europe/Berlin", "variables": {"a": "b"}}
                for entry in (high, low)
            ]
            contacts, refused = ItemReader(None, NOW).read(items)
            assert (refused, (await store.store(contacts)).added) == ([], 1)

    assert await scene.first_waited_for("campaign_contacts", (low.id, high.id), add())


SEVERAL_ROWS = re.compile(
    r"(insert into campaign_contacts|from campaign_contacts\b.*\bfor (no key )?update)", re.DOTALL
)
IN_ORDER = re.compile(r"order by (cc\.)?id\b|order by (u|cc)\.contact_id\b|skip locked")


def test_every_statement_that_locks_or_adds_several_contacts_of_a_campaign_names_an_order() -> None:
    queries = Path("src/outdial/db/queries").rglob("*.sql")
    blocks = [block for path in queries for block in path.read_text().split("-- name: ")[1:]]
    several = {block.split()[0]: block for block in blocks if SEVERAL_ROWS.search(block)}

    assert {"lock_entries", "lock_portion_contacts", "copy_contacts", "add_campaign_contacts"} <= several.keys()
    assert [name for name, block in several.items() if not IN_ORDER.search(block)] == []
