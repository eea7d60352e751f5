"""Members and roles: admins manage everyone but owners, and one owner always remains."""

import asyncpg
import pytest

from tests.support.factories import create_user
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import FilledOrganization, TwoOrganizations


def base(house: FilledOrganization) -> str:
    return f"/api/v1/organizations/{house.tenant.organization_id}/members"


async def test_members_are_listed_with_their_email_addresses(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    own = two_organizations.own
    told = (await (await client_for(own.users["viewer"])).get(base(own))).json()

    assert {person["role"] for person in told} == {"viewer", "operator", "admin", "owner"}
    assert all(person["email"].endswith("@example.com") for person in told)
    assert (await (await client_for(two_organizations.other.users["owner"])).get(base(own))).status_code == 404


async def test_email_addresses_of_other_users_stay_private(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    own, other = two_organizations.own, two_organizations.other
    claims = f'{{"sub": "{own.users["owner"]}", "role": "authenticated"}}'
    async with connection.transaction():
        await connection.execute("select set_config('request.jwt.claims', $1, true)", claims)
        await connection.execute("set local role authenticated")
        theirs = other.tenant.organization_id
        assert await connection.fetch("select * from private.people_of($1)", theirs) == []
        email = f"{other.users['owner'].hex}@example.com"
        assert await connection.fetchval("select private.user_to_add($1, $2)", theirs, email) is None


async def test_an_admin_adds_a_member_changes_their_role_and_removes_them(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor
) -> None:
    own = two_organizations.own
    user_id = await create_user(connection, email="grace@example.com")
    client = await client_for(own.users["admin"])

    added = await client.post(base(own), json={"email": "Grace@Example.com", "role": "viewer"})
    again = await client.post(base(own), json={"email": "grace@example.com"})
    changed = await client.patch(f"{base(own)}/{user_id}", json={"role": "operator"})
    removed = await client.delete(f"{base(own)}/{user_id}")

    assert (added.status_code, added.json()["user_id"], added.json()["role"]) == (201, str(user_id), "viewer")
    assert again.status_code == 409
    assert changed.json()["role"] == "operator"
    assert removed.status_code == 204
    assert (await client.delete(f"{base(own)}/{user_id}")).status_code == 404
    actions = await connection.fetch("select action from audit_log order by id desc limit 3")
    assert [row["action"] for row in actions] == ["remove_member", "change_role", "add_member"]


async def test_an_unknown_user_is_reported_with_the_command_to_create_one(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    own = two_organizations.own
    response = await (await client_for(own.users["owner"])).post(base(own), json={"email": "nobody@example.com"})
    assert response.status_code == 400
    assert "outdial users create" in response.json()["fields"]["email"]


async def test_an_admin_cannot_add_change_or_remove_owners(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    own = two_organizations.own
    client = await client_for(own.users["admin"])
    for response in (
        await client.patch(f"{base(own)}/{own.users['viewer']}", json={"role": "owner"}),
        await client.patch(f"{base(own)}/{own.users['owner']}", json={"role": "viewer"}),
        await client.delete(f"{base(own)}/{own.users['owner']}"),
    ):
        assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_members_below_admin_may_only_leave(
    two_organizations: TwoOrganizations, client_for: ClientFor, role: str
) -> None:
    own = two_organizations.own
    client = await client_for(own.users[role])
    other = own.users["viewer" if role == "operator" else "operator"]

    assert (await client.post(base(own), json={"email": "x@example.com"})).status_code == 403
    assert (await client.patch(f"{base(own)}/{other}", json={"role": "viewer"})).status_code == 403
    assert (await client.delete(f"{base(own)}/{other}")).status_code == 403
    assert (await client.delete(f"{base(own)}/{own.users[role]}")).status_code == 204
    assert (await client.get(base(own))).status_code == 404


async def test_the_last_owner_stays(two_organizations: TwoOrganizations, client_for: ClientFor) -> None:
    own = two_organizations.own
    client = await client_for(own.users["owner"])
    left = await client.delete(f"{base(own)}/{own.users['owner']}")
    demoted = await client.patch(f"{base(own)}/{own.users['owner']}", json={"role": "admin"})
    assert (left.status_code, demoted.status_code) == (409, 409)


async def test_the_page_shows_the_actions_of_the_role(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    url = f"/o/{own.tenant.organization_id}/members"
    viewer, admin = await browser_for(own.users["viewer"]), await browser_for(own.users["admin"])
    await create_user(connection, email="grace@example.com")

    seen = (await viewer.get(url)).text
    wrong = await admin.post_form(url, {"email": "nobody@example.com", "role": "viewer"})
    done = await admin.post_form(url, {"email": "grace@example.com", "role": "viewer"})
    promoted = await admin.post_form(f"{url}/{own.users['viewer']}/role", {"role": "operator"}, page=url)

    assert "Add a member" not in seen
    assert "Leave" in seen
    assert (wrong.status_code, "nobody@example.com" in wrong.text) == (400, True)
    assert done.status_code == promoted.status_code == 303
    assert "grace@example.com" in (await admin.get(url)).text
