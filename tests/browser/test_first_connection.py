"""From the first sign-in of an empty installation to a stored Retell key, in a browser, with the clicks counted."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from outdial.auth.local.service import AuthRefusal
from outdial.db.session import assert_no_transaction
from outdial.retell.key_tester import RetellKeyTester
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.server import running
from tests.browser.test_pages import faults_in_shapes
from tests.support.clicks import CountedTask, press
from tests.support.dialing import KEY
from tests.support.postgres import Scratch
from tests.support.sockets import on_a_socket
from tests.support.studio_with_auth import PASSWORD, serve_studio_with_auth

pytestmark = pytest.mark.timeout(300)
EMAIL = "ada@example.com"


@pytest.mark.tasks
async def test_the_first_user_creates_an_organization_and_connects_retell_with_three_clicks(
    database: Scratch, chromium: Browser, screenshots: Path
) -> None:
    async with (
        running(SimulatorConfig(api_keys=(KEY,))) as (simulator, _),
        serve_studio_with_auth(database) as world,
        on_a_socket(world.served.app) as url,
    ):
        tester = RetellKeyTester(simulator, guard=assert_no_transaction)
        world.served.app.state.studio = replace(world.served.studio, key_tester=tester)
        assert not isinstance(await world.auth.create_user(EMAIL, PASSWORD), AuthRefusal)
        page = await (await chromium.new_context(timezone_id="America/Chicago")).new_page()
        task = CountedTask("Connect Retell on an empty installation, from signing in")

        def button(name: str) -> Locator:
            return page.get_by_role("button", name=name, exact=True)

        await page.goto(f"{url}/sign-in")
        await page.get_by_label("Email").fill(EMAIL)
        await page.get_by_label("Password").fill(PASSWORD)
        await task.click(button("Sign in"))
        await expect(page.get_by_role("heading", name="Create your organization")).to_be_visible()
        assert await faults_in_shapes(page, screenshots, "connection-organization") == []
        await page.get_by_label("Name").fill("Acme")
        await task.click(button("Create organization"))
        await expect(page.get_by_text("Organization created. Connect Retell next.")).to_be_visible()
        assert await faults_in_shapes(page, screenshots, "connection-none") == []

        await page.get_by_label("API key", exact=True).fill("key_of_another_workspace")
        await press(button("Test and connect"))
        await expect(page.locator(".wrong")).to_contain_text("Retell does not accept this key")
        assert await page.get_by_label("API key", exact=True).input_value() == ""
        assert await faults_in_shapes(page, screenshots, "connection-refused") == []
        await page.get_by_label("API key", exact=True).fill(KEY)
        with task:
            await task.click(button("Test and connect"))
        await expect(page.get_by_text("Ends in ator")).to_be_visible()
        assert await faults_in_shapes(page, screenshots, "connection-connected") == []
        assert KEY not in await page.content()

        await press(page.get_by_role("button", name="Remove key"))
        await expect(page.get_by_role("dialog")).to_contain_text("wait until a key is entered")
        assert await faults_in_shapes(page, screenshots, "connection-remove") == []
        await page.get_by_role("button", name="Go back").click()
        await page.goto(page.url.partition("/settings")[0] + "/campaigns")
        await expect(page.get_by_role("link", name="Connect Retell’s webhook")).to_be_visible()
        assert await faults_in_shapes(page, screenshots, "connection-guide") == []
        await enter_a_new_key(page)
        world.served.studio.hub.end_streams()


async def enter_a_new_key(page: Page) -> None:
    with CountedTask("Enter a new Retell key") as task:
        await task.click(page.get_by_role("link", name="Retell and webhook"))
        await page.get_by_label("New API key", exact=True).fill(KEY)
        await task.click(page.get_by_role("button", name="Test and replace"))
        await expect(
            page.get_by_role("status").filter(has_text="Connected with the key ending in ator")
        ).to_be_visible()
