"""Pages of calls and campaign contacts: their content, and that all of it is escaped."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import asyncpg
import pytest

from outdial.domain.contact_fields import CONTACT_FIELD_NAMES
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    create_call,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
    insert,
)
from tests.support.studio import BrowserFor
from tests.support.two_organizations import TwoOrganizations

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
MOST_BYTES = 60_000


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection))


@pytest.fixture
async def viewer(connection: asyncpg.Connection, campaign: Campaign) -> UUID:
    return await create_member(connection, campaign.tenant.organization_id, "viewer")


def home(campaign: Campaign) -> str:
    return f"/o/{campaign.tenant.organization_id}"


def contacts_of(campaign: Campaign) -> str:
    return f"{home(campaign)}/campaigns/{campaign.id}/contacts"


async def hostile_call(connection: asyncpg.Connection, campaign: Campaign) -> tuple[CampaignContact, UUID]:
    contact = await create_contact(
        connection,
        campaign.tenant.organization_id,
        # The other fields of a place are codes, which the database checks.
        **{
            name: HOSTILE
            for name in CONTACT_FIELD_NAMES
            if name not in ("timezone", "country", "region", "postal_code")
        },
    )
    entry = await create_campaign_contact(
        connection, campaign, contact, status_reason=HOSTILE, variables=json.dumps({HOSTILE: HOSTILE})
    )
    call_id = await create_call(
        connection,
        entry,
        status="ended",
        outcome="answered",
        disconnection_reason=HOSTILE,
        error=HOSTILE,
        retell_call_id=HOSTILE,
        transcript=f"Agent: {HOSTILE}\nUser: {HOSTILE}",
        recording_url="javascript:alert(3)",
        public_log_url="javascript:alert(4)",
        analysis=json.dumps({"call_summary": HOSTILE, "custom_analysis_data": {HOSTILE: {HOSTILE: 1}}}),
        decision=json.dumps({"zone_key": HOSTILE, "local_times": {HOSTILE: HOSTILE}}),
        ended_at=NOW,
    )
    await insert(
        connection,
        "webhook_events",
        organization_id=campaign.tenant.organization_id,
        call_id=call_id,
        source="webhook",
        credential="default",
        retell_call_id="call_1",
        event=HOSTILE,
        body=json.dumps({"x": HOSTILE}).encode(),
        body_sha256=b"1" * 32,
        received_at=NOW,
        next_try_at=NOW,
        error=HOSTILE,
    )
    return entry, call_id


async def test_text_from_contacts_and_retell_is_escaped_on_every_page(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    entry, call_id = await hostile_call(connection, campaign)
    await connection.execute("update campaigns set name = $2 where id = $1", campaign.id, HOSTILE)
    browser = await browser_for(viewer)
    pages = [
        f"{home(campaign)}/calls",
        f"{home(campaign)}/calls/{call_id}",
        contacts_of(campaign),
        f"{contacts_of(campaign)}?q=%3Cscript",
        f"{contacts_of(campaign)}/{entry.id}",
        f"{home(campaign)}/reports",
    ]
    for url in pages:
        response = await browser.get(url)
        assert response.status_code == 200, (url, response.text)
        assert "&lt;script&gt;" in response.text, url
        for part in ("<script>alert", "<img", "javascript:", "onerror=alert(2)>"):
            assert part not in response.text[response.text.index("<main") :], url
        assert re.search(r"\sstyle=|\son\w+=\"", response.text) is None, url


async def test_a_live_call_is_hung_up_from_the_list_and_from_its_page_with_a_reason(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    _, call_id = await create_calling(connection, campaign, status="ongoing", retell_call_id="call_1")
    operator = await browser_for(await create_member(connection, campaign.tenant.organization_id, "operator"))
    url = f"{home(campaign)}/calls/{call_id}/hang-up"

    assert f'href="calls/{call_id}/hang-up">Hang&nbsp;up…</a>' in (await operator.get(f"{home(campaign)}/calls")).text
    for page in (f"{home(campaign)}/calls/{call_id}", url):
        text = (await operator.get(page)).text
        assert f'action="{url}"' in text
        assert 'name="reason"' in text
    assert url not in (await (await browser_for(viewer)).get(f"{home(campaign)}/calls")).text
    await connection.execute(
        "insert into provider_workspaces (organization_id, provider_account_id, since, workspace_id, key_mark)"
        " select organization_id, provider_account_id, w.since, w.id, w.id from calls, lateral"
        " (values ('-infinity'::timestamptz, 'org_1'), (created_at + interval '1 hour', 'org_2')) as w (since, id)"
    )
    for page in (f"{home(campaign)}/calls/{call_id}", url):
        text = (await operator.get(page)).text
        assert ("This call cannot be hung up from here." in text, f'action="{url}"' in text) == (True, False)
    live_page = (await operator.get(f"{home(campaign)}/live-calls")).text
    assert ("Cannot be hung up here" in live_page, "data-hang-up" in live_page) == (True, False)
    assert (await operator.post_form(url, {"reason": "wrong person"})).status_code == 409
    # The account has no key of the workspace in use either.
    await connection.execute("delete from provider_workspaces where workspace_id = 'org_2'")
    assert "Outdial has no API key for" in (await operator.get(url)).text
    await connection.execute("delete from provider_workspaces")
    assert (await operator.post_form(url, {"reason": " wrong person "})).status_code == 303

    audited = await connection.fetchrow("select actor, details->>'reason' from audit_log where action = 'hang_up_call'")
    assert audited is not None
    assert audited[1] == "wrong person"
    await connection.execute("update calls set status = 'ended', next_check_at = null")
    assert "This call has already ended" in (await operator.get(url)).text


async def test_a_call_page_shows_transcript_recording_analysis_decision_and_events(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    entry = await create_campaign_contact(connection, campaign, status="completed")
    call_id = await create_call(
        connection,
        entry,
        status="ended",
        outcome="answered",
        disconnection_reason="user_hangup",
        transcript="Agent: Good morning.\nUser: Who is it?",
        recording_url="https://example.com/call.wav",
        analysis='{"call_successful": true, "custom_analysis_data": {"wants_visit": "Tuesday"}}',
        decision='{"zone_key": "America/New_York", "zone_source": "contact"}',
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=61),
        duration_ms=61_000,
        cost_cents="12.34",
    )

    text = (await (await browser_for(viewer)).get(f"{home(campaign)}/calls/{call_id}")).text

    assert '<audio controls preload="none" src="https://example.com/call.wav">' in text
    assert re.search(r'<li class="agent">.*<span class="speaker">Agent</span><p>Good morning.</p></li>', text)
    assert re.search(r'<li class="user">.*<span class="speaker">Contact</span><p>Who is it\?</p></li>', text)
    assert "<dt>Call successful</dt><dd>Yes</dd>" in text
    assert "<dt>Wants visit</dt><dd>Tuesday</dd>" in text
    assert "A person answered." in text
    assert "from the contact&#39;s details" in text
    assert "1:01" in text
    assert "$0.12" in text
    assert "1:00 PM in New York" in text
    assert "at 5:00:00 PM</time>" in text


async def test_the_calls_beside_a_call_are_those_of_the_list_one_came_from(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    calls = []
    for number in range(5):
        contact = await create_contact(connection, campaign.tenant.organization_id, name=f"Ada {number % 2}")
        entry = await create_campaign_contact(connection, campaign, contact)
        outcome = "busy" if number in (0, 2, 4) else "answered"
        at = NOW - timedelta(minutes=number)
        calls.append(await create_call(connection, entry, status="ended", outcome=outcome, created_at=at))
    browser = await browser_for(viewer)

    async def beside(call_id: UUID, query: str) -> tuple[dict[str, str], str]:
        text = (await browser.get(f"{home(campaign)}/calls/{call_id}{query}")).text
        found = re.findall(r'href="[^"]*/calls/([^"?]+)([^"]*)" rel="(prev|next)"', text)
        assert {kept.replace("&amp;", "&") for _, kept, _ in found} <= {query}
        position = re.search(r'class="muted num">([\d,]+ of [\d,]+)', text)
        assert position is not None
        return {rel: to for to, _, rel in found}, position[1]

    listed = (await browser.get(f"{home(campaign)}/calls?outcome=busy&q=Ada")).text
    assert f'href="calls/{calls[2]}?outcome=busy&amp;q=Ada"' in listed
    assert await beside(calls[2], "") == ({"prev": str(calls[1]), "next": str(calls[3])}, "3 of 5")
    assert await beside(calls[2], "?outcome=busy&q=Ada") == ({"prev": str(calls[0]), "next": str(calls[4])}, "2 of 3")
    assert await beside(calls[4], "?outcome=busy") == ({"prev": str(calls[2])}, "3 of 3")
    # A call that the list does not have leads to those beside it, but has no position there.
    unlisted = (await browser.get(f"{home(campaign)}/calls/{calls[1]}?outcome=busy")).text
    assert f'/calls/{calls[2]}?outcome=busy" rel="next"' in unlisted
    assert re.search(r'class="muted num">[^<]* of ', unlisted) is None
    # A filter that the list refuses leads through all calls.
    assert "4 of 5" in (await browser.get(f"{home(campaign)}/calls/{calls[3]}?from=soon")).text


async def test_the_page_of_a_long_call_stays_small(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    entry = await create_campaign_contact(connection, campaign)
    call_id = await create_call(
        connection, entry, status="ended", transcript="\n".join(f"Agent: line {n} {'long ' * 9}" for n in range(5_000))
    )
    for number in range(12):
        await insert(
            connection,
            "webhook_events",
            organization_id=campaign.tenant.organization_id,
            call_id=call_id,
            source="webhook",
            credential="default",
            retell_call_id="call_1",
            event="transcript_updated",
            body=json.dumps({"words": [{"word": "a"}] * 20_000}).encode(),
            body_sha256=bytes([number]) * 32,
            received_at=NOW,
            next_try_at=NOW,
        )

    response = await (await browser_for(viewer)).get(f"{home(campaign)}/calls/{call_id}")

    assert "Long transcript: only the beginning is shown" in response.text
    assert len(response.content) < MOST_BYTES


async def test_the_filters_that_are_set_are_counted_and_taken_away_one_by_one(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    await create_calling(connection, campaign, status="ended", outcome="busy")
    browser = await browser_for(viewer)
    url = f"{home(campaign)}/campaigns/{campaign.id}/calls"

    async def chips(query: str) -> dict[str, str]:
        text = (await browser.get(url + query)).text
        found = re.findall(r'<a class="chip" href="([^"]*)"><span class="visually-hidden">Remove </span>([^<]+)', text)
        assert f"Filters ({len(found)})</button>" in text or (not found and "Filters</button>" in text)
        return {unescape(name): unescape(address) for address, name in found}

    # The search stays in sight, and recent days have chips of their own.
    assert await chips("?q=Ada&when=today&outcome=") == {}
    shown = await chips("?q=Ada&outcome=busy&reviewed=no&when=today")
    assert shown == {
        "Outcome: Busy": "?reviewed=no&q=Ada&when=today",
        "Reviewed: Not reviewed": "?outcome=busy&q=Ada&when=today",
    }
    assert await chips("?q=Ada&outcome=busy&when=today") == {"Outcome: Busy": "?q=Ada&when=today"}
    # The links of the rows are short: they lead to the call and to the contact.
    row = re.search(r'<tr data-href>.*?href="([^"]+)".*?href="([^"]+)"', (await browser.get(url)).text, re.DOTALL)
    assert row is not None
    for link in row.groups():
        assert (await browser.get(urljoin(url, link))).status_code == 200, link


async def test_paging_the_call_list_keeps_its_filters(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    for _ in range(52):
        entry = await create_campaign_contact(connection, campaign)
        await create_call(connection, entry, status="ended", outcome="busy")
    browser = await browser_for(viewer)

    first = await browser.get(f"{home(campaign)}/calls?outcome=busy&from=2026-03-10&to=2026-03-10")
    found = re.search(r'href="([^"]+)" rel="next"', first.text)
    assert found is not None
    second = await browser.get(found[1].replace("&amp;", "&"))

    assert len(re.findall("<tr[ >]", second.text)) == 18
    assert "outcome=busy" in found[1]
    assert 'value="2026-03-10"' in second.text


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 200, "No calls yet"),
        ("?outcome=busy", 200, "No matching calls"),
        ("?outcome=nonsense", 400, "choose one from the list"),
        ("?from=soon", 400, "use the format 2026-12-24"),
        ("?to=0001-01-01", 400, "must be 1970 or later"),
        ("?campaign=00000000-0000-0000-0000-000000000000", 400, "Campaign not found"),
        ("?cursor=x", 400, "start again without one"),
        ("?outcome=nonsense&cursor=x", 400, "choose one from the list"),
    ],
)
async def test_an_empty_call_list_explains_the_next_step(
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    campaign: Campaign,
    viewer: UUID,
    query: str,
    status: int,
    says: str,
) -> None:
    operator = await create_member(connection, campaign.tenant.organization_id, "operator")
    for member in (viewer, operator):
        response = await (await browser_for(member)).get(f"{home(campaign)}/calls{query}")

        assert response.status_code == status
        assert says in response.text
        assert 'name="outcome"' in response.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "ada"}, True),
        ({"q": "+1 646"}, True),
        ({"q": "555-0199"}, True),
        ({"q": "crm-7", "by": "external_id"}, True),
        ({"q": "ada", "order": "next_attempt"}, True),
        ({"status": "pending"}, True),
        ({"q": "+44"}, False),
        ({"status": "failed", "order": "next_attempt"}, False),
    ],
)
async def test_one_search_field_finds_names_and_numbers(
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    campaign: Campaign,
    viewer: UUID,
    query: dict[str, str],
    found: bool,
) -> None:
    contact = await create_contact(
        connection, campaign.tenant.organization_id, name="Ada", phone="+16465550199", external_id="crm-7"
    )
    await create_campaign_contact(connection, campaign, contact)

    response = await (await browser_for(viewer)).get(contacts_of(campaign), params=query)

    assert response.status_code == 200
    assert ("+1 (646) 555-0199" in response.text) is found
    assert ("No matching contacts" in response.text) is not found


async def test_an_invalid_search_explains_the_problem(
    browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    browser = await browser_for(viewer)

    for query in ({"q": "x", "by": "phone"}, {"q": "x", "by": "nonsense"}, {"status": "nonsense"}, {"q": "\x00"}):
        response = await browser.get(contacts_of(campaign), params=query)
        assert response.status_code == 400, query
        assert 'role="alert"' in response.text


async def test_a_timeline_orders_attempts_and_audit_entries_by_time_in_the_contacts_zone(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    entry = await create_campaign_contact(connection, campaign, next_attempt_at=NOW + timedelta(hours=1))
    await create_call(connection, entry, status="ended", outcome="busy", disconnection_reason="dial_busy")
    for minutes, action in ((-5, "create_campaign"), (1, "pause_campaign")):
        await insert(
            connection,
            "audit_log",
            organization_id=campaign.tenant.organization_id,
            at=NOW + timedelta(minutes=minutes),
            actor=str(viewer),
            action=action,
            subject_type="campaign",
            subject_id=str(campaign.id),
        )

    text = (await (await browser_for(viewer)).get(f"{contacts_of(campaign)}/{entry.id}")).text

    places = [
        text.index(part) for part in ("2:00 PM in New York", "Pause campaign", "Attempt 1</a>", "Added to campaign")
    ]
    assert places == sorted(places)
    assert "Create campaign" not in text, "the contact was not in it yet"
    assert "<p>Then due as soon as a line is free. " in text, "not now"
    assert re.search(r"by you, campaign", text)
    assert "Tuesday, 1:00 PM" in text


async def test_pages_of_another_organization_are_not_found(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own, other = two_organizations.own, two_organizations.other
    browser = await browser_for(own.users["owner"])
    mine, theirs = own.tenant.organization_id, other.tenant.organization_id
    my_campaign, their_campaign = own.spare_entry.campaign.id, other.spare_entry.campaign.id
    paths = [
        f"{theirs}/calls",
        f"{theirs}/reports",
        f"{mine}/campaigns/{their_campaign}/contacts",
        f"{mine}/campaigns/{my_campaign}/contacts/{other.spare_entry.id}",
        f"{mine}/campaigns/{own.fresh.id}/contacts/{own.spare_entry.id}",
        f"{theirs}/campaigns/{their_campaign}/contacts/{other.spare_entry.id}",
        f"{mine}/calls/{UUID(int=1)}",
    ]

    found = {path: (await browser.get(f"/o/{path}")).status_code for path in paths}

    assert found == dict.fromkeys(paths, 404)


async def test_pages_require_sign_in(browser_for: BrowserFor, campaign: Campaign) -> None:
    browser: Any = await browser_for(None)

    for path in (f"{home(campaign)}/calls", contacts_of(campaign), f"{home(campaign)}/reports"):
        response = await browser.get(path)
        assert response.status_code in (303, 401), path
