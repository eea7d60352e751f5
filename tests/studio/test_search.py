"""The search over everything: campaigns, contacts, caller numbers and pages, of the own organization alone."""

import re

import asyncpg

from tests.support.factories import create_campaign, create_contact, insert
from tests.support.studio import Browser, BrowserFor
from tests.support.two_organizations import TwoOrganizations


async def found(browser: Browser, base: str, text: str) -> dict[str, list[str]]:
    """Return the labels of the hits by group."""
    response = await browser.get(f"{base}/search", params={"q": text})
    assert response.status_code == 200, response.text[-500:]
    groups = re.findall(r"<h2 id=\"hits-\d+\">(.*?)</h2>(.*?)</section>", response.text, re.DOTALL)
    return {label: re.findall(r'class="truncate">(.*?)</span>', hits) for label, hits in groups}


async def test_one_search_finds_campaigns_contacts_numbers_and_pages(
    browser_for: BrowserFor, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    for filled in (two_organizations.own, two_organizations.other):
        await create_campaign(connection, filled.tenant, name="Kestrel renewals")
        await create_contact(
            connection, filled.tenant.organization_id, phone="+12065550142", name="Kestrel Ada", company="Acme <Co>"
        )
    own = two_organizations.own
    base = f"/o/{own.tenant.organization_id}"
    await insert(
        connection,
        "phone_numbers",
        organization_id=own.tenant.organization_id,
        provider_account_id=own.tenant.provider_account_id,
        phone="+12065559999",
    )
    viewer, operator = await browser_for(own.users["viewer"]), await browser_for(own.users["operator"])

    assert await found(viewer, base, "kestrel") == {"Campaigns": ["Kestrel renewals"], "Contacts": ["Kestrel Ada"]}
    for text in ("renewals kestrel", "KES  renew", "rénewals"):
        assert (await found(viewer, base, text))["Campaigns"] == ["Kestrel renewals"], text
    for text in ("kestrel autumn", "%", "kestrel_renewals"):
        assert "Campaigns" not in await found(viewer, base, text), text
    assert await found(viewer, base, "(206) 555-01") == {"Contacts": ["Kestrel Ada"]}
    assert (await found(viewer, base, "5559999"))["Caller numbers"] == ["+1 (206) 555-9999"]
    assert await found(viewer, base, "screening") == {"Go to": ["Screening lists"]}
    assert await found(viewer, base, "new campaign") == {}
    assert (await found(viewer, base, "api key"))["Go to"] == ["Retell and webhook"]
    assert (await found(viewer, base, "two-factor"))["Go to"] == ["Profile and password"]
    assert await found(operator, base, "new campaign") == {"Go to": ["New campaign"]}
    assert len((await found(viewer, base, ""))["Go to"]) > 15
    nothing = await viewer.get(f"{base}/search", params={"q": "<b>nowhere"})
    assert "Nothing matches “&lt;b&gt;nowhere”." in nothing.text
    assert (await viewer.get(f"{base}/search", params={"q": "a\0"})).status_code == 400
