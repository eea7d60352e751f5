"""Callbacks are listed in order and moved by operators; bad times are refused with what to do."""

from datetime import timedelta

import asyncpg
import httpx
import pytest

from tests.support.factories import NOW, create_calling, create_campaign, create_campaign_contact
from tests.support.studio import ClientFor
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


async def test_callbacks_are_listed_in_order_and_moved(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own.tenant
    campaign = await create_campaign(connection, own)
    entries = []
    for hours in (3, 2):
        at = NOW + timedelta(hours=hours)
        columns = {"callback_at": at, "next_attempt_at": at, "callbacks": 1, "rank": 0, "usual_rank": 5}
        entries.append(await create_campaign_contact(connection, campaign, **columns))
    plain, _ = await create_calling(connection, campaign)
    url = f"/api/v1/organizations/{own.organization_id}/callbacks"

    first = (await operator.get(url, params={"limit": 1, "campaign": str(campaign.id)})).json()
    rest = (await operator.get(url, params={"cursor": first["next"], "campaign": str(campaign.id)})).json()
    listed = [item["campaign_contact_id"] for item in first["items"] + rest["items"]]
    assert listed == [str(entries[1].id), str(entries[0].id)]
    assert list(first["items"][0]["local_times"]) == ["America/New_York"]

    moved = await operator.patch(f"{url}/{entries[0].id}", json={"time": "in 1 hour"})
    assert moved.status_code == 200
    row = await connection.fetchrow("select * from campaign_contacts where id = $1", entries[0].id)
    assert row["callback_at"] == row["next_attempt_at"]
    assert (row["rank"], row["callbacks"]) == (0, 1)
    assert await connection.fetchval("select count(*) from audit_log where action = 'move_callback'") == 1

    for time, word in (
        ("2001-01-01T10:00", "has passed"),
        ("sometime", "no time can be read"),
        ("in 9 weeks", "60 days"),
    ):
        refused = await operator.patch(f"{url}/{entries[0].id}", json={"time": time})
        assert refused.status_code == 400
        assert word in refused.text
    assert (await operator.patch(f"{url}/{plain.id}", json={"time": "in 1 hour"})).status_code == 409
    assert await connection.fetchval("select count(*) from audit_log where action = 'move_callback'") == 1
