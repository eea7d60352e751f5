"""Users' own accounts: passwords, resets, sessions and what pages show them; on plain Postgres with real passwords."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from uuid import UUID

import asyncpg
import pytest

from outdial.auth.local.passwords import PasswordQueueFull
from outdial.auth.local.service import RESET_LIVES
from outdial.auth.local.throttle import MOST_FOR_EMAIL
from outdial.db.queries.auth.users import UserRow
from outdial.studio.web.token_refresh import CHECK_EVERY
from tests.support.factories import create_member
from tests.support.postgres import Scratch
from tests.support.studio import Browser
from tests.support.studio_with_auth import PASSWORD, StudioWithAuth, serve_studio_with_auth
from tests.support.two_organizations import TwoOrganizations

LARGEST_PAGE = 60_000
ADA, NEW_PASSWORD = "ada@example.com", "another horse battery"
RESET = re.compile(r"http://127\.0\.0\.1:54323(/reset-password/[\w-]{43})\b")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
async def world(two_organizations: TwoOrganizations, database: Scratch) -> AsyncIterator[StudioWithAuth]:
    """The studio of two organizations, which asks Auth whether sessions still exist."""
    async with serve_studio_with_auth(database, checks_sessions=True) as studio:
        yield studio


async def member(world: StudioWithAuth, connection: asyncpg.Connection, houses: TwoOrganizations, role: str) -> UUID:
    """Make Ada, with a password, a member."""
    ada = await world.auth.create_user(ADA, PASSWORD)
    assert isinstance(ada, UserRow)
    await create_member(connection, houses.own.tenant.organization_id, role, user_id=ada.id)
    return ada.id


async def admin_of(world: StudioWithAuth, connection: asyncpg.Connection, organization_id: UUID) -> Browser:
    made = await world.auth.create_user("admin@example.com", PASSWORD)
    assert isinstance(made, UserRow)
    await create_member(connection, organization_id, "admin", user_id=made.id)
    return await world.sign_in("admin@example.com")


async def actions(connection: asyncpg.Connection, most: int) -> list[str]:
    rows = await connection.fetch("select action from audit_log order by id desc limit $1", most)
    return [row["action"] for row in rows]


async def test_a_changed_password_takes_the_present_one_and_ends_other_sessions(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await member(world, connection, two_organizations, "viewer")
    phone, laptop = await world.sign_in(ADA), await world.sign_in(ADA)

    async def change(present: str, new: str) -> tuple[int, str]:
        sent = await laptop.post_form("/account/password", {"present": present, "new": new}, page="/account")
        return sent.status_code, sent.text

    status, text = await change("wrong horse", NEW_PASSWORD)
    assert (status, "This is not your current password" in text) == (400, True)
    assert (await change(PASSWORD, "short"))[0] == 400
    assert (await change(PASSWORD, NEW_PASSWORD))[0] == 303
    assert await actions(connection, 1) == ["change_password"]
    world.served.clock.advance(CHECK_EVERY)
    assert (await laptop.get("/account")).status_code == 200
    assert (await phone.get("/account")).headers["location"].startswith("/sign-in")
    await world.sign_in(ADA, NEW_PASSWORD)


async def test_guesses_of_the_present_password_are_limited_like_guesses_at_sign_in(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await member(world, connection, two_organizations, "viewer")
    browser = await world.sign_in(ADA)
    token = await browser.token_on("/account")
    for _ in range(MOST_FOR_EMAIL):
        form = {"csrf_token": token, "present": "wrong", "new": NEW_PASSWORD}
        assert (await browser.client.post("/account/password", data=form)).status_code == 400
    form = {"csrf_token": token, "present": PASSWORD, "new": NEW_PASSWORD}
    refused = await browser.client.post("/account/password", data=form)
    assert (refused.status_code, "Too many attempts" in refused.text) == (400, True)


async def test_an_admin_makes_a_reset_link_which_works_once(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own.tenant.organization_id
    ada = await member(world, connection, two_organizations, "operator")
    signed_in, admin = await world.sign_in(ADA), await admin_of(world, connection, own)
    members = f"/o/{own}/members"
    made = await admin.post_form(f"{members}/{ada}/password-reset", page=members)
    found = RESET.search(unescape(made.text))
    assert found is not None
    assert found[1] not in (await admin.get(members)).text, "it is shown once"
    kept = await connection.fetchval("select token_sha256 from auth.password_resets where user_id = $1", ada)
    assert found[1].encode() not in kept

    visitor = await world.visitor()
    weak = await visitor.post_form(found[1], {"password": "short"}, page=found[1])
    assert weak.status_code == 400
    form = {"password": NEW_PASSWORD, "csrf_token": re.findall(r'name="csrf_token" value="([^"]+)"', weak.text)[-1]}
    for name, value in visitor.client.cookies.items():
        signed_in.client.cookies.set(name, value)
    done = await signed_in.client.post(found[1], data=form)
    assert (done.status_code, done.headers["location"]) == (303, "/sign-in")
    assert (await signed_in.get("/account")).status_code == 303, "this browser is signed out at once"
    assert (await visitor.get(found[1])).status_code == 404
    assert await actions(connection, 2) == ["reset_password", "begin_password_reset"]
    confirmed = await connection.fetchval("select email_confirmed_at from auth.users where id = $1", ada)
    assert confirmed is None, "the admin who made the link may have used it: it opens no other invitations"
    world.served.clock.advance(CHECK_EVERY)
    assert (await signed_in.get("/account")).status_code == 303, "their sessions have ended"
    await world.sign_in(ADA, NEW_PASSWORD)


async def test_a_reset_link_ends_when_it_expires_or_its_user_joins_another_organization(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    ada = await member(world, connection, two_organizations, "operator")
    own = two_organizations.own
    token = await world.auth.begin_reset(ada, organization_id=own.tenant.organization_id, made_by=own.users["admin"])
    path, visitor = f"/reset-password/{token}", await world.visitor()
    assert (await visitor.get(path)).status_code == 200
    await create_member(connection, two_organizations.other.tenant.organization_id, "owner", user_id=ada)
    assert (await visitor.get(path)).status_code == 404
    await connection.execute("delete from organization_members where user_id = $1 and role = 'owner'", ada)
    world.served.clock.advance(RESET_LIVES)
    assert (await visitor.get(path)).status_code == 404


@pytest.mark.parametrize("case", ["maker demoted", "maker removed", "left", "owner", "operator", "platform"])
async def test_a_reset_link_ends_with_the_rights_of_its_maker(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection, case: str
) -> None:
    own = two_organizations.own
    ada, admin = await member(world, connection, two_organizations, "viewer"), own.users["admin"]
    token = await world.auth.begin_reset(ada, organization_id=own.tenant.organization_id, made_by=admin)
    path, visitor = f"/reset-password/{token}", await world.visitor()
    form_token = await visitor.token_on(path)
    match case:
        case "maker demoted" | "owner":
            changed, role = (admin, "operator") if case == "maker demoted" else (ada, "owner")
            await connection.execute("update organization_members set role = $2 where user_id = $1", changed, role)
        case "maker removed" | "left":
            removed = admin if case == "maker removed" else ada
            await connection.execute("delete from organization_members where user_id = $1", removed)
        case "operator":
            object.__setattr__(world.served.studio.settings, "operators", (ADA,))
        case "platform":
            await world.auth.change_user(ada, app_metadata={"role": "platform"})
    assert (await visitor.get(path)).status_code == 404
    sent = await visitor.client.post(path, data={"csrf_token": form_token, "password": NEW_PASSWORD})
    assert sent.status_code == 404
    kept = await connection.fetchval("select email_confirmed_at from auth.users where id = $1", ada)
    assert kept is not None, "nothing has changed"


async def test_a_reset_link_survives_a_full_queue_and_ends_with_another_new_password(
    world: StudioWithAuth,
    two_organizations: TwoOrganizations,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = two_organizations.own
    ada, admin = await member(world, connection, two_organizations, "viewer"), own.users["admin"]
    token = await world.auth.begin_reset(ada, organization_id=own.tenant.organization_id, made_by=admin)

    async def full(_: str) -> str:
        raise PasswordQueueFull

    with monkeypatch.context() as patched:
        patched.setattr(world.auth._passwords, "hash", full)
        with pytest.raises(PasswordQueueFull):
            await world.auth.reset_password(token, NEW_PASSWORD)
    assert await world.auth.find_reset(token) is not None
    await world.auth.change_user(ada, user_metadata={"name": "Ada"})
    assert await world.auth.find_reset(token) is not None
    await world.auth.change_user(ada, password=NEW_PASSWORD)
    assert await world.auth.find_reset(token) is None
    assert await world.auth.reset_password(token, PASSWORD) is None


@pytest.mark.parametrize("case", ["owner", "shared", "operator", "platform"])
async def test_no_reset_link_gives_an_admin_more_than_they_have(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection, case: str
) -> None:
    own = two_organizations.own.tenant.organization_id
    ada = await member(world, connection, two_organizations, "owner" if case == "owner" else "viewer")
    if case == "shared":
        await create_member(connection, two_organizations.other.tenant.organization_id, "viewer", user_id=ada)
    if case == "operator":
        object.__setattr__(world.served.studio.settings, "operators", (ADA,))
    if case == "platform":
        await world.auth.change_user(ada, app_metadata={"role": "platform"})
    admin = await world.served.client_of(two_organizations.own.users["admin"])
    refused = await admin.post(f"/api/v1/organizations/{own}/members/{ada}/password-reset")
    assert (refused.status_code, "outdial users passwd" in refused.json()["message"]) == (403, True)
    assert await connection.fetchval("select count(*) from auth.password_resets") == 0


async def test_without_email_the_page_of_a_forgotten_password_says_whom_to_ask(world: StudioWithAuth) -> None:
    visitor = await world.visitor()
    page = await visitor.get("/sign-in/forgot")
    assert "outdial users passwd" in page.text
    assert "someone else has signed up with your address" in page.text
    assert 'name="email"' not in page.text, "no form that sends nothing"
    assert "/sign-in/forgot" in (await visitor.get("/sign-in")).text


async def test_the_profile_shows_and_changes_the_name_and_the_time_zone(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await member(world, connection, two_organizations, "viewer")
    browser = await world.sign_in(ADA)
    assert (await browser.post_form("/account/name", {"name": ""}, page="/account")).status_code == 400
    assert (await browser.post_form("/account/name", {"name": "Ada <b>"}, page="/account")).status_code == 303
    shown = (await browser.get("/account")).text
    assert ("Ada &lt;b&gt;" in shown, ADA in shown, len(shown) < LARGEST_PAGE) == (True, True, True)

    wrong = await browser.post_form("/account/time-zone", {"time_zone": "Mars/Base"}, page="/account")
    assert wrong.status_code == 400
    await browser.post_form("/account/time-zone", {"time_zone": "Asia/Tokyo"}, page="/account")
    members = f"/o/{two_organizations.own.tenant.organization_id}/members"
    assert 'data-zone="Asia/Tokyo"' in (await browser.get(members)).text
    await browser.post_form("/account/time-zone", {"time_zone": ""}, page="/account")
    assert "data-zone" not in (await browser.get(members)).text


async def test_a_user_ends_one_session_or_all_and_never_another_users(
    world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own.tenant.organization_id
    await member(world, connection, two_organizations, "viewer")
    laptop, phone = await world.sign_in(ADA), await world.visitor()
    form = {"email": ADA, "password": PASSWORD, "csrf_token": await phone.token_on("/sign-in")}
    await phone.client.post("/sign-in", data=form, headers={"user-agent": FIREFOX})
    page = unescape((await laptop.get("/account")).text)
    assert ("Firefox on Linux" in page, page.count("This device</span>")) == (True, 1)
    [ended] = re.findall(r"/account/sessions/([\w-]+)/end", page)

    admin = await admin_of(world, connection, own)
    assert (await admin.post_form(f"/account/sessions/{ended}/end", page="/account")).status_code == 404
    assert (await laptop.post_form(f"/account/sessions/{ended}/end", page="/account")).status_code == 303
    world.served.clock.advance(CHECK_EVERY)
    assert (await phone.get("/account")).status_code == 303
    assert (await laptop.get("/account")).status_code == 200

    phone = await world.sign_in(ADA)
    left = await laptop.post_form("/account/sign-out-everywhere", page="/account")
    assert left.headers["location"] == "/sign-in"
    world.served.clock.advance(CHECK_EVERY + timedelta(seconds=1))
    assert (await phone.get("/account")).status_code == 303
