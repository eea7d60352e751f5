"""What happens beside an import: campaigns that end or run, rights, other imports, cancellation."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from outdial.campaigns.errors import CampaignClosed, CampaignNotFound
from outdial.campaigns.importing.contact_rows import NewContact
from outdial.campaigns.importing.contact_store import ContactStore
from outdial.campaigns.importing.import_file import import_contacts
from outdial.campaigns.lifecycle import Actor
from outdial.clock import VirtualClock
from outdial.db.session import Connection, Database
from outdial.domain.campaign import OPEN_TO_IMPORT, CampaignStatus
from outdial.domain.contact_fields import CONTACT_FIELD_NAMES
from outdial.domain.location import Location, StatedPlace
from outdial.domain.place import Place
from tests.support.factories import (
    NOW,
    Campaign,
    create_campaign,
    create_member,
    create_tenant,
)
from tests.support.importing import as_user, phone, phones_of, run


@pytest.mark.parametrize("status", sorted(set(CampaignStatus) - OPEN_TO_IMPORT))
async def test_a_campaign_that_has_ended_takes_no_contacts(
    api: Database, campaign: Campaign, connection: asyncpg.Connection, status: str
) -> None:
    ended = await create_campaign(connection, campaign.tenant, status=status)
    with pytest.raises(CampaignClosed, match=f"^the campaign is {status} and accepts no more contacts$"):
        await run(api, ended, f"phone\n{phone(1)}\n")
    assert await connection.fetchval("select count(*) from contacts") == 0


async def test_a_campaign_that_is_cancelled_meanwhile_keeps_what_had_gone_in(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    opened = 0

    @asynccontextmanager
    async def transaction() -> AsyncIterator[Connection]:
        nonlocal opened
        opened += 1
        if opened == 4:
            await connection.execute("update campaigns set status = 'cancelling', next_batch_at = $1", NOW)
        async with api.as_service() as held:
            yield held

    with pytest.raises(CampaignClosed, match="cancelling and accepts no more contacts; 6 were added before") as caught:
        await run(api, campaign, "\n".join(["phone", *map(phone, range(20))]), chunk_rows=3, transaction=transaction)
    assert (caught.value.status, caught.value.added) == ("cancelling", 6)
    told_of = json.loads(await connection.fetchval("select details::text from audit_log"))
    assert told_of == {"added": 6, "already_there": 0, "refused": 0, "stopped": True}
    assert len(await phones_of(connection, campaign)) == 6


async def test_a_running_campaign_is_woken_and_no_other(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    heard: list[str] = []
    await connection.add_listener("outdial_campaigns", lambda *told: heard.append(str(told[-1])))
    later = NOW + timedelta(hours=1)
    active = await create_campaign(connection, campaign.tenant, status="active", next_batch_at=later)
    paused = await create_campaign(connection, campaign.tenant, status="paused", next_batch_at=later)
    for each in (campaign, paused, active, active):
        await run(api, each, f"phone\n{phone(1)}\n")
    moments = await connection.fetch("select id, next_batch_at from campaigns")
    assert {row["id"]: row["next_batch_at"] for row in moments} == {campaign.id: None, paused.id: later, active.id: NOW}
    assert heard == [str(active.id)]


async def test_operators_import_and_viewers_and_strangers_do_not(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    organization_id = campaign.tenant.organization_id
    other = await create_tenant(connection, credential="other")
    await connection.execute("update campaigns set status = 'active', next_batch_at = $1", NOW + timedelta(hours=1))
    text = f"phone,name,plan\n{phone(1)},Ada,gold\n"
    for outsider in (
        await create_member(connection, organization_id, "viewer"),
        await create_member(connection, other.organization_id, "owner"),
    ):
        with pytest.raises(CampaignNotFound):
            await run(api, campaign, text, transaction=as_user(api, outsider))
    assert await connection.fetchval("select count(*) from contacts") == 0
    operator = await create_member(connection, organization_id, "operator")
    for added in (1, 0):
        report = await run(api, campaign, text, transaction=as_user(api, operator), actor=Actor(operator))
        assert (report.added, report.already_there) == (added, 1 - added)
    assert await connection.fetchval("select next_batch_at from campaigns") == NOW


def new_contacts(numbers: Iterable[int]) -> list[NewContact]:
    return [
        NewContact(
            line=number,
            written="",
            phone=phone(number),
            details=dict.fromkeys(CONTACT_FIELD_NAMES),
            location=Location(place=Place("America/New_York", "US-NY"), zone_source="number", stated=StatedPlace()),
            consent=None,
            variables="{}",
            cells=(),
        )
        for number in numbers
    ]


async def test_imports_of_the_same_people_at_once_wait_for_each_other(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    await connection.execute("update campaigns set status = 'active', next_batch_at = $1", NOW + timedelta(hours=1))
    store = ContactStore(api.as_service, campaign.id, VirtualClock(NOW))
    await asyncio.gather(store.check(), store.check())
    numbers = range(2_000)
    stored = await asyncio.gather(store.store(new_contacts(numbers)), store.store(new_contacts(reversed(numbers))))
    assert sorted(each.added for each in stored) == [0, 2_000]
    assert sorted(each.already_there for each in stored) == [0, 2_000]


class Watched(io.BytesIO):
    """A file that counts the reads after it was closed."""

    reads_after_close = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads_after_close += self.closed
        return super().read(size)


async def test_a_cancelled_import_has_let_go_of_the_file(api: Database, campaign: Campaign) -> None:
    lines = [f"{phone(n)},{'x' * 5_000}" for n in range(3_000)]
    file = Watched("\n".join(["phone,notes", *lines]).encode())
    stored = asyncio.Event()
    importing = asyncio.ensure_future(
        import_contacts(
            file,
            campaign.id,
            api.as_service,
            actor=Actor(),
            clock=VirtualClock(NOW),
            default_region="US",
            on_progress=lambda _: stored.set(),
            chunk_rows=200,
        )
    )
    await stored.wait()
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    file.close()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert file.reads_after_close == 0
