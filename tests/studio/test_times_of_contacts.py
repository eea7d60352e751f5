"""Each way to give a contact a time has one limit, and the contact waits anew from then on."""

from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.factories import NOW, create_campaign, create_campaign_contact
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


async def test_every_entry_of_a_time_is_limited_and_ends_what_the_contact_has_waited_for(
    two_organizations: TwoOrganizations,
    operator: httpx.AsyncClient,
    browser_for: BrowserFor,
    connection: asyncpg.Connection,
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant)
    base = f"/api/v1/organizations/{campaign.tenant.organization_id}"
    contacts = f"{base}/campaigns/{campaign.id}/contacts"
    waited: dict[str, Any] = {
        "part_due_since": NOW - timedelta(days=20),
        "status_reason": "waits for the evening",
    }
    again = {"decision": "call_again"}
    callback: dict[str, Any] = {"callback_at": NOW, "rank": 0, "usual_rank": 5, "callbacks": 1}
    for name, status, columns, method, url, field, extra, days in (
        ("change", "pending", {}, "PATCH", contacts + "/{}", "not_before", {}, 366),
        ("retry", "failed", {}, "POST", contacts + "/{}/retry", "not_before", {}, 366),
        ("decision", "review", {}, "POST", contacts + "/{}/decision", "call_at", again, 366),
        ("callback", "pending", callback, "PATCH", base + "/callbacks/{}", "time", {}, 60),
    ):
        entry = await create_campaign_contact(connection, campaign, status=status, **waited, **columns)
        read = "select * from campaign_contacts where id = $1"
        before = await connection.fetchrow(read, entry.id)
        late, possible = [(NOW + timedelta(days=days + more)).replace(microsecond=0) for more in (1, -1)]
        refused = await operator.request(method, url.format(entry.id), json={field: late.isoformat(), **extra})
        assert (refused.status_code, str(days) in refused.text, field in refused.text) == (400, True, True), name
        assert await connection.fetchrow(read, entry.id) == before, name
        taken = await operator.request(method, url.format(entry.id), json={field: possible.isoformat(), **extra})
        assert taken.status_code == 200, (name, taken.text)
        row = await connection.fetchrow(read, entry.id)
        assert row is not None
        assert (row["status"], row["next_attempt_at"], row["part_due_since"]) == ("pending", possible, None), name
        assert row["status_reason"] != waited["status_reason"], name

    # The form of a decision keeps to the limit too, and so does each item of a request to add contacts.
    entry = await create_campaign_contact(connection, campaign, status="review")
    browser = await browser_for(two_organizations.own.users["operator"])
    late_day = (NOW + timedelta(days=368)).date()
    form = {"decision": "call_again", "call_at": f"{late_day}T10:00"}
    page = f"/o/{campaign.tenant.organization_id}/campaigns/{campaign.id}/contacts/{entry.id}"
    refused = await browser.post_form(f"{page}/decision", form)
    assert (refused.status_code, "366 days" in refused.text) == (400, True)
    item = {"phone": "+12127009944", "not_before": f"{late_day}T10:00:00Z"}
    [result] = (await operator.post(contacts, json={"contacts": [item]})).json()["results"]
    assert (result["status"], "366 days" in str(result)) == ("refused", True)
    bulk = {"action": "retry", "reason": "again", "call_at": f"{late_day}T10:00:00Z"}
    refused = await operator.post(f"{base}/campaigns/{campaign.id}/bulk-jobs", json=bulk)
    assert (refused.status_code, "366 days" in refused.text) == (400, True)
