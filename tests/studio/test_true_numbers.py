"""Numbers: nothing is shown that the rows do not say, on drafts, in running campaigns and in finished ones."""

import re
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from tests.support.factories import NOW, Campaign, create_call, create_calling, create_campaign, create_campaign_contact
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
async def completed(connection: asyncpg.Connection, two_organizations: TwoOrganizations) -> Campaign:
    """A completed campaign with an answered, a refused and a released call, all in the past minute."""
    campaign = await create_campaign(connection, two_organizations.own.tenant, started_at=NOW - timedelta(hours=1))
    for status, outcome in (("ended", "answered"), ("refused", None), ("released", None)):
        entry = await create_campaign_contact(connection, campaign, status="completed")
        await create_call(connection, entry, status=status, outcome=outcome, created_at=NOW)
    await connection.execute(
        "update campaigns set status = 'completed', finished_at = $2, next_batch_at = null where id = $1",
        campaign.id,
        NOW,
    )
    return campaign


async def test_a_refused_call_is_not_waiting_for_an_outcome(
    completed: Campaign, client_for: ClientFor, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    client, browser = await client_for(own.users["viewer"]), await browser_for(own.users["viewer"])
    base = f"/organizations/{own.tenant.organization_id}"

    charts = (await client.get(f"/api/v1{base}/campaigns/{completed.id}/charts")).json()
    report = (await client.get(f"/api/v1{base}/reports")).json()
    total = next(row for row in report["campaigns"] if row["campaign_id"] == str(completed.id))
    text = (await browser.get(f"/o/{own.tenant.organization_id}/campaigns/{completed.id}")).text

    assert charts["outcomes"] == {"answered": 1, "refused": 1}
    assert (total["calls"], total["finished"], total["refused"]) == (2, 1, 1)
    assert "Not placed" in text
    assert "No outcome yet" not in text
    assert "In progress" not in text


async def test_a_campaign_that_does_not_run_has_no_rate(
    completed: Campaign, client_for: ClientFor, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    client, browser = await client_for(own.users["viewer"]), await browser_for(own.users["viewer"])
    base = f"{own.tenant.organization_id}/campaigns/{completed.id}"

    progress = (await client.get(f"/api/v1/organizations/{base}/progress")).json()
    text = (await browser.get(f"/o/{base}")).text

    assert progress["calls_per_minute"] is None
    assert "ms_left" not in progress
    assert "<dt>Calls per minute" not in text
    assert "time left" not in text.lower()


@pytest.mark.parametrize(
    ("status", "planned"), [("draft", None), ("paused", None), ("scheduled", "2026-03-11T17:00:00Z")]
)
async def test_the_next_call_of_a_campaign_that_does_not_run_is_not_today(
    connection: asyncpg.Connection,
    client_for: ClientFor,
    browser_for: BrowserFor,
    two_organizations: TwoOrganizations,
    status: str,
    planned: str | None,
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(
        connection, own.tenant, status=status, next_batch_at=None, scheduled_at=NOW + timedelta(days=1)
    )
    entry = await create_campaign_contact(connection, campaign, next_attempt_at=NOW)
    client, browser = await client_for(own.users["viewer"]), await browser_for(own.users["viewer"])
    base = f"/api/v1/organizations/{own.tenant.organization_id}"

    listed = (await client.get(f"{base}/campaigns/{campaign.id}/contacts")).json()["items"]
    timeline = (await client.get(f"{base}/campaigns/{campaign.id}/contacts/{entry.id}")).json()
    contact = (await client.get(f"{base}/contacts/{entry.contact.id}")).json()
    page = await browser.get(f"/o/{own.tenant.organization_id}/campaigns/{campaign.id}/contacts")

    assert [row["next_attempt_at"] for row in listed] == [planned]
    assert timeline["contact"]["next_attempt_at"] == planned
    assert [row["next_attempt_at"] for row in contact["campaigns"]] == [planned]
    assert "2026-03-10T17:00" not in page.text


async def test_a_contact_that_is_due_says_so(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    entry = await create_campaign_contact(connection, campaign, next_attempt_at=NOW - timedelta(minutes=5))
    browser = await browser_for(own.users["viewer"])
    base = f"/o/{own.tenant.organization_id}"

    for path in (f"campaigns/{campaign.id}/contacts", f"contacts/{entry.contact.id}"):
        assert ">Due now" in (await browser.get(f"{base}/{path}")).text
    timeline = (await browser.get(f"{base}/campaigns/{campaign.id}/contacts/{entry.id}")).text
    assert "Due as soon as a line is free" in timeline
    assert "Not before" not in timeline


async def test_attempts_count_the_call_that_rings(
    connection: asyncpg.Connection, client_for: ClientFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    entry, _ = await create_calling(connection, campaign, status="ongoing")
    client = await client_for(own.users["viewer"])
    base = f"/api/v1/organizations/{own.tenant.organization_id}"

    listed = (await client.get(f"{base}/campaigns/{campaign.id}/contacts")).json()["items"]
    timeline = (await client.get(f"{base}/campaigns/{campaign.id}/contacts/{entry.id}")).json()
    contact = (await client.get(f"{base}/contacts/{entry.contact.id}")).json()

    assert [row["attempts"] for row in listed] == [1]
    assert timeline["contact"]["attempts"] == 1
    assert [row["attempts"] for row in contact["campaigns"]] == [1]


async def test_the_planned_start_of_a_draft_is_visible(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(
        connection, own.tenant, status="draft", next_batch_at=None, scheduled_at=NOW + timedelta(days=1)
    )
    browser = await browser_for(own.users["viewer"])

    for path in ("campaigns", f"campaigns/{campaign.id}"):
        text = (await browser.get(f"/o/{own.tenant.organization_id}/{path}")).text
        assert "Planned to start <time" in text
        assert "Mar 11 at 5:00 PM</time>, but not scheduled yet." in text


async def test_the_figures_of_a_campaign_say_only_what_is_true(
    completed: Campaign, connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users["viewer"])
    base = f"/o/{own.tenant.organization_id}/campaigns"

    async def figures(campaign_id: UUID) -> str:
        page = (await browser.get(f"{base}/{campaign_id}")).text
        found = re.search(r'<div class="stats" aria-label="Figures".*?</div>', page, re.S)
        return "" if found is None else " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())

    # One of three contacts was reached; no conversation has a verdict, and the end is known.
    await connection.execute("update calls set cost_cents = 8 where outcome = 'answered'")
    ended = await figures(completed.id)
    assert "Reached 1 of 3 contacts, 33%" in ended
    assert "Success – no conversations analyzed yet" in ended
    assert "Cost $0.08 $0.08 per conversation" in ended
    assert "Took 1 h 00 min" in ended
    assert "Finishes" not in ended

    await connection.execute(
        """update calls set analysis = '{"call_successful": true}' where campaign_id = $1""", completed.id
    )
    assert "Success 100% of 1 analyzed conversation" in await figures(completed.id)

    draft = await create_campaign(connection, own.tenant, status="draft", next_batch_at=None)
    await create_campaign_contact(connection, draft)
    assert await figures(draft.id) == ""

    paused = await create_campaign(connection, own.tenant, status="paused", paused_reason="lunch", next_batch_at=None)
    await create_calling(connection, paused, status="ended", outcome="busy", cost_cents=1)
    waiting = await figures(paused.id)
    assert "Reached 0 of 1 contact, 0%" in waiting
    assert "no conversations yet" in waiting
    assert "Finishes about – no forecast while paused" in waiting


async def test_a_finish_that_the_forecast_does_not_know_is_said_once(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users["viewer"])
    running = await create_campaign(connection, own.tenant)
    await create_calling(connection, running, status="ended", outcome="busy", cost_cents=1)
    url = f"/o/{own.tenant.organization_id}/campaigns/{running.id}"
    assert "no forecast yet" in (await browser.get(url)).text
    await connection.execute(
        "insert into campaign_forecasts (id, organization_id, campaign_id, made_at, made_for, contacts, past_calls,"
        " unfinished_runs, cost_cents_p10, cost_cents_p50, cost_cents_p90, calls_p10, calls_p50, calls_p90)"
        " values (gen_random_uuid(), $1, $2, $3, 'start', 1, 0, 40, 5, 5, 5, 1, 1, 1)",
        own.tenant.organization_id,
        running.id,
        NOW,
    )
    shown = (await browser.get(url)).text
    assert '<span class="note">unknown: a budget is used up first</span>' in shown
    assert (shown.count("finish time is unknown"), "no forecast yet" in shown) == (1, False)
