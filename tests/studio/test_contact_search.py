"""Search finds words in any part of a contact: name, number, email, employer and external id, in any order."""

import asyncpg
import pytest

from outdial.domain.contact_fields import CONTACT_FIELD_NAMES
from tests.support.factories import Campaign, create_call, create_campaign, create_campaign_contact, create_contact
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations

EMPLOYER = CONTACT_FIELD_NAMES[2]
ADA = {
    "name": "Ada Hopper",
    "phone": "+12062227481",
    "email": "user72@example.com",
    "external_id": "CRM-0042",
    EMPLOYER: "Acme & Sons",
}
GRACE = {
    "name": "Grace 100% O'Neil_x",
    "phone": "+493023125137",
    "email": "Grace@Beispiel.de",
    EMPLOYER: "Analytical Engines",
}
EVA = {"name": "Eva-María Größl-Nuñez", "phone": "+4366012345678", EMPLOYER: "Bäckerei O’Łódź"}
NAMES = {ADA["name"], GRACE["name"], EVA["name"]}


@pytest.fixture
async def campaign(connection: asyncpg.Connection, two_organizations: TwoOrganizations) -> Campaign:
    """A campaign that has called three contacts; the other organization has the same ones."""
    for house in (two_organizations.other, two_organizations.own):
        campaign = await create_campaign(connection, house.tenant)
        for columns in (ADA, GRACE, EVA):
            contact = await create_contact(connection, house.tenant.organization_id, **columns)
            entry = await create_campaign_contact(connection, campaign, contact)
            await create_call(connection, entry, status="ended", outcome="busy")
    return campaign


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("Hopper", ["Ada Hopper"]),
        ("a hop", ["Ada Hopper"]),
        ("206 222", ["Ada Hopper"]),
        ("(206) 222-7481", ["Ada Hopper"]),
        ("7481", ["Ada Hopper"]),
        ("+1 206", ["Ada Hopper"]),
        ("user72@example.com", ["Ada Hopper"]),
        ("EXAMPLE.COM", ["Ada Hopper"]),
        ("acme &", ["Ada Hopper"]),
        ("crm-00", ["Ada Hopper"]),
        ("030 23125137", ["Grace 100% O'Neil_x"]),
        ("0049 30 2312", ["Grace 100% O'Neil_x"]),
        ("100%", ["Grace 100% O'Neil_x"]),
        ("o'neil_", ["Grace 100% O'Neil_x"]),
        ("engines", ["Grace 100% O'Neil_x"]),
        ("a", ["Ada Hopper", "Eva-María Größl-Nuñez", "Grace 100% O'Neil_x"]),
        ("%", ["Grace 100% O'Neil_x"]),
        ("_o", []),
        ("hopper\n", ["Ada Hopper"]),
        ("hopper acme", ["Ada Hopper"]),
        ("HOPPER ada", ["Ada Hopper"]),
        ("ada engines", []),
        ("\\", []),
        ("grossl eva", ["Eva-María Größl-Nuñez"]),
        ("GRÖSSL", ["Eva-María Größl-Nuñez"]),
        ("größl\u00a0maria", ["Eva-María Größl-Nuñez"]),
        ("nun\u0303ez", ["Eva-María Größl-Nuñez"]),
        ("backerei o'lodz", ["Eva-María Größl-Nuñez"]),
        ("Höpper Àda", ["Ada Hopper"]),
        ("o’neil", ["Grace 100% O'Neil_x"]),
        ("eva hopper", []),
    ],
)
async def test_any_part_of_a_contact_is_found(
    client_for: ClientFor, campaign: Campaign, two_organizations: TwoOrganizations, term: str, found: list[str]
) -> None:
    client = await client_for(two_organizations.own.users["viewer"])
    base = f"/api/v1/organizations/{campaign.tenant.organization_id}"

    for path in ("contacts", f"campaigns/{campaign.id}/contacts", "calls"):
        response = await client.get(f"{base}/{path}", params={"search": term})
        assert response.status_code == 200, response.text
        names = [row["name"] for row in response.json()["items"]]
        assert sorted(name for name in names if name in NAMES) == found, path


async def test_an_erased_contact_is_not_found_by_what_stands_for_its_number(
    client_for: ClientFor, campaign: Campaign, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    client = await client_for(two_organizations.own.users["viewer"])
    erased = await create_contact(connection, campaign.tenant.organization_id, name="Ada")
    await connection.execute(
        "update contacts set erased_at = now(), name = null, phone = 'erased:' || id::text where id = $1", erased.id
    )
    response = await client.get(
        f"/api/v1/organizations/{campaign.tenant.organization_id}/contacts", params={"search": "erased"}
    )
    assert response.json()["items"] == []


async def test_pages_search_in_every_field(
    browser_for: BrowserFor, campaign: Campaign, two_organizations: TwoOrganizations
) -> None:
    browser = await browser_for(two_organizations.own.users["viewer"])
    base = f"/o/{campaign.tenant.organization_id}"

    for path in ("contacts", f"campaigns/{campaign.id}/contacts", f"campaigns/{campaign.id}/calls", "calls"):
        text = (await browser.get(f"{base}/{path}", params={"q": "22-74"})).text
        assert ("Ada Hopper" in text, "Grace 100%" in text) == (True, False), path


async def test_found_contacts_are_paged_and_filtered(
    client_for: ClientFor,
    connection: asyncpg.Connection,
    campaign: Campaign,
    two_organizations: TwoOrganizations,
) -> None:
    for number in range(5):
        contact = await create_contact(connection, campaign.tenant.organization_id, name=f"Hopper {number}")
        status = "completed" if number % 2 else "pending"
        await create_campaign_contact(connection, campaign, contact, status=status)
    client = await client_for(two_organizations.own.users["viewer"])
    base = f"/api/v1/organizations/{campaign.tenant.organization_id}"

    for path, expected in (("contacts", 6), (f"campaigns/{campaign.id}/contacts", 6)):
        seen: list[str] = []
        cursor = None
        while True:
            params = {"search": "hopper", "limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get(f"{base}/{path}", params=params)).json()
            seen += [row["id"] for row in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert (len(seen), len(set(seen))) == (expected, expected)
    params = {"search": "hopper", "status": "completed"}
    completed = await client.get(f"{base}/campaigns/{campaign.id}/contacts", params=params)
    assert len(completed.json()["items"]) == 2


async def test_a_search_sees_no_other_organization(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, two_organizations: TwoOrganizations
) -> None:
    other = two_organizations.other.tenant.organization_id
    client = await client_for(two_organizations.own.users["owner"])

    assert (await client.get(f"/api/v1/organizations/{other}/contacts", params={"search": "ada"})).status_code == 404
    # The function itself refuses, whoever calls it.
    async with connection.transaction():
        claims = f'{{"sub": "{two_organizations.own.users["owner"]}", "role": "authenticated"}}'
        await connection.execute("select set_config('request.jwt.claims', $1, true)", claims)
        await connection.execute("set local role authenticated")
        found = [
            await connection.fetchval(
                "select count(*) from private.find_contacts($1, '%ada%', null, null, null, null, null, 100)", house
            )
            for house in (other, campaign.tenant.organization_id)
        ]
    assert found[0] == 0
    assert found[1] > 0


async def test_the_index_finds_a_rare_part_among_many(connection: asyncpg.Connection, campaign: Campaign) -> None:
    assert await connection.fetchval("select 1 from pg_indexes where indexname = 'contacts_words'") == 1
