"""Pages stay readable with names of any length, and forms keep what they refuse."""

import json
import re
from html import unescape

import asyncpg

from tests.support.factories import create_calling, create_campaign
from tests.support.studio import BrowserFor
from tests.support.two_organizations import TwoOrganizations


async def test_names_of_an_analysis_are_cut_and_values_have_lines_of_their_own(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    analysis = {"custom_analysis_data": {"x" * 5000: "short", "why_not": "z" * 200}, "call_summary": "y" * 5000}
    _, call_id = await create_calling(
        connection, campaign, status="ended", outcome="answered", analysis=json.dumps(analysis)
    )
    browser = await browser_for(own.users["viewer"])

    text = (await browser.get(f"/o/{own.tenant.organization_id}/calls/{call_id}")).text

    assert max(map(len, re.findall("[Xx]+", text))) <= 121
    assert f'<div class="whole"><dt>Why not</dt><dd>{"z" * 200}</dd>' in text
    assert '<p class="summary">yyy' in text


async def test_the_do_not_call_form_keeps_the_numbers_that_it_refuses(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users["operator"])
    url = f"/o/{own.tenant.organization_id}/do-not-call"
    lines = ["+14155550134", "030 2312", "+14155550135", "nobody <b>"]

    response = await browser.post_form(url, {"numbers": "\n".join(lines), "region": "", "reason": "asked"}, page=url)

    kept = re.search(r"<textarea[^>]*>([^<]*)</textarea>", response.text)
    assert kept is not None
    assert unescape(kept[1]).splitlines() == ["030 2312", "nobody <b>"]
    assert 'value="asked"' in response.text
    assert "2 added" in response.text


async def test_blocking_the_number_of_a_contact_leads_back_to_the_contact(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users["operator"])
    base = f"/o/{own.tenant.organization_id}"
    contact = f"{base}/contacts/{own.spare_entry.contact.id}"
    assert f'name="back" value="{contact}"' in (await browser.get(contact)).text

    for back, leads_to in ((contact, contact), ("https://evil.example/", f"{base}/do-not-call")):
        form = {"numbers": own.spare_entry.contact.phone, "back": back}
        response = await browser.post_form(f"{base}/do-not-call", form)
        assert (response.status_code, response.headers["location"]) == (303, leads_to)
