"""Members and roles: admins manage everyone but owners, and one owner always remains."""

import re

import asyncpg
import pytest

from tests.support.factories import create_member, create_user
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


def invitations(house: FilledOrganization) -> str:
    return f"/api/v1/organizations/{house.tenant.organization_id}/invitations"


async def test_a_user_accepts_an_invitation_and_an_admin_changes_and_removes_them(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor
) -> None:
    own = two_organizations.own
    user_id = await create_user(connection, email="grace@example.com")
    admin, grace = await client_for(own.users["admin"]), await client_for(user_id)

    invited = await admin.post(invitations(own), json={"email": "Grace@Example.com", "role": "viewer"})
    again = await admin.post(invitations(own), json={"email": "grace@example.com"})
    assert (invited.status_code, invited.json()["email"], again.status_code) == (201, "grace@example.com", 409)
    assert (await grace.get(base(own))).status_code == 404, "no one is taken in unasked"
    assert "grace@example.com" not in {member["email"] for member in (await admin.get(base(own))).json()}

    [received] = (await grace.get("/api/v1/invitations")).json()
    assert (received["organization_id"], received["role"]) == (str(own.tenant.organization_id), "viewer")
    accepted = await grace.post(f"/api/v1/invitations/{own.tenant.organization_id}/accept")
    assert (accepted.status_code, (await grace.get("/api/v1/invitations")).json()) == (204, [])
    assert (await grace.get(base(own))).status_code == 200
    left = {one["email"] for one in (await admin.get(invitations(own))).json()}
    assert not left & {"ada@example.com", "grace@example.com"}
    member = await admin.post(invitations(own), json={"email": "grace@example.com"})
    changed = await admin.patch(f"{base(own)}/{user_id}", json={"role": "operator"})
    removed = await admin.delete(f"{base(own)}/{user_id}")

    assert (member.status_code, "already a member" in member.json()["message"]) == (409, True)
    assert changed.json()["role"] == "operator"
    assert removed.status_code == 204
    assert (await admin.delete(f"{base(own)}/{user_id}")).status_code == 404
    actions = await connection.fetch("select action from audit_log order by id desc limit 5")
    assert [row["action"] for row in actions] == [
        "remove_member",
        "change_role",
        "add_member",
        "accept_invitation",
        "invite_member",
    ]


async def test_a_member_who_accepts_an_invitation_keeps_their_role_and_no_entry_says_otherwise(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor
) -> None:
    own = two_organizations.own
    user_id = await create_user(connection, email="ada@example.com")
    admin, ada = await client_for(own.users["admin"]), await client_for(user_id)
    await admin.post(invitations(own), json={"email": "ada@example.com", "role": "admin"})
    await create_member(connection, own.tenant.organization_id, "viewer", user_id=user_id)
    accepted = await ada.post(f"/api/v1/invitations/{own.tenant.organization_id}/accept")

    assert accepted.is_success
    role = "select role from organization_members where organization_id = $1 and user_id = $2"
    assert await connection.fetchval(role, own.tenant.organization_id, user_id) == "viewer"
    actions = await connection.fetch("select action from audit_log where actor = $1", str(user_id))
    assert [row["action"] for row in actions] == ["accept_invitation"]


async def test_inviting_does_not_tell_who_has_an_account(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor
) -> None:
    own, other = two_organizations.own, two_organizations.other
    admin = await client_for(own.users["admin"])
    theirs = await connection.fetchval("select email from auth.users where id = $1", other.users["owner"])
    told = []
    for email in (theirs, "nobody@example.com"):
        response = await admin.post(invitations(own), json={"email": email, "role": "viewer"})
        told.append((response.status_code, {**response.json(), "email": "", "link": ""}))
    assert told[0] == told[1]
    assert told[0][0] == 201


