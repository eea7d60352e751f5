"""The setup of a campaign in steps: each saves what it asks for, alone, once, and without losing what was typed."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from outdial.domain.limits import CAMPAIGN_LIMITS
from outdial.studio.campaign_setup.steps import CONTENTS, SetupStep, merged_form
from outdial.studio.campaigns.form import CampaignForm, empty_form, parse_settings
from outdial.studio.campaigns.retry_form import PRESETS
from outdial.studio.campaigns.service import CampaignChanges
from outdial.studio.web.errors import InvalidInput
from tests.support.factories import NOW, create_campaign, create_campaign_contact, create_provider_account, insert
from tests.support.studio import Browser
from tests.support.two_organizations import TwoOrganizations

WHO = {"name": "Spring", "retell_agent_id": "agent_7", "from_number": "+12125550123", "variables": "offer = spring"}
AUTOSAVE = {"x-autosave": "1"}


@pytest.fixture
def base(two_organizations: TwoOrganizations) -> str:
    return f"/o/{two_organizations.own.tenant.organization_id}/campaigns"


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, browser_for: Callable[[UUID | None], Any]) -> Any:
    return await browser_for(two_organizations.own.users["operator"])


@pytest.fixture
async def draft(connection: asyncpg.Connection, two_organizations: TwoOrganizations) -> UUID:
    campaign = await create_campaign(connection, two_organizations.own.tenant, status="draft", next_batch_at=None)
    return campaign.id


def test_each_setting_and_each_field_belongs_to_one_step() -> None:
    settings = [name for content in CONTENTS.values() for name in content.settings]
    assert sorted(settings) == sorted(CampaignChanges.model_fields)
    asked = [name for content in CONTENTS.values() for name in content.attributes]
    assert sorted([*asked, "limits", "unreadable"]) == sorted(CampaignForm.__dataclass_fields__)


async def test_the_first_step_sent_again_with_its_key_changes_the_same_draft(
    operator: Browser, base: str, connection: asyncpg.Connection
) -> None:
    typed = WHO | {"key": "of this form"}
    first = await operator.post_form(base, typed | {"name": "Spr"}, page=f"{base}/new")
    again = [await operator.post_form(base, typed, page=f"{base}/new") for _ in range(2)]

    row = await connection.fetchrow(
        "select id, name, status, dynamic_variables from campaigns where from_number like '%0123'"
    )
    assert (row["name"], row["status"], row["dynamic_variables"]) == ("Spring", "draft", '{"offer": "spring"}')
    location = f"{base}/{row['id']}/setup/contacts?saved=who"
    assert [answer.headers["location"] for answer in (first, *again)] == [location] * 3


async def test_a_step_saves_its_settings_alone(
    operator: Browser, base: str, connection: asyncpg.Connection, draft: UUID
) -> None:
    sent = {
        "who": WHO,
        "contacts": {"keep_open": "yes", "reentry_after": "30d"},
        "when": {
            "purpose": "survey",
            "monday_from": "09:00",
            "monday_to": "17:00",
            "excluded_dates": ["2026-12-25", ""],
        },
        "retries": {"retry_preset": "persistent", "retry_preset_shown": "standard", "max_attempts": "3"},
        "pace": {"budget": "99.50", "batch_size": "20", "priority": "5", "share": "1"},
    }
    for step, fields in sent.items():
        answer = await operator.post_form(f"{base}/{draft}/setup/{step}", fields)
        assert answer.status_code == 303, (step, answer.text)

    row = await connection.fetchrow("select * from campaigns where id = $1", draft)
    assert (row["name"], row["keep_open"], row["purpose"], row["budget_cents"]) == ("Spring", True, "survey", 9950)
    assert msgspec.json.decode(row["calling_hours"]) == {
        "monday": [["09:00", "17:00"]],
        "excluded_dates": ["2026-12-25"],
    }
    assert (row["max_attempts"], row["batch_size"]) == (6, 20)
    assert "voicemail" in row["retry_policy"]
    # The last step asks for a launch check, which the review shows.
    assert await connection.fetchval("select count(*) from launch_checks where campaign_id = $1", draft) == 1
    review = await operator.get(f"{base}/{draft}/setup/review")
    assert "Persistent, 6 attempts" in review.text
    assert "Start now" in review.text


@pytest.mark.parametrize(
    ("step", "fields", "named", "kept"),
    [
        ("who", {"name": "", "variables": "offer"}, "variables", ">offer</textarea>"),
        ("contacts", {"reentry_after": "soon"}, "reentry_after", 'value="soon"'),
        ("when", {"monday_from": "12:00", "monday_to": "09:00"}, "calling_hours", 'value="12:00"'),
        ("retries", {"max_attempts": "many"}, "max_attempts", 'value="many"'),
        ("pace", {"budget": "much"}, "budget", 'value="much"'),
    ],
)
async def test_an_invalid_step_is_shown_again_as_typed_and_saves_nothing(
    operator: Browser,
    base: str,
    connection: asyncpg.Connection,
    draft: UUID,
    step: str,
    fields: dict[str, str],
    named: str,
    kept: str,
) -> None:
    before = await connection.fetchrow("select * from campaigns where id = $1", draft)
    url = f"{base}/{draft}/setup/{step}"

    page = await operator.post_form(url, fields)
    token = await operator.token_on(url)
    saved = await operator.client.post(url, data={"csrf_token": token, **fields}, headers=AUTOSAVE)

    assert (page.status_code, f'href="#field-{named}"' in page.text, kept in unescape(page.text)) == (400, True, True)
    assert (saved.status_code, named in saved.json()["fields"]) == (400, True)
    assert await connection.fetchrow("select * from campaigns where id = $1", draft) == before


async def test_a_save_while_typing_returns_what_the_next_one_needs(
    operator: Browser, base: str, connection: asyncpg.Connection
) -> None:
    token = await operator.token_on(f"{base}/new")
    typed = {"csrf_token": token, "key": "typed", **WHO}
    created = (await operator.client.post(base, data=typed, headers=AUTOSAVE)).json()
    page = (await operator.get(f"{created['setup']}/who")).text
    seen = re.search(r'name="seen" value="([^"]+)"', page)
    assert seen is not None
    assert (created["name"], created["step"], created["seen"]) == ("Spring", "who", unescape(seen[1]))

    url = f"{created['setup']}/who"
    changed = await operator.client.post(
        url, data=typed | {"seen": created["seen"], "name": "Summer"}, headers=AUTOSAVE
    )
    # The form that was sent while the last save was under way has the older version, and the same content.
    same = await operator.post_form(url, WHO | {"seen": created["seen"], "name": "Summer"})
    other = await operator.client.post(url, data=typed | {"seen": created["seen"], "name": "Autumn"}, headers=AUTOSAVE)
    shown = await operator.post_form(url, WHO | {"seen": created["seen"], "name": "Autumn"})

    assert (changed.status_code, same.status_code, other.status_code, shown.status_code) == (200, 303, 412, 412)
    assert 'value="Autumn"' in shown.text
    assert await connection.fetchval("select name from campaigns where from_number like '%0123'") == "Summer"
    seen = re.search(r'name="seen" value="([^"]+)"', shown.text)
    assert seen is not None
    assert (await operator.post_form(url, WHO | {"seen": unescape(seen[1]), "name": "Autumn"})).status_code == 303


async def test_the_setup_opens_at_the_first_missing_step_and_ends_with_the_draft(
    operator: Browser, base: str, connection: asyncpg.Connection, draft: UUID
) -> None:
    setup = f"{base}/{draft}/setup"
    missing = await operator.get(setup)
    row = await connection.fetchrow("select * from campaigns where id = $1", draft)
    assert row is not None
    await connection.execute("update campaigns set keep_open = true where id = $1", draft)
    ready = await operator.get(setup)
    after = [await operator.get(f"{setup}?after=contacts")]
    await connection.execute("update campaigns set status = 'active', next_batch_at = $1", NOW)
    after.append(await operator.get(f"{setup}?after=contacts"))
    running = await operator.get(f"{setup}/when")
    token = await operator.token_on(f"{base}/{draft}/edit")
    late = await operator.client.post(f"{setup}/pace", data={"csrf_token": token}, headers=AUTOSAVE)

    assert missing.headers["location"] == f"{setup}/contacts"
    assert ready.headers["location"] == f"{setup}/review"
    assert [answer.headers["location"] for answer in after] == [f"{setup}/when", f"{base}/{draft}"]
    assert running.headers["location"] == f"{base}/{draft}/edit"
    assert late.status_code == 409


async def test_a_draft_is_edited_in_its_setup_alone(
    operator: Browser, base: str, connection: asyncpg.Connection, draft: UUID
) -> None:
    before = await connection.fetchrow("select * from campaigns where id = $1", draft)
    opened = await operator.get(f"{base}/{draft}/edit")
    sent = await operator.post_form(f"{base}/{draft}/edit", WHO)
    assert [answer.headers["location"] for answer in (opened, sent)] == [f"{base}/{draft}/setup"] * 2
    assert await connection.fetchrow("select * from campaigns where id = $1", draft) == before


@pytest.mark.parametrize("step", [step for step in SetupStep if step != SetupStep.REVIEW])
def test_a_step_is_parsed_whatever_the_other_steps_have(step: SetupStep) -> None:
    right = replace(empty_form(), name="Spring", retell_agent_id="agent_7", from_number="+12125550123")
    wrong = CampaignForm(
        limits={limit.name: "many" for limit in CAMPAIGN_LIMITS},
        is_scheduled=True,
        zone="Mars",
        scheduled_local="soon",
        reentry_after="soon",
        budget="much",
        variables="offer",
    )
    with pytest.raises(InvalidInput):
        parse_settings(wrong, names=CONTENTS[step].settings)
    mixed = merged_form(wrong, right, step)
    assert parse_settings(mixed, names=CONTENTS[step].settings).keys() == set(CONTENTS[step].settings)


async def test_each_step_is_saved_whatever_is_stored_for_the_others(
    operator: Browser, base: str, connection: asyncpg.Connection, draft: UUID
) -> None:
    # As the API and SQL can store them.
    odd = {"lines": "one\ntwo", "a=b": " padded ", "sep\u2028arated": "x", "": "no name"}
    unreadable = {"calling_hours": {"someday": []}, "retry_policy": {"busy": 1}, "voicemail_policy": {"action": "sing"}}
    sent: dict[str, dict[str, str]] = {
        "who": {**WHO},
        "contacts": {},
        "when": {"purpose": "survey", "monday_from": "09:00", "monday_to": "17:00"},
        "retries": {"retry_preset": "persistent", "retry_preset_shown": "standard"},
        "pace": {"batch_size": "20", "priority": "5", "share": "1"},
    }
    for step, fields in sent.items():
        async with connection.transaction():
            # Rows from before the database checked them.
            await connection.execute("set local session_replication_role = replica")
            for name, value in ({"dynamic_variables": odd} | unreadable).items():
                await connection.execute(f"update campaigns set {name} = $1", msgspec.json.encode(value).decode())  # noqa: S608
        page = (await operator.get(f"{base}/{draft}/setup/{step}")).text
        if step == "who":
            shown = re.search(r'<textarea[^>]*name="variables"[^>]*>([^<]*)</textarea>', page)
            assert shown is not None
            fields["variables"] = unescape(shown[1]).replace("\n", "\r\n")
        answer = await operator.post_form(f"{base}/{draft}/setup/{step}", fields)
        assert answer.status_code == 303, (step, re.findall(r'class="wrong">([^<]+)', answer.text))
        kept = await connection.fetchval("select dynamic_variables from campaigns where id = $1", draft)
        assert msgspec.json.decode(kept) == odd


async def test_a_line_break_within_a_variable_can_be_edited(
    operator: Browser, base: str, connection: asyncpg.Connection, draft: UUID
) -> None:
    stored = msgspec.json.encode({"lines": "one\ntwo"}).decode()
    await connection.execute("update campaigns set dynamic_variables = $1 where id = $2", stored, draft)
    url = f"{base}/{draft}/setup/who"
    assert "lines = one\u21b5two</textarea>" in (await operator.get(url)).text
    await operator.post_form(url, WHO | {"variables": "lines = one\u21b5two\u21b5three\r\noffer = spring"})
    kept = await connection.fetchval("select dynamic_variables from campaigns where id = $1", draft)
    assert msgspec.json.decode(kept) == {"lines": "one\ntwo\nthree", "offer": "spring"}


async def test_agents_and_numbers_are_chosen_by_name_or_imported(
    operator: Browser,
    base: str,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
    browser_for: Callable[[UUID | None], Any],
) -> None:
    admin = await browser_for(two_organizations.own.users["admin"])
    tenant = two_organizations.own.tenant
    ids = {"organization_id": tenant.organization_id, "provider_account_id": tenant.provider_account_id}
    await connection.execute("delete from phone_numbers; delete from agents; delete from number_imports")
    typed = WHO | {"then": "import", "key": "typed"}

    shown = await admin.post_form(base, typed, page=f"{base}/new")
    refused = await operator.post_form(base, typed, page=f"{base}/new")

    assert (shown.status_code, "Check again" in shown.text, 'value="Spring"' in shown.text) == (200, True, True)
    # Enter in a field presses the first button: it saves.
    first_button = shown.text.index("<button", shown.text.index('id="setup-form"'))
    assert 'aria-hidden="true">Save</button>' in shown.text[first_button : first_button + 120]
    assert refused.status_code == 403
    assert await connection.fetchval("select count(*) from number_imports") == 1
    assert "An admin can import" in (await operator.get(f"{base}/new")).text

    await insert(connection, "agents", **ids, agent_id="agent_7", name="Ada from sales", seen_at=NOW)
    for phone, nickname in (("+12125550199", "Front desk"), ("+12125550198", None)):
        await insert(connection, "phone_numbers", **ids, phone=phone, nickname=nickname)
    page = (await operator.get(f"{base}/new")).text
    assert '<option value="agent_7" selected>Ada from sales</option>' in page
    assert '<option value="+12125550199">Front desk · +1 (212) 555-0199</option>' in page
    assert 'name="more_numbers" value="+12125550198"' in page
    numbers = {"more_numbers": ["+12125550198", "+12125550199"], "from_number": "+12125550199"}
    await operator.post_form(base, WHO | numbers, page=f"{base}/new")
    assert await connection.fetchval("select more_numbers from campaigns where from_number = '+12125550199'") == [
        "+12125550198"
    ]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.key)
async def test_a_preset_of_retries_is_saved_and_recognized(
    operator: Browser, base: str, connection: asyncpg.Connection, draft: UUID, preset: Any
) -> None:
    url = f"{base}/{draft}/setup/retries"
    other = "custom" if preset.key == "standard" else "standard"
    await operator.post_form(url, {"retry_preset": preset.key, "retry_preset_shown": other})
    chosen = (await operator.get(url)).text
    # The details of the form apply where the preset it showed is still chosen.
    await operator.post_form(
        url, preset.fields | {"retry_preset": preset.key, "retry_preset_shown": preset.key, "retry_busy_delay": "7d"}
    )

    assert re.search(rf'value="{preset.key}" data-fields="[^"]+" checked', chosen)
    assert await connection.fetchval("select max_attempts from campaigns where id = $1", draft) == preset.attempts
    assert 'value="custom" checked' in (await operator.get(url)).text


async def test_the_review_counts_the_contacts_and_keeps_its_actions_on_the_page(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant, status="draft", next_batch_at=None)
    review = f"{base}/{campaign.id}/setup/review"
    assert "has no contacts yet" in (await operator.get(review)).text
    await create_campaign_contact(connection, campaign)

    answers = [
        await operator.post_form(f"{base}/{campaign.id}/{action}", {"shown_on": "setup"}, page=review)
        for action in ("launch-check", "launch-check/forecast")
    ]

    assert [answer.headers["location"] for answer in answers] == [review] * 2
    page = (await operator.get(review)).text
    # Counting is slow, and live updates replace other parts.
    plans = [page, (await operator.get(review, headers={"x-live": "launch-check"})).text]
    assert ["1 contact" in plan[plan.index('<h2 id="plan"') : plan.index("/launch-report")] for plan in plans] == [
        True,
        False,
    ]
    assert f'action="{base}/{campaign.id}/start"' in page
    await connection.execute(
        "update launch_checks set checked_at = $1, findings = $2 where campaign_id = $3",
        NOW,
        '[{"code": "number", "level": "problem", "text": "The workspace has no number +12125550123"}]',
        campaign.id,
    )
    for headers in ({}, {"x-live": "1"}):
        start = re.findall(
            r'<div id="start" data-live.*?</section>', (await operator.get(review, headers=headers)).text, re.S
        )
        assert "The launch check has found a problem" in start[0], "also in the open page"
    assert "A dialer runs the check within seconds" in page
    assert list(SetupStep)[-1] == SetupStep.REVIEW


async def test_a_planned_start_that_has_passed_is_neither_saved_nor_started_by_its_button(
    operator: Browser, base: str, connection: asyncpg.Connection, draft: UUID
) -> None:
    campaign, review = f"{base}/{draft}", f"{base}/{draft}/setup/review"
    await connection.execute("update campaigns set keep_open = true, scheduled_at = $1", NOW + timedelta(hours=1))
    planned = [(await operator.get(url)).text for url in (campaign, review)]
    await connection.execute("update campaigns set scheduled_at = $1", NOW)
    passed = [(await operator.get(url)).text for url in (campaign, review)]

    assert [page.count(">Schedule<") for page in (*planned, *passed)] == [1, 1, 0, 0]
    for page in passed:
        assert "The planned start has passed." in page
        assert "Start now…" in page
        assert f'href="{campaign}/setup/when#schedule-at"' in page
    # The buttons of a page from before.
    stale = await operator.post_form(f"{campaign}/start", {"only": "schedule"}, page=review)
    assert await connection.fetchval("select status from campaigns where id = $1", draft) == "draft"
    assert stale.status_code == 303
    late = {"schedule": "at", "scheduled_local": "2026-03-10T12:00", "zone": "UTC", **WHO}
    late |= {"monday_from": "09:00", "monday_to": "17:00", "max_attempts": "3", "batch_size": "20", "priority": "5"}
    refused = await operator.post_form(f"{campaign}/setup/when", late | {"share": "1"})
    assert (refused.status_code, "This time has passed" in refused.text) == (400, True)

    await connection.execute("update campaigns set scheduled_at = $1", NOW + timedelta(hours=1))
    for _ in range(2):
        await operator.post_form(f"{campaign}/start", {"only": "schedule"}, page=campaign)
    assert await connection.fetchval("select status from campaigns where id = $1", draft) == "scheduled"


async def test_the_account_of_a_draft_is_text_and_agents_beyond_the_list_can_be_typed(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations, draft: UUID
) -> None:
    tenant = two_organizations.own.tenant
    await connection.execute(
        "insert into agents (organization_id, provider_account_id, agent_id, name, seen_at)"
        " select $1, $2, 'agent_' || n, 'Agent ' || n, $3 from generate_series(1000, 1250) n",
        tenant.organization_id,
        tenant.provider_account_id,
        NOW,
    )
    for url in (f"{base}/new", f"{base}/{draft}/setup/who"):
        page = (await operator.get(url)).text
        assert re.search(r'<input[^>]*name="retell_agent_id"', page), url
        assert "too many agents to list" in page
        assert len(page) < 60_000
    saved = await operator.post_form(f"{base}/{draft}/setup/who", WHO | {"retell_agent_id": "agent_1249"})
    assert saved.status_code == 303
    row = await connection.fetchrow("select * from provider_accounts where id = $1", tenant.provider_account_id)
    assert row is not None
    campaign = f"{base}/{draft}/setup/who"
    assert "Retell account" not in (await operator.get(campaign)).text
    await create_provider_account(connection, tenant.organization_id, name="Another workspace")
    page = (await operator.get(campaign)).text
    assert f'<span class="label">Retell account</span><p>{row["name"]}</p>' in page
    assert 'name="provider_account_id"' not in page
    assert 'name="provider_account_id"' in (await operator.get(f"{base}/new")).text
