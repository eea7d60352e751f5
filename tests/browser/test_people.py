"""Inviting, joining, two-factor sign-in and a forgotten password in a real browser, with the number of clicks."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, Page, expect

from outdial.auth.local.totp import code_at, step_of
from outdial.db.queries.auth.users import UserRow
from tests.browser.test_pages import faults_in_shapes
from tests.support.clicks import CountedTask, press, settled
from tests.support.factories import create_member
from tests.support.postgres import Scratch
from tests.support.sockets import on_a_socket
from tests.support.studio_with_auth import PASSWORD, StudioWithAuth, serve_studio_with_auth
from tests.support.two_organizations import TwoOrganizations

pytestmark = pytest.mark.timeout(300)
OWNER, NEW = "owner@example.com", "grace@example.com"


@dataclass(frozen=True)
class Place:
    """The studio at an address of its own, with an owner who has a password."""

    url: str
    world: StudioWithAuth
    members: str


@pytest.fixture
async def place(
    two_organizations: TwoOrganizations, database: Scratch, connection: asyncpg.Connection
) -> AsyncIterator[Place]:
    own = two_organizations.own.tenant.organization_id
    async with serve_studio_with_auth(database) as world, on_a_socket(world.served.app) as url:
        owner = await world.auth.create_user(OWNER, PASSWORD)
        assert isinstance(owner, UserRow)
        await create_member(connection, own, "owner", user_id=owner.id)
        yield Place(url, world, f"{url}/o/{own}/members")
        world.served.studio.hub.end_streams()


async def sign_in(page: Page, place: Place, email: str = OWNER) -> None:
    await page.goto(f"{place.url}/sign-in")
    with CountedTask("Sign in") as task:
        await page.get_by_label("Email").fill(email)
        await page.get_by_label("Password").fill(PASSWORD)
        await task.click(page.get_by_role("button", name="Sign in"))
    await settled(page)


@pytest.mark.tasks
async def test_a_colleague_is_invited_with_two_clicks_and_joins_with_one(
    place: Place, chromium: Browser, screenshots: Path
) -> None:
    owner = await (await chromium.new_context()).new_page()
    await sign_in(owner, place)
    with CountedTask("Invite a colleague") as task:
        await task.click(owner.get_by_role("link", name="Members"))
        await owner.get_by_label("Email").fill(NEW)
        await task.click(owner.get_by_role("button", name="Send invitation"))
        await expect(owner.get_by_text("Invited, expires in 7 days")).to_be_visible()
    link = await owner.locator("#new-link").inner_text()
    assert await faults_in_shapes(owner, screenshots, "people-members") == []

    grace = await (await chromium.new_context()).new_page()
    await grace.goto(link)
    assert await faults_in_shapes(grace, screenshots, "people-join") == []
    with CountedTask("Accept an invitation, from its link") as task:
        await grace.get_by_label("Your name").fill("Grace Hopper")
        await grace.get_by_label("Password").fill(PASSWORD)
        await task.click(grace.get_by_role("button", name=re.compile("^Join")))
        await expect(grace.get_by_role("heading", name="Campaigns", level=1)).to_be_visible()
    await expect(grace.get_by_role("heading", name="Your first campaign")).to_be_visible()
    assert await faults_in_shapes(grace, screenshots, "people-first-run") == []

    await owner.goto(f"{place.url}/")
    with CountedTask("Make the link that resets a member's password") as task:
        await task.click(owner.get_by_role("link", name="Members"))
        await task.click(owner.get_by_role("row", name=NEW).get_by_role("button", name="Reset password"))
        await task.click(owner.get_by_role("dialog").get_by_role("button", name="Reset password"))
        reset = await owner.locator("#reset-link").inner_text()
    await grace.goto(reset)
    assert await faults_in_shapes(grace, screenshots, "people-reset") == []
    with CountedTask("Set a password, from the link that resets it") as task:
        await grace.get_by_label("New password").fill(f"{PASSWORD} of June")
        await task.click(grace.get_by_role("button", name="Set password"))
        await expect(grace).to_have_url(re.compile("/sign-in"))
    await fail_to_sign_in(grace)
    await press(grace.get_by_role("link", name="Forgot your password?"))
    assert await faults_in_shapes(grace, screenshots, "people-forgot") == []
    await expect_sign_in_after_back(grace)


async def fail_to_sign_in(page: Page) -> None:
    await page.get_by_label("Email").fill(NEW)
    await page.get_by_label("Password").fill("not this one")
    await press(page.get_by_role("button", name="Sign in", exact=True))
    await expect(page.get_by_role("alert")).to_be_visible()


async def expect_sign_in_after_back(page: Page) -> None:
    """A failed sign-in is a page to come back to: the browser does not ask whether to send the form again."""
    await page.go_back()
    await expect(page).to_have_url(re.compile(r"/sign-in(\?|$)"))
    await expect(page.get_by_label("Email")).to_have_value(NEW)
    await expect(page.get_by_label("Password")).to_have_value("")


async def test_two_factor_sign_in_is_set_up_and_asked_for(place: Place, chromium: Browser, screenshots: Path) -> None:
    page = await (await chromium.new_context()).new_page()
    await sign_in(page, place)
    await page.goto(f"{place.url}/account")
    assert await faults_in_shapes(page, screenshots, "people-profile") == []
    await page.locator("#field-enroll").fill(PASSWORD)
    await press(page.get_by_role("button", name="Set up two-factor sign-in"))
    assert await faults_in_shapes(page, screenshots, "people-enroll") == []
    secret = (await page.locator("code").inner_text()).replace(" ", "")
    clock = place.world.served.clock
    await page.get_by_label("Code").fill(code_at(secret, step_of(clock.now())))
    await press(page.get_by_role("button", name="Turn on"))
    await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert await faults_in_shapes(page, screenshots, "people-recovery") == []

    clock.advance(timedelta(seconds=30))
    other = await (await chromium.new_context()).new_page()
    await sign_in(other, place)
    assert await faults_in_shapes(other, screenshots, "people-code") == []
    await other.get_by_label("Code").fill(code_at(secret, step_of(clock.now())))
    await other.get_by_role("button", name="Sign in").click()
    await expect(other.get_by_role("heading", name="Campaigns", level=1)).to_be_visible()
