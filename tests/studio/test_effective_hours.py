"""Forms and the API show the hours that calling rules allow; pages count the contacts that the rules exclude."""

import re
from typing import Any

import asyncpg
import pytest

from outdial.db.queries import calling_rules
from outdial.domain.rules import RuleBook
from outdial.rules.pack import shipped_rules
from tests.studio.test_campaigns_pages import FORM, main_of
from tests.support.factories import Campaign, create_campaign, create_campaign_contact
from tests.support.studio import Browser, BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations

EVERY_DAY = {"every_day": [["08:00", "21:00"]]}


@pytest.fixture
def rules() -> RuleBook:
    """The shipped rules, which other tests of the studio leave out."""
    return shipped_rules()


@pytest.fixture
def base(two_organizations: TwoOrganizations) -> str:
    return f"/o/{two_organizations.own.tenant.organization_id}/campaigns"


@pytest.fixture
def api(two_organizations: TwoOrganizations) -> str:
    return f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/campaigns/effective-hours"


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, browser_for: BrowserFor) -> Browser:
    return await browser_for(two_organizations.own.users["operator"])


@pytest.fixture
async def client(two_organizations: TwoOrganizations, client_for: ClientFor) -> Any:
    return await client_for(two_organizations.own.users["viewer"])


async def pending_in(
    connection: asyncpg.Connection, campaign: Campaign, contacts: int, zones: str, jurisdictions: str
) -> None:
    """Add pending contacts of a place to a campaign."""
    for _ in range(contacts):
        await create_campaign_contact(connection, campaign, zone_key=zones, jurisdiction_key=jurisdictions)


async def test_the_api_evaluates_hours_by_state_and_purpose(client: Any, api: str) -> None:
    sales = (await client.post(api, json={"calling_hours": EVERY_DAY})).json()
    survey = (await client.post(api, json={"calling_hours": EVERY_DAY, "purpose": "survey"})).json()
    invalid = await client.post(api, json={"calling_hours": {"funday": []}})

    places = {place["jurisdiction"]: place for place in sales["places"]}
    assert places["US-TX"]["week"]["sunday"] == [["12:00", "21:00"]]
    assert places["US-TX"]["is_narrower"] is True
    assert "US-TX-HOURS" in places["US-TX"]["rules"]
    assert places["US-NY"]["is_narrower"] is False
    assert places["US-WA"]["closed"] == "such calls are prohibited (US-WA-AUTOMATED)"
    assert places["US-WA"]["week"] == {}
    assert sales["narrower"] == sum(place["is_narrower"] for place in sales["places"])
    assert re.fullmatch(
        r"\d+ states and \d+ other places are narrower than these hours; 1 state and 1 other place are closed\.",
        sales["summary"],
    )
    assert survey["narrower"] < sales["narrower"]
    assert (invalid.status_code, list(invalid.json()["fields"])) == (400, ["calling_hours"])


