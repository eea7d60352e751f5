"""Forecasts in the API and on their page: made on request, and shown beside what happened."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import httpx

from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.dialer.forecasting.record import (
    COMPARE_RETRIED_AFTER,
    COST_KNOWN_AFTER,
    RENEWED_AFTER,
    START_RETRIED_AFTER,
    ForecastRecorder,
)
from outdial.domain.rules import UNRESTRICTED
from tests.support.factories import NOW, create_campaign, create_member, create_tenant, fill_campaign
from tests.support.postgres import Scratch
from tests.support.studio import Browser, StudioServer


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
    assert refused.json()["message"] == "No forecast: there are no contacts left to call"
    assert "A forecast is made when the campaign starts" in (await browser.get(page)).text

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
    assert limited["budget_sentence"].startswith("In 40 of 40 runs, a budget is used up first")
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
    assert "Outside the forecast range." in shown


async def check_that_an_edit_outdates(client: httpx.AsyncClient, browser: Browser, path: str) -> None:
    said = "settings were changed after this forecast"
    assert said not in (await browser.get(f"/o/{path}")).text
    edited = await client.patch(f"/api/v1/organizations/{path}", json={"name": "Later"})
    assert edited.status_code == 200
    assert said in (await browser.get(f"/o/{path}")).text
    listed = (await client.get(f"/api/v1/organizations/{path}/forecasts")).json()
    assert {each["is_outdated"] for each in listed} == {True}


async def test_the_forecast_of_a_running_campaign_is_renewed_and_shows_its_age(
    studio_app: StudioServer, database: Scratch, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, started_at=NOW, next_batch_at=NOW + timedelta(days=1))
    await fill_campaign(connection, campaign, 5)
    operator = await create_member(connection, tenant.organization_id)
    path, clock = f"{tenant.organization_id}/campaigns/{campaign.id}", studio_app.clock
    page = f"/o/{path}"
    async with await Database.connect(database.dsn_for("outdial_jobs"), application_name="test") as jobs:
        recorder, other = (ForecastRecorder(jobs, clock, rules=UNRESTRICTED) for _ in range(2))

        async def made() -> list[tuple[bool, datetime]]:
            rows = await connection.fetch("select is_renewal, made_at from campaign_forecasts order by made_at")
            return [(row["is_renewal"], row["made_at"]) for row in rows]

        async def run_two_processes() -> list[int]:
            return sorted(await asyncio.gather(recorder.run_once(), other.run_once()))

        assert await run_two_processes() == [0, 1]  # of two jobs processes, one makes it
        for _ in range(2):  # A renewal replaces the one before, and comes once.
            clock.advance(RENEWED_AFTER + timedelta(seconds=1))
            assert await run_two_processes() == [0, 1]
            assert await made() == [(False, NOW), (True, clock.now())]

        clock.advance(timedelta(minutes=12))
        browser = await studio_app.browser_of(operator)
        assert "(12 minutes ago)" in (await browser.get(page)).text
        assert "updated while running" in (await browser.get(f"{page}/forecasts")).text
        by_hand = await browser.post_form(f"{page}/forecasts", {"shown_on": "campaign"})
        assert (by_hand.status_code, by_hand.headers["location"]) == (303, page)
        assert "(less than a minute ago)" in (await browser.get(page)).text
        clock.advance(timedelta(seconds=1))
        await check_that_an_edit_outdates(await studio_app.client_of(operator), browser, path)
        await connection.execute("delete from campaign_forecasts where made_for = 'request' and not is_renewal")

        # Nothing is left to forecast: the campaign is not asked for again every few seconds.
        await connection.execute("update campaign_contacts set status = 'skipped'")
        before = await made()
        clock.advance(RENEWED_AFTER)
        assert [await recorder.run_once(), await recorder.run_once()] == [1, 0]
        assert await made() == before

        # The completed campaign is compared with the forecast of its start, not with the last renewal.
        await connection.execute(
            "update campaigns set status = 'completed', finished_at = $1, next_batch_at = null", clock.now()
        )
        clock.advance(COST_KNOWN_AFTER + timedelta(seconds=1))
        assert await run_two_processes() == [0, 1]
    client = await studio_app.client_of(operator)
    check = (await client.get(f"/api/v1/organizations/{path}/launch-check")).json()
    assert check["forecast"]["made_for"] == "start"
    assert check["forecast"]["finished_at"] is not None


async def test_a_campaign_that_cannot_be_forecast_does_not_stop_the_forecasts_of_others(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    broken = await create_campaign(connection, await create_tenant(connection), started_at=NOW - timedelta(minutes=1))
    sound = await create_campaign(connection, await create_tenant(connection, credential="other"), started_at=NOW)
    for campaign in (broken, sound):
        await fill_campaign(connection, campaign, 5)
    settings = "update campaigns set callback_policy = $2 where id = $1"
    await connection.execute(settings, broken.id, '{"plan": 1}')
    count, clock = "select count(*) from campaign_forecasts where campaign_id = $1", VirtualClock(NOW)
    async with await Database.connect(database.dsn_for("outdial_jobs"), application_name="test") as jobs:
        recorder = ForecastRecorder(jobs, clock, rules=UNRESTRICTED)
        await recorder.run_once()
        assert [await connection.fetchval(count, each.id) for each in (broken, sound)] == [0, 1]
        # The renewal of the one does not keep that of the other from its turn.
        await connection.execute(settings, broken.id, "{}")
        clock.advance(START_RETRIED_AFTER)
        await ForecastRecorder(jobs, clock, rules=UNRESTRICTED).run_once()
        await connection.execute(settings, broken.id, '{"plan": 1}')
        clock.advance(RENEWED_AFTER + timedelta(seconds=1))
        for _ in range(2):
            await recorder.run_once()
        assert [await connection.fetchval(count, each.id) for each in (broken, sound)] == [1, 2]


async def test_a_comparison_that_fails_is_tried_again_and_says_why(
    studio_app: StudioServer, database: Scratch, connection: asyncpg.Connection
) -> None:
    tenant, clock = await create_tenant(connection), studio_app.clock
    campaign = await create_campaign(connection, tenant, started_at=NOW)
    await fill_campaign(connection, campaign, 5)
    operator = await create_member(connection, tenant.organization_id)
    path = f"{tenant.organization_id}/campaigns/{campaign.id}/forecasts"
    async with await Database.connect(database.dsn_for("outdial_jobs"), application_name="test") as jobs:
        recorder = ForecastRecorder(jobs, clock, rules=UNRESTRICTED)
        await recorder.run_once()
        set_calls_made = "update campaign_forecasts set calls_made = $1"
        await connection.execute(set_calls_made, -(2**63))
        await connection.execute("update campaign_contacts set status = 'completed'")
        await connection.execute(
            "update campaigns set status = 'completed', finished_at = $1, next_batch_at = null", NOW
        )
        clock.advance(COST_KNOWN_AFTER + timedelta(seconds=1))
        assert [await recorder.run_once(), await recorder.run_once()] == [1, 0]
        clock.advance(COMPARE_RETRIED_AFTER)
        assert [await recorder.run_once(), await recorder.run_once()] == [1, 0]

        why = "has failed 2 times (NumericValueOutOfRangeError), and is tried again"
        assert why in (await (await studio_app.browser_of(operator)).get(f"/o/{path}")).text
        client = await studio_app.client_of(operator)
        [shown] = (await client.get(f"/api/v1/organizations/{path}")).json()
        assert why in shown["not_compared"]

        await connection.execute(set_calls_made, 0)
        clock.advance(COMPARE_RETRIED_AFTER)
        assert await recorder.run_once() == 0  # each delay is twice as long as the one before
        clock.advance(COMPARE_RETRIED_AFTER)
        assert await recorder.run_once() == 1
    [shown] = (await client.get(f"/api/v1/organizations/{path}")).json()
    assert (shown["not_compared"], shown["actual_calls"]) == (None, 0)
