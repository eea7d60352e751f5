"""Consents of a contact over the API and on its page."""

from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.support.factories import NOW, create_contact
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations

CONSENT = {"basis": "written", "source": "web form", "given_at": "2026-03-01T09:00:00Z"}


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


@pytest.fixture
async def consents(two_organizations: TwoOrganizations, connection: asyncpg.Connection) -> str:
    """The URL of the consents of a contact that has none."""
    await connection.execute("delete from consents")
    contact_id = two_organizations.own.spare_entry.contact.id
    return f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/contacts/{contact_id}/consents"


async def test_consent_is_recorded_once_and_revoked_once(
    operator: httpx.AsyncClient, consents: str, connection: asyncpg.Connection
) -> None:
    for _ in range(2):
        recorded = await operator.post(consents, json=CONSENT | {"scope": "sales", "url": "https://example.com/1"})
        assert recorded.status_code == 200
    [consent] = recorded.json()["items"]
    assert (consent["basis"], consent["scope"], consent["revoked_at"]) == ("written", "sales", None)
    assert consent["given_at"] == "2026-03-01T09:00:00Z"

    revoked = await operator.post(f"{consents}/{consent['id']}/revoke", json={"reason": "asked by email"})
    again = await operator.post(f"{consents}/{consent['id']}/revoke", json={"reason": "asked by email"})

    assert revoked.json()["items"][0]["revocation"] == "asked by email"
    assert again.status_code == 409
    assert (await operator.get(consents)).json() == revoked.json()
    actions = await connection.fetch("select action from audit_log where action like '%consent' order by id")
    assert [row["action"] for row in actions] == ["record_consent", "revoke_consent"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"basis": "yes"}, "basis"),
        ({"scope": "marketing"}, "scope"),
        ({"source": None}, "source"),
        ({"source": " "}, "source"),
        ({"url": "see file"}, "url"),
        ({"given_at": "2026-03-01T09:00:00"}, "given_at"),
        ({"given_at": "2027-03-01T09:00:00Z"}, "given_at"),
    ],
)
async def test_a_consent_that_cannot_be_recorded_names_the_field(
    operator: httpx.AsyncClient, consents: str, changes: dict[str, object], field: str
) -> None:
    refused = await operator.post(consents, json=CONSENT | changes)

    assert refused.status_code == 400
    assert field in refused.json()["fields"]


async def test_the_page_records_and_revokes_consent(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, consents: str, connection: asyncpg.Connection
) -> None:
    browser = await browser_for(two_organizations.own.users["operator"])
    url = consents.removeprefix("/api/v1/organizations/").removesuffix("/consents")
    form = {"basis": "express", "scope": "any", "source": "phone call", "given_at": "2026-03-02"}

    assert (await browser.post_form(f"/o/{url}/consents", form, page=f"/o/{url}")).status_code == 303
    assert "phone call" in (await browser.get(f"/o/{url}")).text
    consent_id: UUID = await connection.fetchval("select id from consents")
    assert (await browser.post_form(f"/o/{url}/consents/{consent_id}/revoke")).status_code == 303
    assert "revoked by a member" in (await browser.get(f"/o/{url}")).text
    wrong = await browser.post_form(f"/o/{url}/consents", data=form | {"source": ""})
    assert wrong.status_code == 400
    assert "say where consent was given" in wrong.text


async def test_adding_a_number_to_the_do_not_call_list_revokes_its_consent(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, consents: str
) -> None:
    await operator.post(consents, json=CONSENT)
    own = two_organizations.own
    number = own.spare_entry.contact.phone
    added = await operator.post(
        f"/api/v1/organizations/{own.tenant.organization_id}/do-not-call",
        json={"numbers": [number], "purpose": "any"},
    )

    assert added.json()["added"] == 1
    [consent] = (await operator.get(consents)).json()["items"]
    assert consent["revocation"] == "opted out"


async def test_no_consent_of_an_erased_contact_is_recorded(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    organization_id = two_organizations.own.tenant.organization_id
    contact = await create_contact(connection, organization_id)
    await connection.execute(
        "update contacts set phone = 'erased:' || id::text, erased_at = $2 where id = $1", contact.id, NOW
    )

    refused = await operator.post(
        f"/api/v1/organizations/{organization_id}/contacts/{contact.id}/consents", json=CONSENT
    )

    assert refused.status_code == 404
    assert refused.json()["message"] == "This contact was erased"
