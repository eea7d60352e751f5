"""The page of a campaign contact: the form to decide about a contact in review."""

from datetime import UTC, datetime

import asyncpg
import pytest

from tests.support.factories import Campaign, create_campaign, create_campaign_contact, create_member, create_tenant
from tests.support.studio import Browser, BrowserFor


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection))


@pytest.fixture
async def operator(connection: asyncpg.Connection, campaign: Campaign, browser_for: BrowserFor) -> Browser:
    return await browser_for(await create_member(connection, campaign.tenant.organization_id, "operator"))


async def contact_page(connection: asyncpg.Connection, campaign: Campaign, **columns: object) -> str:
    entry = await create_campaign_contact(connection, campaign, **({"status": "review", "call_count": 1} | columns))
    return f"/o/{campaign.tenant.organization_id}/campaigns/{campaign.id}/contacts/{entry.id}"


async def test_the_time_to_call_again_is_in_the_zone_of_the_contact(
    connection: asyncpg.Connection, campaign: Campaign, operator: Browser
) -> None:
    url = await contact_page(connection, campaign)
    shown = await operator.get(url)
    assert "This contact needs a decision and will not be called until then." in shown.text
    assert "Applies only to Call again. New York time; calling hours and the attempt limit still apply." in shown.text

    form = {"decision": "call_again", "note": "after lunch", "call_at": "2026-03-11T14:30"}
    response = await operator.post_form(f"{url}/decision", form)

    assert (response.status_code, response.headers["location"]) == (303, url)
    row = await connection.fetchrow("select status, decision_note, next_attempt_at from campaign_contacts")
    assert row is not None
    assert (row["status"], row["decision_note"]) == ("pending", "after lunch")
    assert row["next_attempt_at"].isoformat() == "2026-03-11T18:30:00+00:00"
    after = (await operator.get(url)).text
    assert "Latest decision" in after
    assert "after lunch" in after
    assert "Save decision" not in after


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"decision": ""}, "Choose one from the list"),
        ({"decision": "call_again", "call_at": "soon", "note": "keep me"}, "Use a date and a time"),
    ],
)
async def test_an_invalid_decision_is_shown_again_as_it_was_typed(
    connection: asyncpg.Connection, campaign: Campaign, operator: Browser, form: dict[str, str], said: str
) -> None:
    url = await contact_page(connection, campaign)

    response = await operator.post_form(f"{url}/decision", form)

    assert response.status_code == 400
    assert said in response.text
    assert form.get("note", "") in response.text
    assert await connection.fetchval("select status from campaign_contacts") == "review"


async def test_a_conflict_keeps_what_was_typed(
    connection: asyncpg.Connection, campaign: Campaign, operator: Browser
) -> None:
    url = await contact_page(connection, campaign, attempts=3, call_count=3)
    decided_url = await contact_page(connection, campaign)
    form = {"decision": "call_again", "note": "asked for_Friday"}

    used_up = await operator.post_form(f"{url}/decision", form)
    assert (used_up.status_code, "raise the campaign&#39;s attempt limit" in used_up.text) == (409, True)
    assert 'value="asked for_Friday"' in used_up.text

    await connection.execute("update campaign_contacts set status = 'completed' where id = $1", decided_url[-36:])
    late = await operator.post_form(f"{decided_url}/decision", form)
    assert late.status_code == 409
    assert "Only contacts in review can be decided" in late.text
    assert "asked for_Friday" in late.text


async def test_the_note_is_not_part_of_the_status(
    connection: asyncpg.Connection, campaign: Campaign, operator: Browser
) -> None:
    url = await contact_page(connection, campaign)

    await operator.post_form(f"{url}/decision", {"decision": "failed", "note": "see crm_id 7"})

    assert "see crm_id 7" in (await operator.get(url)).text
    listed = (await operator.get(url.rpartition("/")[0])).text
    assert "Marked as failed" in listed
    assert "crm_id" not in listed


async def test_the_timeline_names_members_by_email(
    connection: asyncpg.Connection, campaign: Campaign, operator: Browser, browser_for: BrowserFor
) -> None:
    organization_id = campaign.tenant.organization_id
    viewer = await browser_for(await create_member(connection, organization_id, "viewer"))
    url = await contact_page(connection, campaign)
    await operator.post_form(f"{url}/decision", {"decision": "failed"})

    shown = (await viewer.get(url)).text

    [actor] = await connection.fetch("select actor, email from audit_log join auth.users u on u.id::text = actor")
    assert f"by {actor['email']}, campaign contact" in shown
    assert actor["actor"] not in shown


async def test_viewers_and_contacts_that_are_not_in_review_get_no_form(
    connection: asyncpg.Connection, campaign: Campaign, operator: Browser, browser_for: BrowserFor
) -> None:
    viewer = await browser_for(await create_member(connection, campaign.tenant.organization_id, "viewer"))

    assert "Save decision" not in (await viewer.get(await contact_page(connection, campaign))).text
    pending = await contact_page(connection, campaign, status="pending")
    assert "Save decision" not in (await operator.get(pending)).text


async def test_a_contact_is_added_changed_skipped_and_called_again_with_forms(
    browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="paused")
    organization_id = campaign.tenant.organization_id
    operator = await browser_for(await create_member(connection, organization_id, "operator"))
    url = f"/o/{organization_id}/campaigns/{campaign.id}/contacts"

    refused = await operator.post_form(url, {"phone": "123"}, page=url)
    added = await operator.post_form(url, {"phone": "+12125550134", "name": "Ada", "priority": "9"}, page=url)
    contact = added.headers["location"]
    wrong = await operator.post_form(f"{contact}/change", {"priority": "77"}, page=contact)
    changed = {"priority": "2", "not_before": "2099-03-11T09:00"}
    late = await operator.post_form(f"{contact}/change", changed, page=contact)
    await operator.post_form(f"{contact}/change", {"priority": "2", "not_before": "2026-03-11T09:00"}, page=contact)
    row = await connection.fetchrow("select rank, next_attempt_at from campaign_contacts")
    assert row is not None
    await operator.post_form(f"{contact}/skip", {"reason": "moved"}, page=contact)
    skipped = await connection.fetchval("select status_reason from campaign_contacts")
    await operator.post_form(f"{contact}/retry", {"reason": "asked for it"}, page=contact)
    reason = "select details ->> 'reason' from audit_log where action = 'retry_contact'"

    assert (refused.status_code, refused.headers["location"]) == (303, url)
    assert [wrong.status_code, late.status_code] == [303, 303]
    assert tuple(row) == (8, datetime(2026, 3, 11, 13, 0, tzinfo=UTC))
    assert (skipped.endswith(": moved"), await connection.fetchval(reason)) == (True, "asked for it")
    assert await connection.fetchval("select status from campaign_contacts") == "pending"
