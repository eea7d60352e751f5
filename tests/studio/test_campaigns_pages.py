"""The pages of campaigns: list, form, actions and rights."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from outdial.campaigns import lifecycle
from outdial.campaigns.lifecycle import Actor
from outdial.domain.limits import MAX_CONCURRENCY
from tests.support.factories import (
    NOW,
    create_calling,
    create_campaign,
    create_campaign_contact,
    insert,
)
from tests.support.studio import Browser
from tests.support.two_organizations import TwoOrganizations, acting

BrowserFor = Callable[[UUID | None], Any]
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FORM: dict[str, Any] = {
    "name": "Spring <b>",
    "retell_agent_id": "agent_7",
    "from_number": "+12125550123",
    "batch_size": "20",
    "priority": "5",
    "share": "1",
    "max_attempts": "4",
    MAX_CONCURRENCY.name: "",
    "schedule": "now",
    "zone": "Europe/Paris",
    "monday_from": ["09:00", "14:00"],
    "monday_to": ["12:00", "00:00"],
    "excluded_dates": "2026-12-25, 2027-01-01",
    "variables": "offer = spring = 20 %\n\nagent_name=Ada",
}


@pytest.fixture
def base(two_organizations: TwoOrganizations) -> str:
    return f"/o/{two_organizations.own.tenant.organization_id}/campaigns"


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, browser_for: BrowserFor) -> Any:
    return await browser_for(two_organizations.own.users["operator"])


@pytest.fixture
async def viewer(two_organizations: TwoOrganizations, browser_for: BrowserFor) -> Any:
    return await browser_for(two_organizations.own.users["viewer"])


@pytest.fixture
async def draft(connection: asyncpg.Connection, two_organizations: TwoOrganizations) -> str:
    tenant = two_organizations.own.tenant
    return str((await create_campaign(connection, tenant, status="draft", next_batch_at=None)).id)


@pytest.fixture
async def paused(connection: asyncpg.Connection, two_organizations: TwoOrganizations) -> str:
    """A campaign that is edited on one page."""
    tenant = two_organizations.own.tenant
    return str((await create_campaign(connection, tenant, status="paused", next_batch_at=None)).id)


def main_of(html: str) -> str:
    """The text of a page's content, as a reader sees it."""
    content = html[html.index("<main") : html.index("</main>")]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", content)))


