"""Links of invitations: who may use them, for how long, and what they do not reveal."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape

import asyncpg
import pytest

from outdial.studio.invitations.links import LINK_LIVES
from tests.support.factories import create_member
from tests.support.postgres import Scratch
from tests.support.studio import Browser
from tests.support.studio_with_auth import PASSWORD, StudioWithAuth, serve_studio_with_auth
from tests.support.two_organizations import TwoOrganizations

NEW = "grace@example.com"
LINK = re.compile(r"http://127\.0\.0\.1:54323(/join/[\w-]{43})\b")


@pytest.fixture
async def world(two_organizations: TwoOrganizations, database: Scratch) -> AsyncIterator[StudioWithAuth]:
    """The studio of two organizations, with real passwords."""
    async with serve_studio_with_auth(database) as studio:
        yield studio


async def invited(world: StudioWithAuth, houses: TwoOrganizations, email: str = NEW, role: str = "operator") -> str:
    """Invite as an admin on the page of members, and return the path of the link that it shows."""
    admin = await world.served.browser_of(houses.own.users["admin"])
    url = f"/o/{houses.own.tenant.organization_id}/members"
    sent = await admin.post_form(url, {"email": email, "role": role})
    assert sent.status_code == 303, sent.text
    shown = await admin.get(sent.headers["location"])
    assert "expires in 7 days" in shown.text
    return path_on(shown.text)


def path_on(text: str) -> str:
    found = LINK.search(unescape(text))
    assert found is not None
    return found[1]


async def join(browser: Browser, path: str, password: str = PASSWORD, name: str = "Grace Hopper") -> int:
    response = await browser.post_form(path, {"name": name, "password": password}, page=path)
    return response.status_code


async def roles(connection: asyncpg.Connection, email: str) -> list[str]:
    rows = await connection.fetch(
        "select m.role from organization_members m join auth.users u on u.id = m.user_id where u.email = $1", email
    )
    return [row["role"] for row in rows]


async def test_a_link_makes_a_user_once_who_then_signs_in_with_the_password(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    path = await invited(world, two_organizations)
    visitor = await world.visitor()
    page = await visitor.get(path)
    assert (page.status_code, NEW in page.text) == (200, True)

    bare = await visitor.post_form(path, {"name": "", "password": ""}, page=path)
    weak = await visitor.post_form(path, {"name": "Grace", "password": "short"}, page=path)
    assert (bare.status_code, "Enter your name" in bare.text, weak.status_code) == (400, True, 400)
    assert 'value="Grace"' in weak.text, "what was typed stays"
    assert await join(visitor, path) == 303
    own = two_organizations.own.tenant.organization_id
    assert (await visitor.get(f"/o/{own}/campaigns")).status_code == 200, "they are signed in"
    assert await roles(connection, NEW) == ["operator"]
    name = await connection.fetchval("select raw_user_meta_data ->> 'name' from auth.users where email = $1", NEW)
    assert name == "Grace Hopper"

    assert (await visitor.get(path)).status_code == 404, "a link works once"
    await world.sign_in(NEW)
    actions = await connection.fetch("select action from audit_log order by id desc limit 3")
    assert [row["action"] for row in actions] == ["add_member", "accept_invitation", "invite_member"]


async def test_the_page_of_a_link_is_the_same_with_and_without_an_account(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await world.auth.create_user(NEW, PASSWORD)
    texts = []
    for email in (NEW, "ada@example.com"):
        path = await invited(world, two_organizations, email)
        page = await (await world.visitor()).get(path)
        texts.append(re.sub(r'value="[\w-]{32}"', "", page.text.replace(email, "").replace(path, "")))
    assert texts[0] == texts[1]

    path = await invited_again(world, two_organizations, NEW)
    # Someone else may have signed up with the address, whose password no admin resets.
    form = {"name": "Grace Hopper", "password": "another password"}
    refused = await (await world.visitor()).post_form(path, form, page=path)
    assert (refused.status_code, "outdial users passwd" in refused.text) == (401, True)
    assert await roles(connection, NEW) == []
    assert await join(await world.visitor(), path) == 303, "the same form signs in who has an account"
    assert await roles(connection, NEW) == ["operator"]


async def invited_again(world: StudioWithAuth, houses: TwoOrganizations, email: str) -> str:
    admin = await world.served.browser_of(houses.own.users["admin"])
    url = f"/o/{houses.own.tenant.organization_id}/invitations/resend"
    resent = await admin.post_form(url, {"email": email})
    assert resent.status_code == 303, resent.text
    return path_on((await admin.get(resent.headers["location"])).text)


async def test_a_link_ends_when_it_expires_is_resent_or_revoked(
    world: StudioWithAuth, two_organizations: TwoOrganizations
) -> None:
    first = await invited(world, two_organizations)
    second = await invited_again(world, two_organizations, NEW)
    visitor = await world.visitor()
    assert [(await visitor.get(path)).status_code for path in (first, second)] == [404, 200]

    world.served.clock.advance(LINK_LIVES - timedelta(seconds=1))
    assert (await visitor.get(second)).status_code == 200
    world.served.clock.advance(timedelta(seconds=1))
    assert (await visitor.get(second)).status_code == 404
    admin = await world.served.browser_of(two_organizations.own.users["admin"])
    own = two_organizations.own.tenant.organization_id
    listed = await admin.get(f"/o/{own}/members")
    assert "Invited, expired" in listed.text
    assert NEW not in LINK.sub("", str(LINK.findall(listed.text)))
    third = await invited_again(world, two_organizations, NEW)
    await admin.post_form(f"/o/{own}/invitations/withdraw", {"email": NEW})
    assert (await visitor.get(third)).status_code == 404


async def test_a_link_is_only_for_its_address_and_confirms_it_for_no_other_organization(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    path = await invited(world, two_organizations)
    await world.auth.create_user("eve@example.com", PASSWORD)
    eve = await world.sign_in("eve@example.com")
    assert (await eve.post_form(f"{path}/accept", page="/organizations")).status_code in (404, 303)
    assert await roles(connection, "eve@example.com") == []

    # Whoever has the link may take the address. Another organization that invites it means its owner.
    assert await join(await world.visitor(), path) == 303
    other = two_organizations.other
    async with connection.transaction():
        await connection.execute(
            "insert into invitations (organization_id, email, role, created_at) values ($1, $2, 'admin', now())",
            other.tenant.organization_id,
            NEW,
        )
    grace = await world.sign_in(NEW)
    assert other.tenant.organization_id.hex not in (await grace.get("/organizations")).text.replace("-", "")
    accepted = await grace.post_form(
        f"/invitations/{other.tenant.organization_id}/accept",
        page=f"/o/{two_organizations.own.tenant.organization_id}/members",
    )
    assert accepted.status_code in (403, 404)
    assert await roles(connection, NEW) == ["operator"]


async def test_an_admin_does_not_see_the_link_of_an_owners_invitation(
    world: StudioWithAuth, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    url = f"/api/v1/organizations/{own.tenant.organization_id}/invitations"
    owner, admin = [await world.served.client_of(own.users[role]) for role in ("owner", "admin")]
    made = (await owner.post(url, json={"email": NEW, "role": "owner"})).json()
    assert LINK.fullmatch(made["link"])
    [seen] = [one for one in (await admin.get(url)).json() if one["email"] == NEW]
    assert seen["link"] is None
    assert (await admin.post(f"{url}/{NEW}/resend")).status_code == 403
    resent = await owner.post(f"{url}/{NEW}/resend")
    assert (resent.status_code, resent.json()["link"] != made["link"]) == (200, True)


async def test_the_database_keeps_no_link(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    path = await invited(world, two_organizations)
    row = await connection.fetchrow("select * from invitations where email = $1", NEW)
    assert row is not None
    assert path.removeprefix("/join/") not in str(dict(row))
    assert (await (await world.visitor()).get(f"/join/{row['link_id'].hex}")).status_code == 404


async def test_an_operator_of_the_server_is_not_made_by_a_link(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    object.__setattr__(world.served.studio.settings, "operators", (NEW,))
    path = await invited(world, two_organizations)
    assert await join(await world.visitor(), path) == 403
    assert await connection.fetchval("select count(*) from auth.users where email = $1", NEW) == 0


async def test_a_member_who_opens_a_link_keeps_their_role(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    path = await invited(world, two_organizations, role="admin")
    user = await world.auth.create_user(NEW, PASSWORD)
    await create_member(connection, two_organizations.own.tenant.organization_id, "viewer", user_id=user.id)  # type: ignore[union-attr]
    assert await join(await world.visitor(), path) == 303
    assert await roles(connection, NEW) == ["viewer"]


async def test_another_sites_form_does_not_accept_for_a_visitor(
    world: StudioWithAuth, two_organizations: TwoOrganizations
) -> None:
    path = await invited(world, two_organizations)
    visitor = await world.visitor()
    forged = await visitor.post_form(path, {"name": "Grace", "password": PASSWORD})
    assert forged.status_code == 403
    assert (await visitor.get(path)).status_code == 200