async def test_the_places_of_a_campaign_are_those_of_its_pending_contacts(
    client: Any, api: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = await create_campaign(connection, two_organizations.own.tenant, status="draft", next_batch_at=None)
    theirs = await create_campaign(connection, two_organizations.other.tenant, status="draft", next_batch_at=None)
    await pending_in(connection, own, 2, "America/New_York", "US-FL")
    await pending_in(connection, own, 1, "America/New_York", "US-NY")
    await pending_in(connection, theirs, 1, "America/New_York", "US-PA")

    found = (await client.post(api, json={"calling_hours": EVERY_DAY, "campaign_id": str(own.id)})).json()
    foreign = (await client.post(api, json={"calling_hours": EVERY_DAY, "campaign_id": str(theirs.id)})).json()

    assert [(place["name"], place["contacts"]) for place in found["places"]] == [("Florida", 2), ("New York", 1)]
    assert found["summary"] == "1 state is narrower than these hours."
    # Contacts of others are not counted: the states are shown instead.
    assert foreign["places"][0]["contacts"] is None


async def test_the_form_shows_the_effect_of_the_hours_that_it_would_save(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    draft = await create_campaign(
        connection, two_organizations.own.tenant, status="draft", next_batch_at=None, calling_hours="{}"
    )
    step = f"{base}/{draft.id}/setup/when"
    new = (await operator.get(step)).text
    wrong = await operator.post_form(step, FORM | {"schedule": "at", "monday_from": ["06:00"], "monday_to": ["23:00"]})
    part = await operator.post_form(
        f"{base}/effective-hours", FORM | {"monday_from": ["06:00"], "monday_to": ["23:00"]}
    )
    unreadable = await operator.post_form(f"{base}/effective-hours", FORM | {"monday_from": ["x"], "monday_to": ["y"]})

    assert "narrower than these hours" in main_of(new)
    assert "effective_hours.js" not in new
    assert "narrower than these hours" in main_of(wrong.text)
    assert "Mon 8:00 AM–8:00 PM; Tue–Sun closed" in part.text
    assert "Florida" in part.text
    assert part.text.startswith("<section") or 'id="effective-hours"' in part.text
    assert "<html" not in part.text
    assert "Correct the calling hours" in unreadable.text
    assert len(new) < 60_000


async def test_the_campaign_page_counts_contacts_that_the_rules_exclude(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant)
    await pending_in(connection, campaign, 3, "Europe/Madrid", "ES")
    await pending_in(connection, campaign, 1, "America/Los_Angeles", "US-WA")
    await pending_in(connection, campaign, 1, "America/New_York", "US-NY")

    sales = main_of((await operator.get(f"{base}/{campaign.id}")).text)
    await connection.execute("update campaigns set purpose = 'survey' where id = $1", campaign.id)
    survey = main_of((await operator.get(f"{base}/{campaign.id}")).text)

    assert "3 contacts in Spain: no rule" in sales
    assert "1 contact in Washington: such calls are prohibited (US-WA-AUTOMATED)" in sales
    assert "New York:" not in sales
    assert "Washington" not in survey


async def test_contacts_of_a_place_are_counted_up_to_a_limit(
    connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant)
    await pending_in(connection, campaign, 3, "America/New_York", "US-NY")
    await pending_in(connection, campaign, 1, "America/New_York", "US-PA")

    # Like all functions that count for members, it counts campaigns that the caller may see.
    unseen = await calling_rules.count_pending_places(
        connection, organization_id=campaign.tenant.organization_id, campaign_id=campaign.id, most=2
    )
    await connection.execute("set role service_role")
    rows = await calling_rules.count_pending_places(
        connection, organization_id=campaign.tenant.organization_id, campaign_id=campaign.id, most=2
    )
    elsewhere = await calling_rules.count_pending_places(
        connection, organization_id=two_organizations.other.tenant.organization_id, campaign_id=campaign.id, most=2
    )

    assert (unseen, elsewhere) == ([], [])
    assert [(row.jurisdiction_key, row.contacts) for row in rows] == [("US-NY", 2), ("US-PA", 1)]


async def test_the_preview_of_an_import_counts_contacts_that_the_rules_exclude(
    operator: Browser,
    client_for: ClientFor,
    two_organizations: TwoOrganizations,
) -> None:
    own = two_organizations.own
    caller = await client_for(own.users["operator"])
    api = f"/api/v1/organizations/{own.tenant.organization_id}/imports"
    new = {"campaign_id": str(own.fresh.id), "file_name": "people.csv"}
    import_id = (await caller.post(api, json=new)).json()["id"]
    file = b"phone\n+34912000121\n+34912000122\n+12065550123\n+12125550123\n+34912000121\n"
    await caller.put(f"{api}/{import_id}/file", content=file)

    preview = (await caller.post(f"{api}/{import_id}/preview")).json()
    page = main_of((await operator.get(f"/o/{own.tenant.organization_id}/imports/{import_id}")).text)

    assert preview["good_rows"] == 4
    assert preview["closed"] == [
        {"rows": 2, "reason": "2 contacts in Spain: no rule", "rule_id": "ES-NO-RULE"},
        {
            "rows": 1,
            "reason": "1 contact in Washington: such calls are prohibited (US-WA-AUTOMATED)",
            "rule_id": "US-WA-AUTOMATED",
        },
    ]
    assert "The calling rules exclude these contacts: 2 contacts in Spain: no rule" in page
