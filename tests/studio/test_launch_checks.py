"""A launch check is requested in the API or on its page, and shown once a dialer has carried it out."""

import asyncpg

from tests.support.factories import NOW, create_campaign, create_member, create_tenant, fill_campaign
from tests.support.studio import StudioServer


async def test_a_launch_check_is_requested_and_shown(studio_app: StudioServer, connection: asyncpg.Connection) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, status="draft", next_batch_at=None)
    await fill_campaign(connection, campaign, 3)
    operator = await create_member(connection, tenant.organization_id)
    client, browser = await studio_app.client_of(operator), await studio_app.browser_of(operator)
    path = f"{tenant.organization_id}/campaigns/{campaign.id}/launch-check"
    api, page = f"/api/v1/organizations/{path}", f"/o/{path}"

    first = (await client.get(api)).json()
    assert first.pop("contacts")["by_status"] == {"pending": 3}
    assert first == {"requested_at": None, "checked_at": None, "findings": [], "forecast": None}
    assert "Not checked yet" in (await browser.get(page)).text
    assert (await client.post(api)).status_code == 202
    assert (await browser.post_form(page)).status_code == 303
    assert "A dialer runs the check within seconds" in (await browser.get(page)).text

    await connection.execute(
        "update launch_checks set checked_at = $1, findings = $2",
        NOW,
        '[{"code": "agent", "level": "problem", "text": "The workspace has no agent <b>x</b>: choose another one"}]',
    )
    assert [each["code"] for each in (await client.get(api)).json()["findings"]] == ["agent"]
    shown = (await browser.get(page)).text
    assert 'setup/review">Back to the setup</a>' in shown
    assert "Problem: The workspace has no agent &lt;b&gt;x&lt;/b&gt;: choose another one." in shown
    assert "3 contacts: 3 can be called" in shown

    assert "No forecast yet" in shown
    assert (
        "Check and forecast this campaign before it starts"
        in (await browser.get(page.removesuffix("/launch-check"))).text
    )
    made = await browser.post_form(f"{page}/forecast")
    assert (made.status_code, made.headers["location"]) == (303, page)
    forecast = (await client.get(api)).json()["forecast"]
    assert (forecast["contacts"], forecast["made_for"]) == (3, "request")
    for path in (page, page.removesuffix("/launch-check")):
        assert "for 3 contacts, from 0 past calls and defaults" in (await browser.get(path)).text


async def test_a_test_call_is_requested_on_the_page_and_shown_with_what_was_said(
    studio_app: StudioServer, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, status="draft", next_batch_at=None)
    await fill_campaign(connection, campaign, 2)
    operator = await create_member(connection, tenant.organization_id)
    client, browser = await studio_app.client_of(operator), await studio_app.browser_of(operator)
    path = f"{tenant.organization_id}/campaigns/{campaign.id}"
    api, page, form = f"/api/v1/organizations/{path}/test-calls", f"/o/{path}/launch-check", f"/o/{path}/test-calls"
    assert "Test call" in (await browser.get(f"/o/{path}")).text

    for fields, problem in (
        ({"to": "+1415"}, "The number has too few digits"),
        ({"to": "415 555 0100"}, ">Include the country code, such as +1 (415) 555-0100</a>"),
        ({"to": "+14155550142", "row": "3"}, "The campaign has no row 3"),
        ({"to": "+14155550142", "row": "x"}, "Must be a row of the contacts"),
    ):
        refused = await browser.post_form(form, fields)
        assert (refused.status_code, problem in refused.text) == (400, True)
    assert (await client.get(api)).json() == []
    done = await browser.post_form(form, {"to": "+14155550142", "row": "2", "is_own_phone": "true"})
    assert (done.status_code, done.headers["location"]) == (303, page)
    [called] = (await client.get(api)).json()
    assert (called["status"], called["contact_row"], "@" in called["requested_by"]) == ("requested", 2, True)

    await connection.execute("update test_calls set status = 'sent', sent_at = $1, from_number = '+12125550000'", NOW)
    calling = (await browser.get(page)).text
    await connection.execute("update test_calls set transcript = 'Agent: Hello'")
    talking = (await browser.get(page)).text
    assert [("Sent" in each, "Ongoing" in each) for each in (calling, talking)] == [(False, False), (False, True)]
    await connection.execute(
        "update test_calls set status = 'ended', outcome = 'answered', duration_ms = 61000, transcript = $1,"
        " recording_url = 'javascript:alert(1)', analysis = $2",
        "Agent: Hello <b>Ada</b>",
        '{"call_summary": "All fine."}',
    )
    shown = (await browser.get(page)).text
    assert "All fine." in shown
    assert "Agent: Hello &lt;b&gt;Ada&lt;/b&gt;" in shown
    assert "javascript:" not in shown
    assert (await client.get(f"{api}/{called['id']}")).json()["duration_ms"] == 61000

    key = {"idempotency-key": "k1"}
    for _ in range(2):
        assert (await client.post(api, json={"to": "+14155550143"}, headers=key)).status_code == 202
    assert len((await client.get(api)).json()) == 2
    for _ in range(8):
        await client.post(api, json={"to": "+14155550143"})
    late = await client.post(api, json={"to": "+14155550143"})
    assert late.status_code == 429
    assert int(late.headers["retry-after"]) > 3500
    await connection.execute(
        "insert into do_not_call (organization_id, phone, source) values ($1, '+14155550199', 'manual')",
        tenant.organization_id,
    )
    blocked = await client.post(api, json={"to": "+14155550199"})
    assert (blocked.status_code, "remove it from the list" in blocked.json()["message"]) == (409, True)
