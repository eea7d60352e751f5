"""Settings: the organization, limits of its workspaces, and caller numbers."""

from uuid import uuid4

import asyncpg
import pytest

from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import FilledOrganization, TwoOrganizations


def base(house: FilledOrganization) -> str:
    return f"/api/v1/organizations/{house.tenant.organization_id}"


async def test_callers_see_their_organizations(two_organizations: TwoOrganizations, client_for: ClientFor) -> None:
    own = two_organizations.own
    client = await client_for(own.users["viewer"])
    mine = (await client.get("/api/v1/organizations")).json()

    assert [(one["id"], one["role"]) for one in mine] == [(str(own.tenant.organization_id), "viewer")]
    assert len((await (await client_for(None)).get("/api/v1/organizations")).json()) == 2
    assert (await (await client_for(own.users["outsider"])).get("/api/v1/organizations")).json() == []


async def test_two_admins_do_not_overwrite_each_other(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    own = two_organizations.own
    client = await client_for(own.users["admin"])
    etag = (await client.get(base(own))).headers["etag"]

    first = await client.patch(base(own), json={"daily_call_cap": 5}, headers={"if-match": etag})
    second = await client.patch(base(own), json={"name": "Other"}, headers={"if-match": etag})

    assert (first.status_code, first.json()["daily_call_cap"]) == (200, 5)
    assert first.headers["etag"] != etag
    assert (second.status_code, second.json()["code"]) == (412, "OUTDATED")
    assert (await client.patch(base(own), json={"daily_call_cap": 0})).json()["fields"].keys() == {"daily_call_cap"}


async def test_only_admins_change_the_limits_of_a_workspace(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    own, other = two_organizations.own, two_organizations.other
    path, theirs = (f"{base(own)}/accounts/{house.tenant.provider_account_id}" for house in (own, other))
    admin, operator = await client_for(own.users["admin"]), await client_for(own.users["operator"])

    changed = await admin.patch(path, json={"calls_per_second": 2.5, "reserved_inbound": 3})
    assert (changed.json()["calls_per_second"], changed.json()["concurrency_limit"]) == (2.5, 20)
    assert (await operator.patch(path, json={"calls_per_second": 9})).status_code == 403
    assert (await admin.patch(theirs, json={"calls_per_second": 9})).status_code == 404
    assert (await admin.patch(path, content='{"calls_per_second": 1e999}')).status_code == 400
    assert [one["id"] for one in (await operator.get(f"{base(own)}/accounts")).json()] == [
        str(own.tenant.provider_account_id)
    ]


async def test_caller_numbers_are_added_and_removed(two_organizations: TwoOrganizations, client_for: ClientFor) -> None:
    own = two_organizations.own
    client = await client_for(own.users["admin"])
    key = {"idempotency-key": "once"}
    new = {"phone": "(415) 555-0100", "nickname": "Main"}

    wrong = await client.post(f"{base(own)}/numbers", json=new)
    added = await client.post(f"{base(own)}/numbers", json=new | {"phone": "+1 415 555 0100"}, headers=key)
    repeated = await client.post(f"{base(own)}/numbers", json=new | {"phone": "+1 415 555 0100"}, headers=key)
    taken = await client.post(f"{base(own)}/numbers", json=new | {"phone": "+14155550100"})
    path = f"{base(own)}/numbers/{added.json()['id']}"
    renamed = await client.patch(path, json={"nickname": None, "retell_agent_id": "agent_9"})

    assert "country" in wrong.json()["fields"]["phone"]
    assert (added.status_code, added.json()["phone"]) == (201, "+14155550100")
    assert repeated.json() == added.json()
    assert taken.status_code == 409
    assert (renamed.json()["nickname"], renamed.json()["retell_agent_id"]) == (None, "agent_9")
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404
    stranger = {"phone": "+14155550101", "provider_account_id": str(two_organizations.other.tenant.provider_account_id)}
    assert (await client.post(f"{base(own)}/numbers", json=stranger)).status_code == 400


async def test_the_settings_page_shows_the_webhook_url_and_saves_changes(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    url = f"/o/{own.tenant.organization_id}/settings"
    browser = await browser_for(own.users["admin"])

    shown = await browser.get(f"{url}/retell")
    saved = await browser.post_form(url, {"name": "Acme & Sons", "daily_call_cap": "4"})
    wrong = await browser.post_form(url, {"name": "Acme", "daily_call_cap": "many"})
    number = await browser.post_form(f"{url}/numbers", {"phone": "+14155550111"}, page=url)
    account = f"{url}/accounts/{own.tenant.provider_account_id}"
    limits = {"concurrency_limit": "7", "reserved_inbound": "1", "calls_per_second": "1.5"}
    limited = await browser.post_form(account, limits, page=url)

    assert "http://127.0.0.1:54321/functions/v1/retell-webhook" in shown.text
    assert [response.status_code for response in (saved, wrong, number, limited)] == [303, 400, 303, 303]
    row = await connection.fetchrow("select name, daily_call_cap from organizations where name like 'Acme &%'")
    assert row is not None
    assert "Acme &amp; Sons" in (await browser.get(url)).text


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_other_roles_read_the_settings(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, role: str
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users[role])
    url = f"/o/{own.tenant.organization_id}/settings"
    shown = await browser.get(url)

    assert (shown.status_code, '<form class="form"' in shown.text) == (200, False)
    assert (await browser.get(f"/o/{uuid4()}/settings")).status_code == 404
    assert "Acme" in (await browser.get("/organizations")).text