async def test_an_invitation_waits_for_the_account_and_may_be_declined_or_withdrawn(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor
) -> None:
    own = two_organizations.own
    before = await connection.fetchval("select count(*) from audit_log")
    admin = await client_for(own.users["admin"])
    for email in ("ada@example.com", "grace@example.com"):
        await admin.post(invitations(own), json={"email": email})
    ada, grace = [
        await client_for(await create_user(connection, email=email))
        for email in ("ada@example.com", "grace@example.com")
    ]
    declined = await ada.post(f"/api/v1/invitations/{own.tenant.organization_id}/decline")
    withdrawn = await admin.delete(f"{invitations(own)}/Grace@example.com")
    assert (declined.status_code, withdrawn.status_code) == (204, 204)
    actions = await connection.fetch("select action from audit_log order by id offset $1", before)
    assert [row["action"] for row in actions] == [
        "invite_member",
        "invite_member",
        "decline_invitation",
        "withdraw_invitation",
    ]
    left = {one["email"] for one in (await admin.get(invitations(own))).json()}
    assert not left & {"ada@example.com", "grace@example.com"}
    for client in (ada, grace):
        assert (await client.post(f"/api/v1/invitations/{own.tenant.organization_id}/accept")).status_code == 404
    assert (await admin.delete(f"{invitations(own)}/grace@example.com")).status_code == 404


@pytest.mark.parametrize("email", ["ada/lovelace@example.com", "ada@example/com", "ada", "a da@example.com"])
async def test_an_address_that_could_not_be_withdrawn_is_not_invited(
    two_organizations: TwoOrganizations, client_for: ClientFor, email: str
) -> None:
    admin = await client_for(two_organizations.own.users["admin"])
    assert (await admin.post(invitations(two_organizations.own), json={"email": email})).status_code == 400


async def test_only_owners_invite_owners_and_withdraw_their_invitations(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    own = two_organizations.own
    admin, owner = await client_for(own.users["admin"]), await client_for(own.users["owner"])
    new = {"email": "ada@example.com", "role": "owner"}
    assert (await admin.post(invitations(own), json=new)).status_code == 403
    assert (await owner.post(invitations(own), json=new)).status_code == 201
    assert (await admin.delete(f"{invitations(own)}/ada@example.com")).status_code == 403
    assert (await owner.delete(f"{invitations(own)}/ada@example.com")).status_code == 204


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

    assert (await client.post(invitations(own), json={"email": "x@example.com"})).status_code == 403
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
    user_id = await create_user(connection, email="grace@example.com")
    grace = await browser_for(user_id)

    seen = (await viewer.get(url)).text
    wrong = await admin.post_form(url, {"email": "nobody", "role": "viewer"})
    done = await admin.post_form(url, {"email": "grace@example.com", "role": "viewer"})
    other = await admin.post_form(url, {"email": "nobody@example.com", "role": "viewer"})
    promoted = await admin.post_form(f"{url}/{own.users['viewer']}/role", {"role": "operator"}, page=url)

    assert "Invite a member" not in seen
    assert "Leave" in seen
    assert (wrong.status_code, "Enter an email address" in wrong.text) == (400, True)
    assert done.status_code == other.status_code == promoted.status_code == 303
    menu = (await admin.get(url)).text.partition(f'formaction="{url}/{own.users["viewer"]}/role"')[2]
    items = re.findall(r'name="role" value="(\w+)" aria-pressed="(\w+)"', menu)
    assert items[:3] == [("viewer", "false"), ("operator", "true"), ("admin", "false")]
    assert "grace@example.com" in (await admin.get(url)).text
    withdraw = f"/o/{own.tenant.organization_id}/invitations/withdraw"
    assert (await admin.post_form(withdraw, {"email": "nobody@example.com"}, page=url)).status_code == 303
    assert "nobody@example.com</th>" not in (await admin.get(url)).text

    welcome = (await grace.get("/")).text
    assert "has invited you to join as a viewer." in welcome
    assert "You are not a member" not in welcome
    assert "has invited you" in (await grace.get("/organizations")).text
    joined = await grace.post_form(f"/invitations/{own.tenant.organization_id}/accept", {}, page="/")
    assert joined.headers["location"] == f"/o/{own.tenant.organization_id}/campaigns"
    assert (await grace.get(url)).status_code == 200
    missing = await grace.post_form(f"/invitations/{own.tenant.organization_id}/decline", {}, page="/organizations")
    assert missing.status_code == 404
