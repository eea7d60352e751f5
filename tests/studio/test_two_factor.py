"""Two-factor sign-in in the studio: enrolling, signing in, recovery codes, and what a password alone still opens."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.auth.client import SignedIn
from outdial.auth.local.totp import code_at, step_of
from outdial.db.queries.auth.users import UserRow
from outdial.studio.web.sessions import COOKIE
from outdial.studio.web.visitors import new_session
from tests.support.factories import create_member
from tests.support.postgres import Scratch
from tests.support.studio import BASE, Browser
from tests.support.studio_with_auth import PASSWORD, StudioWithAuth, serve_studio_with_auth
from tests.support.two_organizations import TwoOrganizations

ADA = "ada@example.com"


@pytest.fixture
async def world(two_organizations: TwoOrganizations, database: Scratch) -> AsyncIterator[StudioWithAuth]:
    """The studio of two organizations, with real passwords."""
    async with serve_studio_with_auth(database) as studio:
        yield studio


@pytest.fixture
async def ada(world: StudioWithAuth, two_organizations: TwoOrganizations, connection: asyncpg.Connection) -> UUID:
    """An admin of the own organization."""
    made = await world.auth.create_user(ADA, PASSWORD)
    assert isinstance(made, UserRow)
    await create_member(connection, two_organizations.own.tenant.organization_id, "admin", user_id=made.id)
    return made.id


def hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', text)
    assert found is not None
    return unescape(found[1])


def content_of(text: str) -> str:
    """Return a page without its head, whose form to sign out has another token."""
    return text[text.index("<main") :]


async def enroll(world: StudioWithAuth, browser: Browser) -> tuple[str, list[str]]:
    """Turn two-factor sign-in on; return the secret and the recovery codes."""
    form: dict[str, Any] = {"password": PASSWORD}
    page = await browser.post_form("/account/two-factor", form, page="/account")
    assert (page.status_code, '<svg width="' in page.text) == (200, True), page.text
    secret = re.search(r"<code>([A-Z2-7 ]+)</code>", page.text)
    assert secret is not None
    key, token = secret[1].replace(" ", ""), hidden(page.text, "csrf_token")
    form = {"csrf_token": token, "enrolment": hidden(page.text, "enrolment"), "code": "000000"}
    wrong = await browser.client.post("/account/two-factor/verify", data=form)
    assert (wrong.status_code, "Wrong code" in wrong.text, secret[1] in wrong.text) == (401, True, True)
    form["code"] = code_at(key, step_of(world.served.clock.now()))
    done = await browser.client.post("/account/two-factor/verify", data=form)
    assert done.status_code == 200, done.text
    world.served.clock.advance(timedelta(seconds=30))
    return key, re.findall(r"\b[2-9A-Z]{5}-[2-9A-Z]{5}\b", done.text)


async def give_password(world: StudioWithAuth) -> tuple[Browser, dict[str, str]]:
    """Give the password, and return the browser with the form that asks for the code."""
    browser = await world.visitor()
    asked = await browser.post_form(
        "/sign-in", {"email": ADA, "password": PASSWORD, "next": "/account"}, page="/sign-in"
    )
    assert (asked.status_code, "Two-factor code" in asked.text) == (200, True)
    assert "outdial_session" not in browser.client.cookies
    return browser, {name: hidden(asked.text, name) for name in ("csrf_token", "pending")}


async def test_signing_in_takes_the_code_of_the_app_or_a_recovery_code(
    world: StudioWithAuth, ada: UUID, connection: asyncpg.Connection
) -> None:
    first = await world.sign_in(ADA)
    secret, codes = await enroll(world, first)
    assert len(codes) == 10
    assert (await first.get("/account")).status_code == 200, "this session goes on"

    for code in (code_at(secret, step_of(world.served.clock.now())), codes[0]):
        browser, form = await give_password(world)
        assert (await browser.client.post("/sign-in/code", data=form)).status_code == 400
        wrong = await browser.client.post("/sign-in/code", data={**form, "code": "12345"})
        assert (wrong.status_code, "Wrong code" in wrong.text) == (401, True)
        right = await browser.client.post("/sign-in/code", data={**form, "code": code})
        assert (right.status_code, right.headers["location"]) == (303, "/account")
        assert (await browser.get("/account")).status_code == 200
    kept = await connection.fetchval("select count(*) from auth.recovery_codes where user_id = $1", ada)
    assert kept == 9


async def test_a_password_alone_opens_no_organization(
    world: StudioWithAuth, ada: UUID, two_organizations: TwoOrganizations
) -> None:
    browser = await world.sign_in(ADA)
    own = two_organizations.own.tenant.organization_id
    await enroll(world, browser)
    alone = await world.served.studio.auth.sign_in(ADA, PASSWORD)
    assert isinstance(alone, SignedIn)
    renewed = await world.served.studio.auth.refresh(alone.refresh_token)
    assert isinstance(renewed, SignedIn)
    for token in (alone.access_token, renewed.access_token):
        client = await world.served.client(authorization=f"Bearer {token}")
        for path in (f"organizations/{own}/campaigns", "organizations", "me/sessions"):
            refused = await client.get(f"/api/v1/{path}")
            assert (refused.status_code, refused.json()["code"]) == (401, "SECOND_FACTOR_MISSING")
    assert (await browser.get(f"/o/{own}/campaigns")).status_code == 200


async def test_a_session_without_its_code_is_marked_and_cannot_end_others(world: StudioWithAuth, ada: UUID) -> None:
    browser = await world.sign_in(ADA)
    await enroll(world, browser)
    alone = await world.served.studio.auth.sign_in(ADA, PASSWORD, device="Firefox/9 Windows")
    assert isinstance(alone, SignedIn)
    page = (await browser.get("/account")).text
    assert [row.count("Waits for the code") for row in page.split("<tr>")[-2:]] == [0, 1]
    full = re.findall(r"/account/sessions/([\w-]+)/end", page)
    assert len(full) == 1, "the pending one can be ended"
    client = await world.served.client(authorization=f"Bearer {alone.access_token}")
    assert (await client.delete(f"/api/v1/me/sessions/{full[0]}")).status_code == 401
    assert (await browser.post_form(f"/account/sessions/{full[0]}/end", page="/account")).status_code == 303
    assert "Waits for the code" not in (await browser.get("/account")).text


async def test_a_session_from_before_the_factor_is_asked_for_the_code_and_goes_on_where_it_was(
    world: StudioWithAuth, ada: UUID, two_organizations: TwoOrganizations
) -> None:
    secret, _ = await enroll(world, await world.sign_in(ADA))
    alone = await world.served.studio.auth.sign_in(ADA, PASSWORD)
    assert isinstance(alone, SignedIn)
    old = await world.visitor()
    sealed = world.served.studio.sealer.seal(COOKIE, new_session(alone))
    old.client.cookies.set(COOKIE, sealed, domain="127.0.0.1")
    contacts = f"/o/{two_organizations.own.tenant.organization_id}/contacts"
    sent = await old.get(f"{contacts}?name=Ada")
    assert (sent.status_code, sent.headers["location"]) == (303, f"/sign-in/code?next={contacts}%3Fname%3DAda")
    asked = await old.get(sent.headers["location"])
    assert "data-kept" not in asked.text
    form = {name: hidden(content_of(asked.text), name) for name in ("csrf_token", "pending")}
    code = code_at(secret, step_of(world.served.clock.now()))
    opened = await old.client.post("/sign-in/code", data={**form, "code": code})
    assert (opened.status_code, opened.headers["location"]) == (303, f"{contacts}?name=Ada")
    assert (await old.get(contacts)).status_code == 200

    # A form that such a session has sent is kept until the code is given.
    world.served.clock.advance(timedelta(seconds=30))
    old.client.cookies.set(COOKIE, sealed, domain="127.0.0.1")
    headers, stop = {"origin": BASE, "sec-fetch-site": "same-origin"}, contacts.replace("contacts", "stop")
    typed = {"csrf_token": "of an earlier session", "reason": "wrong prompt"}
    moved = await old.client.post(stop, data=typed, headers=headers)
    assert moved.status_code == 307
    asked = await old.client.post(moved.headers["location"], data=typed, headers=headers)
    assert "data-kept" in asked.text, "the script leaves the address of what only this page has"
    form = {name: hidden(content_of(asked.text), name) for name in ("csrf_token", "pending")}
    code = code_at(secret, step_of(world.served.clock.now()))
    kept = await old.client.post("/sign-in/code", data={**form, "code": code})
    assert (kept.status_code, hidden(kept.text, "reason")) == (200, "wrong prompt")


async def test_two_factor_sign_in_is_turned_off_with_the_password(
    world: StudioWithAuth, ada: UUID, connection: asyncpg.Connection
) -> None:
    browser = await world.sign_in(ADA)
    await enroll(world, browser)
    wrong = await browser.post_form("/account/two-factor/disable", {"password": "wrong horse"}, page="/account")
    assert (wrong.status_code, "not your current password" in wrong.text) == (400, True)
    off = await browser.post_form("/account/two-factor/disable", {"password": PASSWORD}, page="/account")
    assert off.status_code == 303
    await world.sign_in(ADA)
    assert await connection.fetchval("select count(*) from auth.recovery_codes") == 0
    rows = await connection.fetch("select action from audit_log where actor = $1 order by id", str(ada))
    assert [row["action"] for row in rows] == ["enable_two_factor", "disable_two_factor"]


async def test_the_form_of_the_code_ends_after_ten_minutes_and_belongs_to_its_browser(
    world: StudioWithAuth, ada: UUID
) -> None:
    secret, _ = await enroll(world, await world.sign_in(ADA))
    _, form = await give_password(world)
    code = code_at(secret, step_of(world.served.clock.now()))
    other = await world.visitor()
    forged = await other.client.post("/sign-in/code", data={**form, "code": code})
    assert (forged.status_code, forged.headers["location"]) == (303, "/sign-in")
    assert "outdial_session" not in other.client.cookies
    browser, form = await give_password(world)
    world.served.clock.advance(timedelta(minutes=10))
    late = await browser.client.post("/sign-in/code", data={**form, "code": code})
    assert late.headers["location"] == "/sign-in"
    assert "outdial_session" not in browser.client.cookies
