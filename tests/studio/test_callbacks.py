"""Callbacks are listed in order and moved by operators; bad times are refused with what to do."""

from datetime import timedelta

import asyncpg
import httpx
import pytest

from outdial.domain.policies.callback_requests import ASKED
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

    # The page filters by campaign, keeps the filter when a callback is moved, and is linked from campaign and contact.
    other = await create_campaign(connection, own, name="Other")
    page, query = f"/o/{own.organization_id}/callbacks", f"/o/{own.organization_id}/callbacks?campaign={campaign.id}"
    assert f'action="{page}/{entries[0].id}?campaign={campaign.id}"' in (await operator.get(query)).text
    assert "No contact of this campaign is waiting" in (await operator.get(f"{page}?campaign={other.id}")).text
    unknown = await operator.get(f"{page}?campaign=x")
    assert (unknown.status_code, "Unknown campaign" in unknown.text) == (400, True)
    of_campaign = f"/o/{own.organization_id}/campaigns/{campaign.id}"
    assert f'href="{query}"' in (await operator.get(f"{of_campaign}/contacts/{entries[0].id}")).text
    tab = f"{of_campaign}/callbacks"
    assert f'href="{tab}"' in (await operator.get(of_campaign)).text
    shown = (await operator.get(tab)).text
    assert f'action="{page}/{entries[0].id}?campaign={campaign.id}&amp;tab=1"' in shown
    assert 'aria-current="page">Callbacks</a>' in shown

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


async def test_contacts_in_review_that_asked_for_a_callback_are_listed_until_they_are_decided(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own.tenant
    campaign = await create_campaign(connection, own)
    reason = f"{ASKED}: 'in 2 hours', that is 2026-03-10T15:00 in America/New_York; the analysis came late"
    entries, calls = [], []
    for minutes, text in (
        (2, reason),
        (1, f"{ASKED}; decide when to call again"),
        (0, "the caller number was blocked"),
    ):
        entry, call_id = await create_calling(connection, campaign)
        at = NOW + timedelta(minutes=minutes)
        await connection.execute(
            "update campaign_contacts set status = 'review', status_reason = $2, updated_at = $3 where id = $1",
            entry.id,
            text,
            at,
        )
        entries.append(entry)
        calls.append(call_id)
    await connection.execute("update campaigns set status = 'completed' where id = $1", campaign.id)
    url = f"/api/v1/organizations/{own.organization_id}/callbacks/requests"
    first = (await operator.get(url, params={"limit": 1, "campaign": str(campaign.id)})).json()
    rest = (await operator.get(url, params={"cursor": first["next"], "campaign": str(campaign.id)})).json()
    listed = [(item["campaign_contact_id"], item["asked_in_call"]) for item in first["items"] + rest["items"]]
    assert listed == [(str(entries[1].id), str(calls[1])), (str(entries[0].id), str(calls[0]))]
    page = (await operator.get(f"/o/{own.organization_id}/callbacks")).text
    assert "2026-03-10T15:00 in America/New York" in page
    assert f'href="/o/{own.organization_id}/campaigns/{campaign.id}/contacts/{entries[0].id}"' in page
    decided = await operator.post(
        f"/api/v1/organizations/{own.organization_id}/campaigns/{campaign.id}/contacts/{entries[1].id}/decision",
        json={"decision": "completed"},
    )
    assert decided.status_code == 200
    assert [item["reason"] for item in (await operator.get(url)).json()["items"]] == [reason]
