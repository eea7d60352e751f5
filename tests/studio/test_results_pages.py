"""The form that exports the results of the listed contacts."""

import json

import asyncpg

from tests.support.studio import BrowserFor
from tests.support.two_organizations import TwoOrganizations


async def test_the_list_of_contacts_exports_what_it_shows(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    home = f"/o/{two_organizations.own.tenant.organization_id}"
    campaign = two_organizations.own.spare_entry.campaign.id
    browser = await browser_for(two_organizations.own.users["operator"])
    shown = await browser.get(f"{home}/campaigns/{campaign}/contacts?outcome=&q=%2B1&by=phone")
    assert 'name="kind" value="results"' in shown.text, shown.text
    assert 'name="phone" value="+1"' in shown.text

    fields = {
        "kind": "results",
        "campaign_id": str(campaign),
        "status": "pending",
        "outcome": "",
        "phone": "+1",
        "format": "xlsx",
        "transcript": "true",
    }
    made = await browser.post_form(f"{home}/exports", fields, page=f"{home}/jobs")
    assert made.status_code == 303, made.text
    row = await connection.fetchrow("select * from exports where kind = 'results'")
    assert (row["kind"], row["format"], row["include"]) == ("results", "xlsx", ["transcript"])
    filters = json.loads(row["filters"])
    assert (filters["campaign_id"], filters["status"], filters["phone"]) == (str(campaign), "pending", "1")
    assert "XLSX" in (await browser.get(f"{home}/jobs")).text


async def test_a_viewer_sees_no_form_for_results(two_organizations: TwoOrganizations, browser_for: BrowserFor) -> None:
    home = f"/o/{two_organizations.own.tenant.organization_id}"
    campaign = two_organizations.own.spare_entry.campaign.id
    viewer = await browser_for(two_organizations.own.users["viewer"])
    shown = await viewer.get(f"{home}/campaigns/{campaign}/contacts")
    assert shown.status_code == 200
    assert "Export results" not in shown.text
