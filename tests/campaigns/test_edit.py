"""The settings of a campaign are saved with one guarded statement."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from outdial.campaigns.create import CampaignSettings
from outdial.campaigns.edit import Edited, edit_campaign
from outdial.campaigns.lifecycle import Actor, Conflict
from outdial.db.session import Database
from outdial.domain.campaign import CampaignStatus
from tests.support.factories import NOW, Campaign, create_campaign, create_tenant
from tests.support.postgres import Scratch, until_one_waits


@pytest.fixture
async def api(database: Scratch) -> AsyncIterator[Database]:
    """Connections as the functions and the studio have them."""
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="tests:api") as opened:
        yield opened


async def edit(api: Database, campaign: Campaign) -> Edited | Conflict:
    """Rename a campaign with the service key."""
    settings = CampaignSettings(
        organization_id=campaign.tenant.organization_id,
        name="Summer",
        from_number="+12125550100",
        retell_agent_id="agent_1",
    )
    async with api.as_service() as connection:
        return await edit_campaign(connection, campaign.id, settings, ["name"], Actor(), NOW)


async def test_a_campaign_that_is_resumed_meanwhile_is_not_edited_and_the_reason_names_its_status(
    api: Database, database: Scratch, connection: asyncpg.Connection
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="paused")
    beside = await asyncpg.connect(database.dsn)
    async with beside.transaction():
        await beside.execute("update campaigns set status = 'active'")
        editing = asyncio.create_task(edit(api, campaign))
        await until_one_waits(connection)
    await beside.close()

    assert await editing == Conflict(
        CampaignStatus.ACTIVE, "a campaign that is active cannot be edited; pause it first"
    )
