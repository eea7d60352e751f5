"""Contacts over the API: search, detail and edit."""

import re

import asyncpg
import httpx
import pytest

from tests.support.factories import create_campaign_contact, create_contact
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


def contacts_of(world: TwoOrganizations) -> str:
    return f"/api/v1/organizations/{world.own.tenant.organization_id}/contacts"


async def people(connection: asyncpg.Connection, world: TwoOrganizations) -> None:
    for phone, name, external_id in [
        ("+4930123450001", "Zoe Lovelace", "a-1"),
        ("+4930123450002", "zoeth", "a-2"),
        ("+4989123450003", "Bob", None),
    ]:
        await create_contact(
            connection,
            world.own.tenant.organization_id,
            phone=phone,
            name=name,
            external_id=external_id,
            zone_key="Europe/Berlin",
        )


@pytest.mark.parametrize(
    ("search", "phones"),
    [
        ({"phone": "+49 30"}, ["+4930123450001", "+4930123450002"]),
        ({"name": "zOe"}, ["+4930123450001", "+4930123450002"]),
        ({"name": "Zoe L"}, ["+4930123450001"]),
        ({"external_id": "a-2"}, ["+4930123450002"]),
        ({"external_id": "a"}, []),
        ({"phone": "+4999"}, []),
    ],
)
async def test_contacts_are_found_by_number_name_and_external_id(
    two_organizations: TwoOrganizations,
    operator: httpx.AsyncClient,
    connection: asyncpg.Connection,
    search: dict[str, str],
    phones: list[str],
) -> None:
    await people(connection, two_organizations)

    found = (await operator.get(contacts_of(two_organizations), params=search)).json()

    # By name they come in the order of their names.
    assert sorted(item["phone"] for item in found["items"]) == phones


@pytest.mark.parametrize("search", [{}, {"name": "a"}, {"phone": "+"}])
async def test_paging_returns_each_contact_once(
    two_organizations: TwoOrganizations,
    operator: httpx.AsyncClient,
    connection: asyncpg.Connection,
    search: dict[str, str],
) -> None:
    await people(connection, two_organizations)
    everybody = (await operator.get(contacts_of(two_organizations), params=search)).json()["items"]
    seen, cursor = [], None
    while True:
        asked = {**search, "limit": 1, **({"cursor": cursor} if cursor else {})}
        page = (await operator.get(contacts_of(two_organizations), params=asked)).json()
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break

    assert seen == everybody
    assert len(seen) >= 2


@pytest.mark.parametrize("search", [{"phone": "+1x"}, {"phone": "1", "name": "a"}, {"cursor": "W10"}, {"name": "\0"}])
async def test_an_invalid_search_is_rejected(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, search: dict[str, str]
) -> None:
    response = await operator.get(contacts_of(two_organizations), params=search)

    assert response.status_code == 400, response.text


async def test_a_contact_has_campaigns_and_calls(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    spare = two_organizations.own.spare_entry

    contact = (await operator.get(f"{contacts_of(two_organizations)}/{spare.contact.id}")).json()

    assert [entry["id"] for entry in contact["campaigns"]] == [str(spare.id)]
    assert [call["status"] for call in contact["calls"]] == ["ended"]
    assert contact["do_not_call"] is False


async def test_a_changed_time_zone_applies_in_campaigns_and_a_cleared_one_follows_the_number(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    entry = await create_campaign_contact(connection, two_organizations.own.fresh)
    url = f"{contacts_of(two_organizations)}/{entry.contact.id}"
    zone = "select zone_key from campaign_contacts where id = $1"

    changed = await operator.patch(url, json={"timezone": "America/Los_Angeles", "name": " Ada ", "email": ""})
    told = {name: changed.json()[name] for name in ("name", "email", "timezone", "zone_key", "zone_source")}
    assert told == {
        "name": "Ada",
        "email": None,
        "timezone": "America/Los_Angeles",
        "zone_key": "America/Los_Angeles",
        "zone_source": "contact",
    }
    assert await connection.fetchval(zone, entry.id) == "America/Los_Angeles"

    emptied = (await operator.patch(url, json={"timezone": None})).json()
    assert (emptied["zone_key"], emptied["zone_source"], emptied["name"]) == ("America/New_York", "number", "Ada")
    assert await connection.fetchval(zone, entry.id) == "America/New_York"
    actions = await connection.fetch("select details::text as details from audit_log where action = 'change_contact'")
    assert [row["details"] for row in actions] == [
        '{"fields": ["email", "name", "timezone"]}',
        '{"fields": ["timezone"]}',
    ]


async def test_a_changed_place_applies_in_campaigns_and_is_stored_as_codes(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own.fresh
    contact = await create_contact(connection, own.tenant.organization_id, phone="+14235550142")
    entry = await create_campaign_contact(connection, own, contact)
    url = f"{contacts_of(two_organizations)}/{contact.id}"
    keys = "select zone_key, jurisdiction_key from campaign_contacts where id = $1"

    changed = (await operator.patch(url, json={"region": "texas", "country": "USA", "postal_code": "78701"})).json()
    stored = {"region": "TX", "country": "US", "postal_code": "78701"}
    assert changed == changed | stored | {"zone_source": "conflict", "jurisdiction_key": "US-TX"}
    assert await connection.fetchrow(keys, entry.id) == ("America/Chicago|America/Denver|America/New_York", "US-TX")

    cleared = (await operator.patch(url, json={"region": "", "country": None, "postal_code": None})).json()
    assert (cleared["zone_source"], cleared["jurisdiction_key"]) == ("number", "US-TN")
    assert await connection.fetchrow(keys, entry.id) == ("America/Chicago|America/New_York", "US-TN")


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"region": "Tejas"}, "region", "'Tejas' is not a state or province; write TX or ON"),
        ({"postal_code": "00000"}, "postal_code", "no state has ZIP codes that begin with 000 ('00000')"),
        ({"country": "Atlantis"}, "country", "'Atlantis' is not a country; write a code such as US"),
        ({"country": "CA", "region": "TX"}, "region", "'TX' is not a province of Canada; write ON"),
    ],
)
async def test_a_place_that_cannot_be_read_is_refused_with_the_reason(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, changes: dict[str, str], field: str, reason: str
) -> None:
    url = f"{contacts_of(two_organizations)}/{two_organizations.own.spare_entry.contact.id}"
    refused = await operator.patch(url, json=changes)
    assert refused.status_code == 400
    assert refused.json()["fields"] == {field: reason}


