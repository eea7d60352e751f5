"""Campaigns change by guarded statements, under the rights of whoever asks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.campaigns import lifecycle
from outdial.campaigns.lifecycle import Actor, Changed, Conflict, Forbidden, NotFound, Result, Unchanged
from outdial.db.session import Database
from outdial.domain.campaign import CampaignStatus
from tests.support.factories import NOW, create_campaign, create_campaign_contact, create_member, create_tenant
from tests.support.postgres import Scratch

Action = Callable[..., Awaitable[Result]]


@pytest.fixture
async def api(database: Scratch) -> AsyncIterator[Database]:
    """Connections as the functions and the studio have them."""
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="tests:api") as opened:
        yield opened


async def as_user(api: Database, user_id: UUID, action: Action, campaign_id: UUID, **arguments: Any) -> Result:
    """Act as a signed-in user."""
    claims = {"sub": str(user_id), "role": "authenticated"}
    async with api.as_caller("authenticated", claims) as connection:
        return await action(connection, campaign_id, Actor(user_id), NOW, **arguments)


async def as_service(api: Database, action: Action, campaign_id: UUID, **arguments: Any) -> Result:
    """Act with the service key."""
    async with api.as_service() as connection:
        return await action(connection, campaign_id, Actor(), NOW, **arguments)


@pytest.mark.parametrize("role", ["owner", "admin", "operator"])
async def test_an_operator_and_those_above_run_a_campaign(
    api: Database, connection: asyncpg.Connection, role: str
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, status="draft", next_batch_at=None)
    await create_campaign_contact(connection, campaign)
    user = await create_member(connection, tenant.organization_id, role)
    assert await as_user(api, user, lifecycle.start, campaign.id) == Changed(CampaignStatus.ACTIVE)
    assert await as_user(api, user, lifecycle.start, campaign.id) == Unchanged(CampaignStatus.ACTIVE)
    assert await as_user(api, user, lifecycle.pause, campaign.id) == Changed(CampaignStatus.PAUSED)
    assert await as_user(api, user, lifecycle.pause, campaign.id) == Unchanged(CampaignStatus.PAUSED)
    assert await as_user(api, user, lifecycle.resume, campaign.id) == Changed(CampaignStatus.ACTIVE)
    assert await as_user(api, user, lifecycle.cancel, campaign.id) == Changed(CampaignStatus.CANCELLING)
    assert await connection.fetchval("select array_agg(distinct actor) from audit_log") == [str(user)]
    assert await connection.fetchval("select count(*) from audit_log") == 4


ACTIONS = [lifecycle.start, lifecycle.pause, lifecycle.resume, lifecycle.cancel]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
async def test_a_viewer_is_forbidden_and_an_outsider_finds_nothing(
    api: Database, connection: asyncpg.Connection, action: Action
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant)
    viewer = await create_member(connection, tenant.organization_id, "viewer")
    outsider = await create_member(
        connection, (await create_tenant(connection, credential="other")).organization_id, "owner"
    )
    before = await connection.fetchrow("select * from campaigns")
    assert await as_user(api, viewer, action, campaign.id) == Forbidden()
    assert await as_user(api, outsider, action, campaign.id) == NotFound()
    assert await as_service(api, action, uuid4()) == NotFound()
    assert await connection.fetchrow("select * from campaigns") == before
    assert await connection.fetchval("select count(*) from audit_log") == 0


async def test_a_refusal_names_the_state_and_what_is_needed(api: Database, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="completed")
    result = await as_service(api, lifecycle.resume, campaign.id)
    assert result == Conflict(
        CampaignStatus.COMPLETED,
        "a campaign with the status completed cannot be resumed, only one that is pausing or paused",
    )


async def test_a_pause_keeps_its_reason_and_a_resume_forgets_it(api: Database, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    await as_service(api, lifecycle.pause, campaign.id, reason="lunch")
    assert await connection.fetchval("select paused_reason from campaigns") == "lunch"
    await as_service(api, lifecycle.resume, campaign.id)
    assert await connection.fetchval("select paused_reason from campaigns") is None
    # The audit log has a reason only if someone gave one.
    await as_service(api, lifecycle.pause, campaign.id, shown="paused by ann")
    assert await connection.fetchval("select paused_reason from campaigns") == "paused by ann"
    reasons = await connection.fetch(
        "select details ->> 'reason' as reason from audit_log where action = 'pause_campaign' order by id"
    )
    assert [row["reason"] for row in reasons] == ["lunch", None]


async def test_starting_again_keeps_the_first_start(api: Database, connection: asyncpg.Connection) -> None:
    first = NOW - timedelta(days=1)
    campaign = await create_campaign(
        connection, await create_tenant(connection), status="paused", started_at=first, next_batch_at=None
    )
    await as_service(api, lifecycle.resume, campaign.id)
    row = await connection.fetchrow("select started_at, next_batch_at from campaigns")
    assert tuple(row or ()) == (first, NOW)


async def test_of_many_that_ask_at_once_one_changes_the_campaign(api: Database, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="draft", next_batch_at=None)
    await create_campaign_contact(connection, campaign)
    results = await asyncio.gather(*(as_service(api, lifecycle.start, campaign.id) for _ in range(8)))
    assert results.count(Changed(CampaignStatus.ACTIVE)) == 1
    assert results.count(Unchanged(CampaignStatus.ACTIVE)) == 7
    assert await connection.fetchval("select count(*) from audit_log") == 1


async def test_a_change_that_is_rolled_back_is_neither_told_nor_kept(
    api: Database, connection: asyncpg.Connection
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))

    async def pause_and_go_away() -> None:
        async with api.as_service() as service:
            await lifecycle.pause(service, campaign.id, Actor(), NOW)
            raise RuntimeError("the client went away")

    with pytest.raises(RuntimeError, match="went away"):
        await pause_and_go_away()
    assert await connection.fetchval("select status from campaigns") == "active"
    assert await connection.fetchval("select count(*) from audit_log") == 0
