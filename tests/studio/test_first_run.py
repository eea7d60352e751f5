"""The guide of a new organization: what is done is seen in the rows, and the first completed campaign ends it."""

import re

import asyncpg

from tests.support.factories import create_campaign, create_campaign_contact
from tests.support.studio import Browser, BrowserFor
from tests.support.two_organizations import TwoOrganizations

DONE = re.compile(r'Done: </span><span class="muted">([^<]+)<')
NEXT = re.compile(r'<a href="[^"]+">([^<]+)</a></p><p class="note">')


async def guide(browser: Browser, organization_id: object) -> tuple[list[str], list[str]]:
    """Return the steps that are done, and the next one."""
    page = await browser.get(f"/o/{organization_id}/campaigns")
    assert page.status_code == 200
    return DONE.findall(page.text), NEXT.findall(page.text)


async def test_the_guide_follows_the_organization_to_its_first_completed_campaign(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    operator, viewer = [await browser_for(own.users[role]) for role in ("operator", "viewer")]
    # The organization of the tests has its rows already.
    for table in ("webhook_events", "phone_numbers"):
        await connection.execute(f"delete from {table} where organization_id = $1", organization_id)  # noqa: S608
    done, following = await guide(operator, organization_id)
    assert (done[:2], following) == (["Connect Retell", "Create a campaign"], ["Connect Retell’s webhook"])
    await connection.execute(
        "update provider_keys set accepted_until = now() where organization_id = $1", organization_id
    )
    assert (await guide(operator, organization_id))[1] == ["Connect Retell"]
    assert await guide(viewer, organization_id) == ([], []), "a viewer can take no step"

    await connection.execute(
        "insert into phone_numbers (id, organization_id, provider_account_id, phone, created_at)"
        " select gen_random_uuid(), organization_id, id, '+12125550123', now() from provider_accounts"
        " where organization_id = $1",
        organization_id,
    )
    done, _ = await guide(operator, organization_id)
    assert "Add a caller number" in done
    await connection.execute("update campaigns set status = 'cancelled' where status = 'draft'")
    last = "Start the campaign and let it complete"
    shown = (await operator.get(f"/o/{organization_id}/campaigns")).text
    assert f"<p>{last}</p>" in shown, "there is nothing to start, so no link"
    draft = await create_campaign(connection, own.tenant, status="draft", next_batch_at=None)
    shown = (await operator.get(f"/o/{organization_id}/campaigns")).text
    assert f'<a href="/o/{organization_id}/campaigns/{draft.id}/setup/review">{last}</a>' in shown

    campaign = await create_campaign(connection, own.tenant, status="completed")
    await create_campaign_contact(connection, campaign, status="completed")
    assert await guide(operator, organization_id) == ([], [])
