"""Calling rules in the studio: listed with source and date, switched with a reason, added, and missing ones counted."""

import json
import re
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from outdial.domain.rules import RuleBook
from outdial.rules.pack import shipped_rules
from tests.studio.test_campaigns_pages import main_of
from tests.support.factories import insert
from tests.support.studio import Browser, BrowserFor, ClientFor, StudioServer
from tests.support.two_organizations import TwoOrganizations

SPAIN = {
    "jurisdiction": "ES",
    "purpose": "any",
    "hours": {"weekdays": [["09:00", "21:00"]]},
    "source": "Counsel, 2026-11-01",
    "confidence": "s",
}
FORM: dict[str, Any] = {
    "jurisdiction": "es",
    "purpose": ["sales", "survey"],
    "has_hours": "true",
    "weekdays_from": ["09:00", "15:00"],
    "weekdays_to": ["14:00", "00:00"],
    "holidays": ["es", "", "FR"],
    "cap_count": "4",
    "cap_period": "30d",
    "consent": "express",
    "source": "Counsel <b>",
    "confidence": "open",
}


@pytest.fixture
def rules() -> RuleBook:
    """The shipped rules, which other tests of the studio leave out."""
    return shipped_rules()


@pytest.fixture
def base(two_organizations: TwoOrganizations) -> str:
    return f"/o/{two_organizations.own.tenant.organization_id}/rules"


@pytest.fixture
def api(two_organizations: TwoOrganizations) -> str:
    return f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/rules"


@pytest.fixture
async def admin(two_organizations: TwoOrganizations, browser_for: BrowserFor) -> Browser:
    return await browser_for(two_organizations.own.users["admin"])


@pytest.fixture
async def admin_client(two_organizations: TwoOrganizations, client_for: ClientFor) -> Any:
    return await client_for(two_organizations.own.users["admin"])


async def contact_in(
    connection: asyncpg.Connection, two_organizations: TwoOrganizations, phone: str, jurisdictions: str
) -> None:
    """Store a contact of the own organization."""
    await insert(
        connection,
        "contacts",
        organization_id=two_organizations.own.tenant.organization_id,
        phone=phone,
        zone_key="Europe/Madrid",
        zone_source="number",
        jurisdiction_key=jurisdictions,
    )


async def test_the_page_lists_rules_with_source_date_and_certainty_and_disclaims_advice_once(
    admin: Browser, base: str
) -> None:
    page = await admin.get(base, params={"jurisdiction": "us-tx", "purpose": "sales"})

    text = main_of(page.text)
    assert text.count("Not legal advice") == 1
    assert "US-TX-HOURS Mon–Sat 9:00 AM–9:00 PM; Sun 12:00 PM–9:00 PM Texas Sales In force" in text
    assert "Tex. Bus. & Com. Code 301.051 Text of the law quoted, checked Nov 28, 2026" in text
    assert "US-FTC-HOURS" in text
    assert "US-FL-HOURS" not in text
    assert "No matching rules" in main_of((await admin.get(base, params={"state": "own"})).text)
    assert (await admin.get(base, params={"purpose": "war"})).status_code == 400