async def test_the_list_shows_progress_and_why_campaigns_are_not_dialing(
    viewer: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    campaign = await create_campaign(
        connection, tenant, name="Late <i>", status="paused", paused_reason="lunch", next_batch_at=None
    )
    await create_calling(connection, campaign, status="ended", outcome="answered")
    await create_campaign_contact(connection, campaign, status="completed")

    page = await viewer.get(base)

    assert page.status_code == 200
    text = main_of(page.text)
    assert "Late <i>" in text
    assert "<i>" not in page.text
    assert "50%" in text
    assert "Paused: lunch." in text
    assert "Completed: 1" in text
    assert "New campaign" not in text
    assert len(page.content) < 60_000


async def test_an_empty_campaign_list_explains_the_next_step(
    operator: Browser, viewer: Browser, base: str, connection: asyncpg.Connection
) -> None:
    await connection.execute("delete from campaigns")

    assert "Create one, import contacts" in main_of((await operator.get(base)).text)
    assert "An operator of this organization" in main_of((await viewer.get(base)).text)
    assert "No matching campaigns" in main_of((await viewer.get(base, params={"name": "x", "status": "nonsense"})).text)


async def test_the_form_starts_with_defaults_and_the_last_agent_and_number(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    ids = {
        "organization_id": two_organizations.own.tenant.organization_id,
        "provider_account_id": two_organizations.own.tenant.provider_account_id,
    }
    number = {"phone": "+12125550199", "nickname": "Front desk", "retell_agent_id": "agent_9"}
    await insert(connection, "phone_numbers", **ids, **number)
    for agent_id in ("agent_1", "agent_9"):
        await insert(connection, "agents", **ids, agent_id=agent_id, name="Sales", seen_at=NOW)

    page = (await operator.get(f"{base}/new")).text

    assert '<option value="agent_1" selected>Sales</option>' in page
    assert '<option value="+12125550000" selected>+1 (212) 555-0000</option>' in page
    assert '<option value="+12125550199">Front desk · +1 (212) 555-0199</option>' in page
    assert len(page) < 60_000
    assert "style=" not in page
    assert not re.search(r"<script[^>]*>(?!</script>)", page)


async def test_the_form_saves_hours_retries_and_variables(
    operator: Browser, base: str, connection: asyncpg.Connection, paused: str
) -> None:
    chosen = {"retry_busy_delay": ["15m", "", "1d"], "retry_busy_attempts": "2", "retry_ivr_delay": ["1d", "", ""]}

    page = (await operator.get(f"{base}/{paused}/edit")).text
    answer = await operator.post_form(f"{base}/{paused}/edit", FORM | chosen)

    row = await connection.fetchrow(
        f"select name, status, batch_size, max_attempts, {MAX_CONCURRENCY.name}, scheduled_at, calling_hours::text,"  # noqa: S608
        " retry_policy::text, dynamic_variables::text from campaigns where retell_agent_id = 'agent_7'"
    )
    assert re.search(r'<option value="30m" selected>30 minutes', page)
    assert len(page) < 60_000
    assert answer.headers["location"] == f"{base}/{paused}"
    assert tuple(row)[:6] == ("Spring <b>", "paused", 20, 4, None, None)
    hours, policy, variables = (msgspec.json.decode(row[column]) for column in list(row.keys())[6:])
    assert hours == {
        "monday": [["09:00", "12:00"], ["14:00", "24:00"]],
        "excluded_dates": ["2026-12-25", "2027-01-01"],
    }
    assert policy == {
        "busy": {"delays": ["15m", "15m", "1d"], "max_attempts": 2},
        "ivr": {"delays": ["1d"], "max_attempts": 100},
    }
    assert variables == {"offer": "spring = 20 %", "agent_name": "Ada"}


async def test_purpose_consent_and_lists_are_saved_shown_and_offered_again(
    operator: Browser, base: str, connection: asyncpg.Connection, paused: str
) -> None:
    duties = {"purpose": "survey", "consent_required": "written", "lists_required": ["national", "reassigned"]}

    await operator.post_form(f"{base}/{paused}/edit", FORM | duties)
    campaign_id = await connection.fetchval("select id from campaigns where retell_agent_id = 'agent_7'")
    shown = main_of((await operator.get(f"{base}/{campaign_id}/settings")).text)
    form = (await operator.get(f"{base}/{campaign_id}/edit")).text

    assert "Purpose Survey or research" in shown
    assert "Consent required Written consent" in shown
    assert "Lists required National do-not-call list, Reassigned numbers" in shown
    hours = "Mon 9:00 AM–12:00 PM, 2:00 PM–midnight; Tue–Sun closed, in the contact's time zone"
    assert f"{hours}; holidays: Dec 25, 2026; Jan 1, 2027" in shown
    assert '<option value="survey" selected>' in form
    assert '<option value="written" selected>' in form
    assert re.findall(r'name="lists_required" value="(\w+)" checked', form) == ["national", "reassigned"]


async def test_parts_of_the_day_voicemail_callbacks_and_budget_are_saved_shown_and_offered_again(
    operator: Browser, base: str, connection: asyncpg.Connection, paused: str
) -> None:
    policy = {
        "voicemail_action": "leave_message",
        "voicemail_message": "Hello {{name}} <b>",
        "voicemail_attempt": "last",
        "voicemail_then": "stop",
        "callbacks": "off",
        "callback_time_field": "when",
    }
    parts = {"day_parts": ["", "evening", "morning"]}
    for attempt, reason in (("0", "on_attempt"), ("9", "so attempt 9 would never leave the message; use a lower")):
        refused = await operator.post_form(
            f"{base}/{paused}/edit", FORM | policy | parts | {"voicemail_attempt": attempt}
        )
        assert (refused.status_code, reason in main_of(refused.text)) == (400, True)
    refused = await operator.post_form(f"{base}/{paused}/edit", FORM | policy | {"callback_request_field": "a/b"})
    assert (refused.status_code, "is not the name of an analysis field" in main_of(refused.text)) == (400, True)
    for unreadable in ("-5", "much"):
        refused = await operator.post_form(f"{base}/{paused}/edit", FORM | {"budget": unreadable})
        assert (refused.status_code, "Enter an amount" in refused.text) == (400, True)
    await operator.post_form(f"{base}/{paused}/edit", FORM | policy | parts | {"budget": "1,250.50"})
    row = await connection.fetchrow("select * from campaigns where name = 'Spring <b>'")
    assert row is not None
    assert row["day_parts"] == ["evening", "morning"]
    assert row["budget_cents"] == 125_050
    assert msgspec.json.decode(row["voicemail_policy"]) == {
        "action": "leave_message",
        "message": "Hello {{name}} <b>",
        "on_attempt": "last",
        "then": "stop",
    }
    assert msgspec.json.decode(row["callback_policy"]) == {"enabled": False, "time_field": "when"}
    shown = main_of((await operator.get(f"{base}/{row['id']}/settings")).text)
    assert "Callbacks Do not call back: if Retell reports" in shown
    assert "Attempt 1: evening, Attempt 2: morning" in shown
    assert "Leave a message on attempt last: “Hello {{name}} <b>”. Stop: the contact is completed" in shown
    assert "Budget $1,250.50" in shown
    offered = (await operator.get(f"{base}/{row['id']}/edit")).text
    assert 'name="budget" type="text" value="1250.50"' in offered
    assert '<option value="evening" selected>' in offered
    assert '<option value="stop" selected>' in offered
    assert '<option value="off" selected>' in offered
    assert 'name="callback_time_field" type="text" value="when"' in offered


async def test_a_start_time_is_read_in_the_selected_time_zone(
    operator: Browser, base: str, connection: asyncpg.Connection, paused: str
) -> None:
    await operator.post_form(f"{base}/{paused}/edit", FORM | {"schedule": "at", "scheduled_local": "2026-07-01T09:00"})

    at = await connection.fetchval("select scheduled_at from campaigns where retell_agent_id = 'agent_7'")
    assert at.isoformat() == "2026-07-01T07:00:00+00:00"


@pytest.mark.parametrize(
    ("fields", "named", "words"),
    [
        ({"name": ""}, "name", "Enter a name"),
        ({"from_number": "123"}, "from_number", "use E.164"),
        ({"batch_size": "many"}, "batch_size", "whole number"),
        ({"batch_size": "1001"}, "batch_size", "from 1 to 1000"),
        ({"max_attempts": ""}, "max_attempts", "whole number"),
        ({MAX_CONCURRENCY.name: "-1"}, MAX_CONCURRENCY.name, "whole number"),
        ({"schedule": "at", "scheduled_local": "soon"}, "scheduled_local", "Enter a date and time"),
        # The clocks of Paris go forward at two.
        (
            {"schedule": "at", "scheduled_local": "2026-03-29T02:30"},
            "scheduled_local",
            "that exists in this time zone",
        ),
        ({"schedule": "at", "scheduled_local": "2026-07-01T09:00", "zone": "Mars"}, "zone", "from the list"),
        ({"monday_from": ["09:00"], "monday_to": [""]}, "calling_hours", "both a start and an end time"),
        ({"monday_from": ["12:00"], "monday_to": ["09:00"]}, "calling_hours", "must end after it starts"),
        ({"monday_from": [], "monday_to": []}, "calling_hours", "Open at least"),
        ({"excluded_dates": "Christmas"}, "calling_hours", "is not a date"),
        ({"retry_busy_delay": ["soon"]}, "retry_policy", "is not a duration"),
        ({"variables": "offer"}, "variables", "name = value"),
        ({"purpose": "war"}, "purpose", "Must be one of sales"),
        ({"consent_required": "spoken"}, "consent_required", "Must be one of none, express"),
        ({"lists_required": ["naughty"]}, "lists_required", "Must be one of national"),
    ],
)
async def test_an_invalid_form_is_shown_again_with_its_input(
    operator: Browser,
    base: str,
    connection: asyncpg.Connection,
    paused: str,
    fields: dict[str, Any],
    named: str,
    words: str,
) -> None:
    page = await operator.post_form(f"{base}/{paused}/edit", FORM | fields)

    assert page.status_code == 400
    assert f'href="#field-{named}"' in page.text
    assert words in main_of(page.text)
    # Each field but the one that is wrong is as it was typed.
    kept = FORM | fields
    for name in ("name", "retell_agent_id", "from_number", "batch_size", "max_attempts"):
        assert f'name="{name}"' in page.text
        assert f'value="{str(kept[name]).replace("<b>", "&lt;b&gt;")}"' in page.text
    assert f">{kept['variables']}</textarea>" in unescape(page.text)
    assert await connection.fetchval("select count(*) from campaigns where retell_agent_id = 'agent_7'") == 0


async def test_the_edit_form_keeps_settings_it_does_not_show(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(
        connection,
        two_organizations.own.tenant,
        status="paused",
        next_batch_at=None,
        calling_hours='{"weekend": [["09:15", "24:00"]]}',
        retry_policy='{"jitter": 0.5, "busy": {"delays": ["90s"], "max_attempts": 40}}',
        dynamic_variables='{"offer": "spring"}',
    )
    url = f"{base}/{campaign.id}/edit"

    page = (await operator.get(url)).text
    seen = re.search(r'name="seen" value="([^"]+)"', page)
    assert seen is not None
    saved = await operator.post_form(
        url, FORM | {"seen": unescape(seen[1]), "retry_busy_delay": ["90s"], "retry_busy_attempts": "40"}
    )

    assert page.count('value="09:15"') == 2
    assert "90 seconds" in page
    assert ">40 attempts" in page
    assert ">offer = spring</textarea>" in page
    assert saved.headers["location"] == f"{base}/{campaign.id}"
    row = await connection.fetchrow("select name, retry_policy::text from campaigns where id = $1", campaign.id)
    assert row["name"] == "Spring <b>"
    assert msgspec.json.decode(row["retry_policy"]) == {
        "jitter": 0.5,
        "busy": {"delays": ["90s"], "max_attempts": 40},
    }


async def test_an_outdated_edit_is_shown_again_and_can_be_saved_then(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant, status="paused", next_batch_at=None)
    url = f"{base}/{campaign.id}/edit"

    overtaken = await operator.post_form(url, FORM | {"seen": '"older"'})
    seen = re.search(r'name="seen" value="([^"]+)"', overtaken.text)
    assert seen is not None
    saved = await operator.post_form(url, FORM | {"seen": unescape(seen[1])})

    assert overtaken.status_code == 412
    assert "Someone else has changed these settings" in main_of(overtaken.text)
    assert 'value="agent_7"' in overtaken.text
    assert saved.status_code == 303


async def test_the_form_of_an_active_campaign_shows_what_is_fixed_and_saves_the_rest(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant, purpose="survey")
    url = f"{base}/{campaign.id}/edit"

    page = (await operator.get(url)).text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    fixed = {name: hidden[name] for name in ("retell_agent_id", "purpose", "consent_required", "schedule", "zone")}
    saved = await operator.post_form(url, FORM | fixed | {"seen": unescape(hidden["seen"])})
    row = await connection.fetchrow("select name, retell_agent_id, purpose from campaigns where id = $1", campaign.id)
    refused = await operator.post_form(url, FORM | {"retell_agent_id": "agent_9"})
    await connection.execute("update campaigns set status = 'cancelling'")
    ended = await operator.get(url)

    assert "Pause the campaign to change these" in main_of(page)
    assert 'id="field-retell_agent_id"' not in page
    assert saved.headers["location"] == f"{base}/{campaign.id}"
    assert tuple(row or ()) == (FORM["name"], "agent_1", "survey")
    assert refused.status_code == 409
    assert "pause it first" in main_of(refused.text)
    assert ended.headers["location"] == f"{base}/{campaign.id}"


async def test_the_campaign_page_shows_progress_and_actions(
    operator: Browser, viewer: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(
        connection,
        two_organizations.own.tenant,
        started_at=NOW - timedelta(minutes=1),
        dynamic_variables='{"offer": "<script>"}',
    )
    for outcome in ("answered", "busy", "busy"):
        await create_calling(
            connection, campaign, status="ended", outcome=outcome, cost_cents=50, duration_ms=60_000, created_at=NOW
        )
    await create_calling(connection, campaign, status="ongoing", created_at=NOW)
    await create_campaign_contact(connection, campaign)

    running = (await operator.get(f"{base}/{campaign.id}")).text
    looked_at = (await viewer.get(f"{base}/{campaign.id}")).text

    text = main_of(running)
    assert "0 of 5 contacts finished" in text
    assert "1 live call" in text
    assert "Cost $1.50" in text
    assert "3:00 talk time" in text
    assert "4.0 calls per minute" in text
    assert "Answered 1, Not answered 2, In progress 1" in text
    assert "Dialing." in text
    assert "1 pending contact will not be called" in text
    assert "1 call in progress will be hung up" in text
    assert "<script>" not in running[running.index("<main") :]
    assert f'action="{base}/{campaign.id}/pause"' in running
    assert "action=" not in looked_at[looked_at.index("<main") :].replace('action="' + f'{base}/{campaign.id}"', "")
    assert len(running) < 60_000


SAME_FOR_ALL = ("Go back", "Launch check", "Forecasts", "Analytics", "Stop everything")


@pytest.mark.parametrize(
    ("status", "labels"),
    [
        (
            "draft",
            [
                "Import contacts",
                "Continue setup",
                "Schedule",
                "Start",
                "Duplicate",
                "Export results",
                "Evidence",
                "Archive",
                "Delete",
                "Cancel campaign",
            ],
        ),
        (
            "scheduled",
            [
                "Import contacts",
                "Start now",
                "Edit settings",
                "Duplicate",
                "Export results",
                "Evidence",
                "Cancel campaign",
            ],
        ),
        (
            "active",
            [
                "Import contacts",
                "Pause",
                "Edit settings",
                "Process next batch now",
                "Duplicate",
                "Export results",
                "Evidence",
                "Cancel campaign",
            ],
        ),
        (
            "paused",
            [
                "Import contacts",
                "Resume",
                "Edit settings",
                "Duplicate",
                "Export results",
                "Evidence",
                "Cancel campaign",
            ],
        ),
        ("completed", ["Duplicate", "Evidence", "Archive"]),
        ("cancelled", ["Duplicate", "Evidence", "Archive"]),
    ],
)
async def test_each_status_offers_its_actions(
    operator: Browser,
    base: str,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
    status: str,
    labels: list[str],
) -> None:
    campaign = await create_campaign(
        connection,
        two_organizations.own.tenant,
        status=status,
        scheduled_at=NOW + timedelta(days=1) if status == "scheduled" else None,
    )
    if status in ("draft", "scheduled", "active", "paused"):
        await create_campaign_contact(connection, campaign)

    page = (await operator.get(f"{base}/{campaign.id}")).text
    buttons = page[page.index('id="campaign-actions"') : page.index('id="campaign-tabs"')]
    labels_shown = re.findall(r'<(?:a|button)[^>]*class="(?:button|item)[^"]*"[^>]*>([^<]+)<', buttons)
    shown = dict.fromkeys(label.strip().rstrip("…") for label in labels_shown)

    assert [label for label in shown if label not in SAME_FOR_ALL] == labels
    assert buttons.index("campaign-menu") > buttons.index(f">{labels[0]}")


async def test_the_buttons_start_pause_resume_and_cancel(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant, status="draft", next_batch_at=None)
    url = f"{base}/{campaign.id}"
    await create_campaign_contact(connection, campaign)

    for step, data, status in [
        ("start", {}, "active"),
        ("process-batch", {}, "active"),
        ("pause", {}, "paused"),
        ("resume", {}, "active"),
        ("cancel", {"hang_up": "true"}, "cancelling"),
    ]:
        answer = await operator.post_form(f"{url}/{step}", data, page=url)
        assert (answer.status_code, answer.headers["location"]) == (303, url)
        assert await connection.fetchval("select status from campaigns where id = $1", campaign.id) == status
    assert await connection.fetchval("select hang_up from campaigns where id = $1", campaign.id)


async def test_an_action_that_the_status_does_not_allow_is_explained(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant, status="draft", next_batch_at=None)

    answer = await operator.post_form(f"{base}/{campaign.id}/start")
    page = await operator.get(answer.headers["location"])

    assert "has no contacts" in main_of(page.text)


async def test_forms_without_the_csrf_token_are_rejected(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant)

    answers = [
        await operator.client.post(base, data=FORM),
        await operator.client.post(f"{base}/{campaign.id}/pause"),
        await operator.client.post(f"{base}/{campaign.id}/edit", data=FORM),
    ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert await connection.fetchval("select status from campaigns where id = $1", campaign.id) == "active"


async def test_viewers_change_nothing_and_outsiders_find_nothing(
    viewer: Browser,
    operator: Browser,
    base: str,
    browser_for: BrowserFor,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
) -> None:
    own = await create_campaign(connection, two_organizations.own.tenant)
    theirs = await create_campaign(connection, two_organizations.other.tenant)
    outsider = await browser_for(two_organizations.own.users["outsider"])

    refused = [
        await viewer.get(f"{base}/new"),
        await viewer.get(f"{base}/{own.id}/edit"),
        await viewer.post_form(base, FORM),
        await viewer.post_form(f"{base}/{own.id}/pause"),
    ]
    missing = [
        await operator.get(f"{base}/{theirs.id}"),
        await operator.get(f"{base}/{theirs.id}/edit"),
        await operator.post_form(f"{base}/{theirs.id}/edit", FORM),
        await operator.post_form(f"{base}/{theirs.id}/pause"),
        await outsider.get(base),
    ]

    assert [answer.status_code for answer in refused] == [403] * 4
    assert [answer.status_code for answer in missing] == [404] * 5
    assert await connection.fetchval("select count(*) from campaigns where status <> 'active'") == 0


async def test_tabs_have_addresses_of_their_own_and_old_links_lead_to_them(
    operator: Browser, viewer: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant)
    await create_campaign_contact(connection, campaign)
    url = f"{base}/{campaign.id}"

    old = await viewer.get(f"{url}?status=failed&q=Ada+L")
    assert old.headers["location"] == f"{url}/contacts?q=Ada+L&status=failed"
    await operator.post_form(f"{url}/pause", page=url)
    paused = (await operator.get(url)).text
    banner = re.search(r'<div class="banner.*?</div>', paused, re.S)
    assert banner is not None
    assert f'action="{url}/resume"' in banner[0]
    assert "Resume</button>" in banner[0]
    shown = (await viewer.get(url)).text
    tabs = re.findall(rf'<a href="({url}[^"]*)"', shown[shown.index('id="campaign-tabs"') :].partition("</nav>")[0])
    assert len(tabs) == 7
    for tab in tabs:
        page = (await viewer.get(tab)).text
        assert f'<a href="{tab}" aria-current="page">' in page, tab
        # The buttons of the operator are on every tab, and a viewer has none.
        assert f'action="{url}/resume"' in (await operator.get(tab)).text, tab
        assert f'action="{url}/resume"' not in page, tab


async def test_activity_says_in_words_who_did_what(
    operator: Browser, viewer: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant, status="draft", next_batch_at=None)
    await create_campaign_contact(connection, campaign)
    url = f"{base}/{campaign.id}"
    empty = main_of((await viewer.get(f"{url}/activity")).text)
    await operator.post_form(f"{url}/start", page=url)
    await operator.post_form(f"{url}/pause", page=url)
    seen = unescape(re.search(r'name="seen" value="([^"]+)"', (await operator.get(f"{url}/edit")).text)[1])  # type: ignore[index]
    saved = await operator.post_form(f"{url}/edit", FORM | {"seen": seen})

    text = main_of((await viewer.get(f"{url}/activity")).text)

    # The banner says who has paused it and when; the entry has both anyway.
    banner = main_of((await viewer.get(url)).text)
    assert re.search(r"Paused by \S+@\S+, [A-Z][a-z]{2} \d+, 20\d\d at \d+:\d\d [AP]M\.", banner)
    assert "aused by" not in text
    assert "No activity yet" in empty
    assert saved.status_code == 303
    lines = re.findall(r"(Changed [a-z, ]+|Paused the campaign|Started the campaign) (\S+@\S+|[0-9a-f-]{36})", text)
    assert [line[:7] for line, _ in lines] == ["Changed", "Paused ", "Started"]
    assert "name" in lines[0][0]
    assert "calling hours" in lines[0][0]

    # A reason that a member gave is shown, whatever its words.
    async with acting(two_organizations, "service") as service:
        await lifecycle.resume(service, campaign.id, Actor(), NOW)
        await lifecycle.pause(service, campaign.id, Actor(), NOW, "paused by request of the client")
    assert "paused by request of the client" in (await viewer.get(f"{url}/activity")).text
