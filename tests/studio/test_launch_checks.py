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

    assert (await client.get(api)).json() == {"requested_at": None, "checked_at": None, "findings": []}
    assert "Not checked yet" in (await browser.get(page)).text
    assert (await client.post(api)).status_code == 202
    assert (await browser.post_form(page)).status_code == 303
    assert "A dialer carries the check out within seconds" in (await browser.get(page)).text

    await connection.execute(
        "update launch_checks set checked_at = $1, findings = $2",
        NOW,
        '[{"code": "agent", "level": "problem", "text": "The workspace has no agent <b>x</b>: choose another one"}]',
    )
    assert [each["code"] for each in (await client.get(api)).json()["findings"]] == ["agent"]
    shown = (await browser.get(page)).text
    assert "Problem: The workspace has no agent &lt;b&gt;x&lt;/b&gt;: choose another one." in shown
    assert "No exclusions found among 3 contacts" in shown