async def test_every_rule_is_on_some_page(admin: Browser, admin_client: Any, base: str, api: str) -> None:
    seen: list[str] = []
    url: str | None = base
    while url is not None:
        page = (await admin.get(url)).text
        assert len(page) < 60_000
        seen += re.findall(rf'href="{base}/([A-Z0-9-]+)">\1</a>', page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        url = following[1].replace("&amp;", "&") if following else None
    listed = (await admin_client.get(api, params={"limit": 200})).json()

    assert listed["next"] is None
    assert seen == [rule["id"] for rule in listed["items"]] == sorted(set(seen))


async def test_a_rule_is_switched_off_and_on_with_a_reason(
    admin: Browser, base: str, connection: asyncpg.Connection
) -> None:
    url = f"{base}/US-TX-HOURS"

    empty = await admin.post_form(f"{url}/switch", {"is_off": "true", "reason": " "})
    off = await admin.post_form(f"{url}/switch", {"is_off": "true", "reason": "Calls to <businesses> only"})
    page = main_of((await admin.get(url)).text)
    listed = main_of((await admin.get(base, params={"state": "off"})).text)
    await admin.post_form(f"{url}/switch", {"is_off": "false", "reason": "Consumers too"})
    after = main_of((await admin.get(url)).text)

    assert empty.status_code == 400
    assert "Must have 1 to 1000 characters" in main_of(empty.text)
    assert off.headers["location"] == url
    assert "This rule is switched off" in page
    assert "Off Calls to <businesses> only" in page
    assert "US-TX-HOURS" in listed
    assert "This rule is switched off" not in after
    assert "On Consumers too" in after
    audit = await connection.fetch(
        "select action, details::text from audit_log where subject_id = 'US-TX-HOURS' order by id"
    )
    assert [row["action"] for row in audit] == ["switch_off_calling_rule", "switch_on_calling_rule"]


async def test_contacts_in_a_country_without_a_rule_are_counted_and_its_check_can_be_switched_off(
    admin: Browser, admin_client: Any, base: str, api: str,
    connection: asyncpg.Connection, two_organizations: TwoOrganizations,
) -> None:  # fmt: skip
    for number in range(3):
        await contact_in(connection, two_organizations, f"+3491200012{number}", "ES")
    await contact_in(connection, two_organizations, "+33612345678", "FR")

    before = main_of((await admin.get(base)).text)
    check = main_of((await admin.get(f"{base}/ES-NO-RULE")).text)
    await admin.post_form(f"{base}/ES-NO-RULE/switch", {"is_off": "true", "reason": "Own customers"})
    switched = main_of((await admin.get(base)).text)
    overview = (await admin_client.get(f"{api}/overview")).json()
    added = await admin_client.post(api, json=SPAIN)
    after = (await admin_client.get(f"{api}/overview")).json()
    covered = main_of((await admin.get(f"{base}/ES-NO-RULE")).text)

    assert "Spain has a rule This check has no effect" in covered
    assert "3 contacts in Spain: not called." in before
    assert "France" not in before.partition("State or country")[0]
    assert "Spain has no rule" in check
    assert "3 contacts of the organization may be there" in check
    assert "3 contacts in Spain: called without a rule." in switched
    assert overview["without_rule"] == [
        {"country": "ES", "name": "Spain", "contacts": 3, "rule_id": "ES-NO-RULE", "is_off": True}
    ]
    assert (added.status_code, added.json()["id"]) == (201, "OWN-ES-1")
    assert after["without_rule"] == []


async def test_an_own_rule_is_added_with_the_form(admin: Browser, base: str, connection: asyncpg.Connection) -> None:
    form = (await admin.get(f"{base}/new", params={"jurisdiction": "ES"})).text

    added = await admin.post_form(base, FORM)
    page = main_of((await admin.get(added.headers["location"])).text)

    assert '<option value="ES" selected>' in form
    # Each of the two lists of holidays has the places with a calendar: not the EU.
    assert [form.count(f'<option value="{code}">') for code in ("US-AL", "FR", "EU")] == [3, 3, 1]
    assert len(form) < 60_000
    assert added.headers["location"] == f"{base}/OWN-ES-1"
    assert "Mon–Fri 9:00 AM–2:00 PM, 3:00 PM–midnight; Sat–Sun closed, closed on public holidays (ES, FR)" in page
    assert "At most 4 calls in 30 days to a number" in page
    assert "Purpose Sales, survey" in page
    assert "Consent Express" in page
    assert "Source Counsel <b>" in page
    assert "To be verified before use" in page
    assert await connection.fetchval("select count(*) from audit_log where action = 'add_calling_rule'") == 1


@pytest.mark.parametrize(
    ("fields", "named", "words"),
    [
        ({"jurisdiction": "Spain"}, "jurisdiction", "ISO 3166"),
        ({"purpose": []}, "purpose", "at least one purpose"),
        ({"weekdays_from": ["09:00"], "weekdays_to": [""]}, "hours", "both a start and an end"),
        ({"weekdays_from": ["09:00"], "weekdays_to": ["08:00"]}, "hours", "must end after it starts"),
        ({"weekdays_from": [], "weekdays_to": []}, "hours", "at least one day"),
        ({"holidays": "XX"}, "holidays", "no calendar of holidays"),
        ({"cap_count": "many"}, "cap", "whole number"),
        ({"cap_count": "0"}, "cap", "count and a period"),
        ({"source": ""}, "source", "missing"),
        ({"in_force_from": "2026-12-02", "in_force_to": "2026-12-01"}, "in_force_to", "before the rule"),
        ({"id": "US-TX-HOURS"}, "id", "must start with OWN-"),
        ({"note": "a\0b"}, "rule", "none of them null"),
    ],
)
async def test_an_invalid_rule_is_shown_again_with_its_input(
    admin: Browser, base: str, connection: asyncpg.Connection, fields: dict[str, Any], named: str, words: str
) -> None:
    page = await admin.post_form(base, FORM | fields)

    assert page.status_code == 400
    assert f'href="#field-{named}"' in page.text
    assert words in main_of(page.text)
    assert 'value="30d" selected' in page.text
    assert await connection.fetchval("select count(*) from calling_rules where rule_id like 'OWN-ES%'") == 0


async def test_an_id_is_used_once_and_an_own_rule_ends_by_being_switched_off(admin_client: Any, api: str) -> None:
    named = SPAIN | {"id": "OWN-ES-HOURS"}

    answers = [await admin_client.post(api, json=named) for _ in range(2)]
    switched = await admin_client.post(f"{api}/OWN-ES-HOURS/switch", json={"is_off": True, "reason": "Replaced"})
    shown = (await admin_client.get(f"{api}/OWN-ES-HOURS")).json()

    assert [answer.status_code for answer in answers] == [201, 409]
    assert switched.status_code == 204
    assert (shown["is_own"], shown["is_off"], shown["switched"]["reason"]) == (True, True, "Replaced")
    assert shown["rule"]["source"] == "Counsel, 2026-11-01"
    assert shown["asks"] == "Mon–Fri 09:00–21:00; Sat–Sun closed"


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "jurisdiction"),
        (SPAIN | {"colour": "red"}, "colour"),
        (SPAIN | {"note": "\ud800"}, "rule"),
        (SPAIN | {"note": "x" * 10_001}, "rule"),
        (SPAIN | {"id": f"OWN-{'X' * 100}"}, "id"),
        (SPAIN | {"jurisdiction": 5}, "jurisdiction"),
    ],
)
async def test_the_api_names_the_field_of_an_invalid_rule(
    admin_client: Any, api: str, document: dict[str, Any], field: str
) -> None:
    refused = await admin_client.post(api, content=json.dumps(document), headers={"content-type": "application/json"})

    assert refused.status_code == 400, refused.text
    assert field in refused.json()["fields"]


async def test_a_stored_rule_that_cannot_be_read_is_reported_until_it_is_switched_off(
    admin: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    await connection.execute(
        "insert into calling_rules (organization_id, rule_id, body, created_by, created_at)"
        """ values ($1, 'OWN-BROKEN', '{"id": "OWN-BROKEN"}', 'service', now())""",
        two_organizations.own.tenant.organization_id,
    )

    before = main_of((await admin.get(base)).text)
    await admin.post_form(f"{base}/OWN-BROKEN/switch", {"is_off": "true", "reason": "Unreadable"})
    after = main_of((await admin.get(base)).text)

    assert "Your rule OWN-BROKEN cannot be read" in before
    assert "OWN-BROKEN cannot be read" not in after


async def test_rules_that_were_checked_long_ago_warn(studio_app: StudioServer, api: str, base: str) -> None:
    client = await studio_app.client_of(None)
    before = (await client.get(f"{api}/overview")).json()["stale_rules"]
    studio_app.clock.advance(timedelta(days=1000))
    after = (await client.get(f"{api}/overview")).json()["stale_rules"]
    page = main_of((await client.get(base)).text)

    assert before == 0
    assert after > 50
    assert f"{after} rules were last checked more than 180 days ago" in page
