"""Analytics: the same calls by caller number, agent, hour, attempt, list, sentiment and success."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.support.factories import (
    NOW,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
    insert,
)
from tests.support.studio import BrowserFor, ClientFor

DAY = {"since": "2026-03-10", "until": "2026-03-10", "zone": "America/New_York"}
DIMENSIONS = ("caller_numbers", "agents", "hours", "attempts", "lists", "sentiments", "successes")


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection))


@pytest.fixture
async def viewer(connection: asyncpg.Connection, campaign: Campaign) -> UUID:
    return await create_member(connection, campaign.tenant.organization_id, "viewer")


async def fill(connection: asyncpg.Connection, campaign: Campaign) -> UUID:
    """Four calls: two answered at 9:00 from the first number, one missed on the second attempt, one in progress."""
    import_id, owner = uuid4(), campaign.tenant.organization_id
    await insert(
        connection,
        "imports",
        id=import_id,
        organization_id=owner,
        campaign_id=campaign.id,
        file_name="leads.csv",
        created_at=NOW,
        updated_at=NOW,
    )

    async def call(entry: Any, outcome: str | None, *, hour: int, analysis: object = None, **more: Any) -> None:
        status = "ended" if outcome else "ongoing"
        decision = json.dumps({"local_times": {"America/New_York": f"2026-03-10T{hour:02}:30:00-04:00"}})
        text = None if analysis is None else json.dumps(analysis)
        await create_call(connection, entry, status=status, outcome=outcome, decision=decision, analysis=text, **more)

    listed = await create_campaign_contact(connection, campaign, import_id=import_id)
    happy = {"user_sentiment": "Positive", "call_successful": True}
    sad = {"user_sentiment": "Negative", "call_successful": False}
    await call(listed, "answered", hour=9, analysis=happy, cost_cents=10, duration_ms=60_000)
    override = json.dumps({"override_agent_id": "agent_2"})
    other = {"from_number": "+12125550001", "attempt_number": 2, "request": override}
    await call(listed, "no_answer", hour=14, cost_cents=1, **other)
    alone = await create_campaign_contact(connection, campaign)
    await call(alone, "answered", hour=9, analysis=sad, cost_cents=5, duration_ms=30_000)
    await call(await create_campaign_contact(connection, campaign), None, hour=10)
    late = await create_campaign_contact(connection, campaign)
    await call(late, "answered", hour=9, created_at=NOW + timedelta(days=1))
    return import_id


def table(groups: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (group["label"], group["calls"], group["finished"], group["answered"], group["cost_cents"]) for group in groups
    ]


async def test_calls_are_counted_in_every_dimension(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    import_id = await fill(connection, campaign)
    client = await client_for(viewer)
    url = f"/api/v1/organizations/{campaign.tenant.organization_id}/analytics"
    found = (await client.get(url, params=DAY)).json()

    assert {name: table(found[name]) for name in DIMENSIONS} == {
        "caller_numbers": [("+12125550000", 3, 2, 2, 15), ("+12125550001", 1, 1, 0, 1)],
        "agents": [("agent_1", 3, 2, 2, 15), ("agent_2", 1, 1, 0, 1)],
        "hours": [("09:00", 2, 2, 2, 15), ("10:00", 1, 0, 0, 0), ("14:00", 1, 1, 0, 1)],
        "attempts": [("1", 3, 2, 2, 15), ("2", 1, 1, 0, 1)],
        "lists": [("leads.csv", 2, 2, 1, 11), ("Added without a file", 2, 1, 1, 5)],
        "sentiments": [("Not analyzed", 2, 1, 0, 1), ("Negative", 1, 1, 1, 5), ("Positive", 1, 1, 1, 10)],
        "successes": [("Not analyzed", 2, 1, 0, 1), ("Not successful", 1, 1, 1, 5), ("Successful", 1, 1, 1, 10)],
    }
    first = found["caller_numbers"][0]
    assert (first["answer_rate"], first["cost_per_answer_cents"], first["talk_ms"]) == (1.0, 7.5, 90_000)
    assert found["caller_numbers"][1]["cost_per_answer_cents"] is None
    assert next(group["value"] for group in found["lists"] if group["label"] == "leads.csv") == str(import_id)
    total = {name: found["total"][name] for name in ("calls", "finished", "answered", "cost_cents")}
    assert total == {"calls": 4, "finished": 3, "answered": 2, "cost_cents": 16}
    for name in DIMENSIONS:
        assert sum(group["calls"] for group in found[name]) == found["total"]["calls"], name


async def test_analytics_of_a_campaign_are_those_of_the_callers_organization(
    connection: asyncpg.Connection,
    client_for: ClientFor,
    campaign: Campaign,
    viewer: UUID,
) -> None:
    await fill(connection, campaign)
    empty = await create_campaign(connection, campaign.tenant, name="Empty")
    client = await client_for(viewer)
    url = f"/api/v1/organizations/{campaign.tenant.organization_id}/analytics"

    assert (await client.get(url, params=DAY | {"campaign_id": str(campaign.id)})).json()["total"]["calls"] == 4
    none = (await client.get(url, params=DAY | {"campaign_id": str(empty.id)})).json()
    assert (none["total"]["calls"], none["hours"]) == (0, [])
    theirs = await create_campaign(connection, await create_tenant(connection, credential="acme"))
    assert (await client.get(url, params=DAY | {"campaign_id": str(theirs.id)})).status_code == 404
    assert (await client.get(url, params=DAY | {"until": "2026-03-09"})).status_code == 400


async def test_the_page_shows_each_picture_with_its_numbers(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    await fill(connection, campaign)
    browser = await browser_for(viewer)
    url = f"/o/{campaign.tenant.organization_id}/analytics"
    shown = await browser.get(f"{url}?since=2026-03-10&until=2026-03-10&zone=America/New_York&campaign={campaign.id}")

    assert shown.status_code == 200
    for text in ("Caller number", "agent_2", "9 AM", "leads.csv", "Positive", "Not successful", "$0.08"):
        assert text in shown.text, text
    assert shown.text.count('<figure class="chart">') == shown.text.count("<table>") == len(DIMENSIONS)
    assert f'href="/o/{campaign.tenant.organization_id}/reports" aria-current="true"' in shown.text
    assert "No calls in this period" in (await browser.get(f"{url}?since=2025-01-01&until=2025-01-02")).text
    assert (await browser.get(f"{url}?campaign=nonsense")).status_code == 400
    assert (await browser.get(f"{url}?since=2026-03-10&until=2026-03-09")).status_code == 400
