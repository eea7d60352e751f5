"""Bulk jobs in the studio: the button above the list, the form, and the page that shows how far a job is."""

import json

import asyncpg

from outdial.studio.view.phones import phone_text
from tests.support.factories import create_campaign, create_campaign_contact
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


async def test_a_job_is_started_from_the_list_and_names_what_it_leaves_out(
    browser_for: BrowserFor, database: Scratch, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    failed = [
        await create_campaign_contact(connection, campaign, status="failed", last_outcome="no_answer")
        for _ in range(60)
    ]
    await create_campaign_contact(connection, campaign, last_outcome="no_answer")
    base = f"/o/{own.tenant.organization_id}/campaigns/{campaign.id}"
    operator, viewer = await browser_for(own.users["operator"]), await browser_for(own.users["viewer"])

    assert "Change all 61 contacts" in (await operator.get(f"{base}/contacts")).text
    narrowed = (await operator.get(f"{base}/contacts?status=failed&outcome=no_answer&q=Ada&by=name")).text
    assert "Change the 60 matching contacts" in narrowed
    assert f'href="{base}/bulk-jobs?status=failed&amp;outcome=no_answer&amp;name=Ada"' in narrowed
    assert "Change all" not in (await viewer.get(f"{base}/contacts")).text
    due = (await operator.get(f"{base}/contacts?order=next_attempt")).text
    assert f'href="{base}/bulk-jobs?status=pending"' in due, "the list by due time has pending contacts only"

    url = f"{base}/bulk-jobs?outcome=no_answer&name=Ada"
    form = (await operator.get(url)).text
    assert "61 contacts match: last outcome no answer, name starts with “Ada”." in form
    for option in ("Call again in this campaign (60)", "New campaign from these contacts (60)", "campaign (1)"):
        assert option in form
    assert "Decide: completed" not in form
    assert "You need the Operator role to change these contacts" in (await viewer.get(url)).text
    unnamed = await operator.post_form(f"{base}/bulk-jobs", {"action": "retry", "reason": " ", "name": "Ada"})
    assert unnamed.status_code == 400
    assert "characters that say why" in unnamed.text
    started = await operator.post_form(f"{base}/bulk-jobs", {"action": "retry", "reason": "new offer", "name": "Ada"})
    assert started.status_code == 303
    page = started.headers["location"]
    assert "Waiting to start." in (await viewer.get(page)).text

    owner, phone = own.tenant.organization_id, failed[0].contact.phone
    await connection.execute(
        "insert into do_not_call (organization_id, phone, source) values ($1, $2, 'manual')", owner, phone
    )
    async with working(database) as worker:
        await worker.run_once()
    shown = (await viewer.get(page)).text
    assert "Finished" in shown
    assert "The number is on the do-not-call list" in shown
    assert phone_text(phone) in shown
    assert "new offer" in shown
    assert "name starts with …" in shown, "the term of a search is not kept"
    assert "Call again in this campaign" in (await viewer.get(f"{base}/bulk-jobs")).text


async def test_a_search_is_counted_on_the_page_of_bulk_jobs_only(
    browser_for: BrowserFor, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    for number in range(60):
        await create_campaign_contact(connection, campaign, status="failed" if number < 59 else "pending")
    base = f"/o/{own.tenant.organization_id}/campaigns/{campaign.id}"
    operator = await browser_for(own.users["operator"])

    assert "Change the more than 40 matching contacts" in (await operator.get(f"{base}/contacts?q=ada")).text
    assert "60 contacts match: search “ada”." in (await operator.get(f"{base}/bulk-jobs?search=ada")).text
    assert "59 contacts match: status failed." in (await operator.get(f"{base}/bulk-jobs?status=failed")).text
    assert "1 contact matches: status pending." in (await operator.get(f"{base}/bulk-jobs?status=pending")).text
    assert "60 contacts match: all contacts." in (await operator.get(f"{base}/bulk-jobs")).text


async def test_the_api_refuses_what_no_job_can_do(
    client_for: ClientFor, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    await create_campaign_contact(connection, campaign)
    api = f"/api/v1/organizations/{own.tenant.organization_id}/campaigns/{campaign.id}/bulk-jobs"
    client = await client_for(own.users["operator"])

    for body, status, words in (
        ({"action": "skip"}, 400, "reason"),
        ({"action": "skip", "reason": "x", "decision": "failed"}, 400, "only `decide` takes one"),
        ({"action": "retry", "reason": "x", "call_at": "2062-01-01T09:00:00Z"}, 400, "at most 366 days ahead"),
        ({"action": "retry", "reason": "x"}, 409, "only contacts that are completed, failed, skipped can be retried"),
        ({"action": "skip", "reason": "x", "filters": {"name": "Zoe"}}, 409, "No contact matches"),
        ({"action": "skip", "reason": "x", "filters": {"zip": "1"}}, 400, "zip"),
    ):
        response = await client.post(api, json=body)
        assert (response.status_code, words in response.text) == (status, True), response.text
    created = await client.post(api, json={"action": "skip", "reason": "x", "filters": {"name": "Ada"}})
    assert created.status_code == 201
    assert created.json()["filters"] == {"searched": ["name"]}
    cancelled = [await client.post(f"{api}/{created.json()['id']}/cancel") for _ in range(2)]
    assert [response.json()["status"] for response in cancelled] == ["cancelled", "cancelled"]
    written = "select actor, subject_id, details from audit_log where action = 'cancel_bulk_job'"
    audited = await connection.fetch(written)
    assert [(row["actor"], row["subject_id"]) for row in audited] == [(str(own.users["operator"]), str(campaign.id))]
    counts = {"job": created.json()["id"], "done": 0, "left_out": 0, "selected": 1}
    assert json.loads(audited[0]["details"]) == counts
    other = f"/api/v1/organizations/{own.tenant.organization_id}/campaigns/{own.fresh.id}/bulk-jobs"
    assert (await client.get(f"{other}/{created.json()['id']}")).status_code == 404
    assert (await client.get(f"{api}/{created.json()['id']}/left-out")).json() == {"items": [], "next": None}
