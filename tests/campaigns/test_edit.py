"""The settings of a campaign are saved with one guarded statement."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from outdial.campaigns.create import CampaignSettings, stored_settings
from outdial.campaigns.edit import FIXED_WHILE_RUNNING, Edited, edit_campaign
from outdial.campaigns.lifecycle import Actor, Conflict
from outdial.db.queries import campaigns
from outdial.db.rows import required
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
        retell_agent_id="agent_2",
    )
    async with api.as_service() as connection:
        return await edit_campaign(connection, campaign.id, settings, Actor(), NOW)


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
        CampaignStatus.ACTIVE, "a campaign that is active keeps retell_agent_id; pause it first"
    )


async def change(api: Database, campaign: Campaign, **changes: Any) -> Edited | Conflict:
    """Change some settings of a campaign with the service key."""
    async with api.as_service() as connection:
        row = required(await campaigns.show_campaign(connection, campaign_id=campaign.id, organization_id=None))
        return await edit_campaign(connection, campaign.id, replace(stored_settings(row), **changes), Actor(), NOW)


LIVE_CHANGES: dict[str, Any] = {
    "name": "Summer",
    "from_number": "+12125550199",
    "more_numbers": ["+12125550198"],
    "batch_size": 3,
    "max_concurrency": 4,
    "max_attempts": 5,
    "calling_hours": {"monday": [["10:00", "12:00"]]},
    "retry_policy": {"busy": {"delays": ["10m"]}},
    "dynamic_variables": {"offer": "spring"},
    "callback_policy": {"enabled": False},
    "voicemail_policy": {"action": "hang_up"},
    "day_parts": ["evening"],
    "keep_open": True,
    "reentry_after": timedelta(days=30),
    "budget_cents": 5000,
    "priority": 9,
    "share": 2,
}
FIXED_CHANGES: dict[str, Any] = {
    "retell_agent_id": "agent_2",
    "purpose": "survey",
    "consent_required": "written",
    "lists_required": ["national"],
    "scheduled_at": NOW + timedelta(days=1),
}


def test_every_setting_is_either_fixed_while_the_campaign_runs_or_not() -> None:
    own = {"organization_id", "provider_account_id"}
    assert set(FIXED_CHANGES) == set(FIXED_WHILE_RUNNING)
    assert {each.name for each in fields(CampaignSettings)} == own | set(LIVE_CHANGES) | set(FIXED_CHANGES)


@pytest.mark.parametrize("status", ["active", "pausing"])
async def test_settings_of_a_running_campaign_change_at_once_and_the_audit_log_has_old_and_new(
    api: Database, connection: asyncpg.Connection, status: str
) -> None:
    later = NOW + timedelta(hours=1)
    campaign = await create_campaign(
        connection, await create_tenant(connection), status=status, next_batch_at=later, batch_size=9
    )

    edited = await change(api, campaign, **LIVE_CHANGES)

    assert isinstance(edited, Edited)
    assert set(edited.changes) == set(LIVE_CHANGES)
    async with api.as_service() as service:
        row = required(await campaigns.show_campaign(service, campaign_id=campaign.id, organization_id=None))
    settings = stored_settings(row)
    assert {name: getattr(settings, name) for name in LIVE_CHANGES} == LIVE_CHANGES
    # The next claim uses them, and an active campaign is due for it now.
    assert row.next_batch_at == (NOW if status == "active" else later)
    details = json.loads(await connection.fetchval("select details from audit_log where action = 'edit_campaign'"))
    assert set(details["changes"]) == set(LIVE_CHANGES)
    assert details["changes"]["batch_size"] == {"before": 9, "after": 3}
    assert details["changes"]["calling_hours"]["after"] == LIVE_CHANGES["calling_hours"]


@pytest.mark.parametrize("name", FIXED_WHILE_RUNNING)
async def test_what_calls_depend_on_needs_a_pause(api: Database, connection: asyncpg.Connection, name: str) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    change_of = {"batch_size": 3, name: FIXED_CHANGES[name]}

    refused = await change(api, campaign, **change_of)
    await connection.execute("update campaigns set status = 'pausing'")
    pausing = await change(api, campaign, **change_of)
    await connection.execute("update campaigns set status = 'paused', next_batch_at = null")
    paused = await change(api, campaign, **change_of)

    reason = f"a campaign that is {{}} keeps {name}; pause it first"
    assert refused == Conflict(CampaignStatus.ACTIVE, reason.format("active"))
    assert pausing == Conflict(CampaignStatus.PAUSING, reason.format("pausing"))
    assert isinstance(paused, Edited)
    assert set(paused.changes) == set(change_of)


async def test_an_edit_that_changes_nothing_is_not_recorded(api: Database, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="completed")

    assert await change(api, campaign, name="Spring") == Edited({})
    assert await connection.fetchval("select count(*) from audit_log where action = 'edit_campaign'") == 0
    assert await change(api, campaign, name="Summer") == Conflict(
        CampaignStatus.COMPLETED, "a campaign that is completed cannot be edited; create another one"
    )