@pytest.mark.parametrize(
    "changes", [{"timezone": "Mars/Base"}, {"phone": "+12125550100"}, {"name": "a\0"}, {"notes": "n" * 10_001}]
)
async def test_invalid_values_are_rejected_and_change_nothing(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, changes: dict[str, str]
) -> None:
    url = f"{contacts_of(two_organizations)}/{two_organizations.own.spare_entry.contact.id}"
    before = (await operator.get(url)).json()

    response = await operator.patch(url, json=changes)

    assert response.status_code == 400
    assert (await operator.get(url)).json() == before


async def test_an_outdated_change_of_a_contact_is_rejected(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    url = f"{contacts_of(two_organizations)}/{two_organizations.own.spare_entry.contact.id}"
    etag = (await operator.get(url)).headers["etag"]

    first = await operator.patch(url, json={"name": "Grace"}, headers={"if-match": etag})
    second = await operator.patch(url, json={"name": "Bob"}, headers={"if-match": etag})
    third = await operator.patch(url, json={"name": "Cyd"}, headers={"if-match": first.headers["etag"]})

    assert [answer.status_code for answer in (first, second, third)] == [200, 412, 200]


async def test_a_viewer_reads_contacts_and_an_outsider_finds_none(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    own, other = two_organizations.own, two_organizations.other
    url = f"{contacts_of(two_organizations)}/{own.spare_entry.contact.id}"
    viewer, stranger = await client_for(own.users["viewer"]), await client_for(other.users["owner"])
    theirs = url.replace(str(own.tenant.organization_id), str(other.tenant.organization_id))

    assert (await viewer.get(url)).status_code == 200
    assert (await viewer.patch(url, json={"name": "Ada"})).status_code == 403
    for path in (url, theirs):
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.patch(path, json={"name": "Ada"})).status_code == 404


async def test_pages_find_show_and_edit_a_contact(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    await people(connection, two_organizations)
    home = f"/o/{two_organizations.own.tenant.organization_id}/contacts"
    browser = await browser_for(two_organizations.own.users["operator"])

    found = await browser.get(home, params={"q": "oe l"})
    assert "Zoe Lovelace" in found.text
    # As a word: the random token of a form may hold these letters.
    assert not re.search(r"\bBob\b", found.text)
    assert (await browser.get(home, params={"q": "x\0"})).status_code == 400
    contact_id = two_organizations.own.spare_entry.contact.id
    url = f"{home}/{contact_id}"
    page = await browser.get(url)
    etag = page.text.split('name="etag" value="')[1].split('"')[0].replace("&#34;", '"')
    form = {"name": "Grace", "timezone": "America/Chicago", "etag": etag}

    wrong = await browser.post_form(url, form | {"timezone": "Mars/Base"}, page=url)
    assert wrong.status_code == 400
    assert "is not a time zone" in wrong.text
    assert 'value="Mars/Base"' in wrong.text
    unread = await browser.post_form(url, form | {"region": "Tejas"}, page=url)
    assert unread.status_code == 400
    assert "&#39;Tejas&#39; is not a state or province" in unread.text
    form["region"] = "texas"
    saved = await browser.post_form(url, form, page=url)
    assert (saved.status_code, saved.headers["location"]) == (303, url)
    assert (await browser.post_form(url, form, page=url)).status_code == 412
    shown = await browser.get(url)
    assert 'value="America/Chicago"' in shown.text
    assert 'value="TX"' in shown.text
    assert "Calling rules of Texas." in shown.text
    viewer = await browser_for(two_organizations.own.users["viewer"])
    assert '<form class="form"' not in (await viewer.get(url)).text
    assert (await viewer.post_form(url, form)).status_code == 403
