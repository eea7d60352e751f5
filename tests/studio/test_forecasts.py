"""Forecasts in the API and on their page: made on request, and shown beside what happened."""

from datetime import timedelta
from uuid import UUID

import asyncpg

from tests.support.factories import NOW, create_campaign, create_member, create_tenant, fill_campaign
from tests.support.studio import StudioServer


async def test_a_forecast_is_made_on_request_and_shown_beside_what_happened(
    studio_app: StudioServer, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, status="draft", next_batch_at=None)
    operator = await create_member(connection, tenant.organization_id)
    client, browser = await studio_app.client_of(operator), await studio_app.browser_of(operator)
    path = f"{tenant.organization_id}/campaigns/{campaign.id}/forecasts"
    api, page = f"/api/v1/organizations/{path}", f"/o/{path}"

    refused = await client.post(api)
    assert refused.status_code == 409
    assert refused.json()["message"] == "No forecast: no contact is left to call"
    assert "One is made when the campaign starts" in (await browser.get(page)).text

    await fill_campaign(connection, campaign, 50)
    made = await client.post(api)
    assert made.status_code == 201, made.text
    forecast = made.json()
    assert (forecast["contacts"], forecast["past_calls"], forecast["made_for"]) == (50, 0, "request")
    for of in ("finish_at", "cost_cents", "calls"):
        assert forecast[of]["p10"] <= forecast[of]["p50"] <= forecast[of]["p90"]
    assert forecast["is_within"] is None
    assert "Not finished yet" in (await browser.get(page)).text
    assert (await browser.post_form(page)).status_code == 303

    await connection.execute("update campaigns set budget_cents = 50, more_numbers = '{+12125550009}'")
    await connection.execute(
        "insert into number_health (organization_id, phone, rests_until, rest_reason, rests_since)"
        " values ($1, '+12125550009', $2, 'by_member', $3)",
        tenant.organization_id,
        NOW + timedelta(days=1),
        NOW,
    )
    limited = (await client.post(api)).json()
    assert limited["finish_at"] is None
    assert limited["budget_sentence"].startswith("In 40 of 40 runs a budget is used up first")
    assert limited["budget_sentence"] in (await browser.get(page)).text
    await connection.execute("delete from campaign_forecasts where id = $1", UUID(limited["id"]))

    finished = NOW + timedelta(days=30)
    await connection.execute(
        "update campaign_forecasts set finished_at = $1, actual_cost_cents = 1, actual_calls = 50", finished
    )
    first, second = (await client.get(api)).json()
    assert {first["made_for"], second["made_for"]} == {"request"}
    assert second["is_within"] is False
    assert second["costlier_by_cents"] < 0 < second["late_by_s"]
    of_organization = f"/api/v1/organizations/{tenant.organization_id}/forecasts"
    await connection.execute("update campaign_forecasts set made_for = 'start' where id = $1", UUID(forecast["id"]))
    past = (await client.get(of_organization)).json()
    assert (past["campaigns"], past["ends_within"], past["costs_within"]) == (1, 0, 0)

    shown = (await browser.get(page)).text
    assert "Of 1 completed campaign, 0 ended and 0 cost within p10 and p90." in shown
    assert "later than forecast" in shown
    assert "Outside the forecast." in shown
