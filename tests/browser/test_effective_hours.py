"""The campaign form shows which of its hours the calling rules allow: while they are painted, and without a script."""

from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.test_pages import Site, site
from tests.support.interception import intercept

__all__ = ["site"]
SUMMARY = "#effective-hours [data-summary]"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def step(site: Site, connection: asyncpg.Connection) -> str:
    """The address of the step with the hours, of a draft without contacts: each state is a place with rules."""
    await connection.execute("delete from campaign_contacts where campaign_id = $1", UUID(site.rows["draft"]))
    await connection.execute("update campaigns set calling_hours = '{}'")
    return site.address("/o/{organization_id}/campaigns/{draft}/setup/when")


async def summary_after(page: Page, before: str) -> str:
    """Wait until the summary differs from `before`, and return it."""
    await page.wait_for_function(
        "([selector, before]) => document.querySelector(selector)?.innerText !== before", arg=[SUMMARY, before]
    )
    return await page.inner_text(SUMMARY)


async def test_painting_hours_and_choosing_a_purpose_show_the_effect(site: Site, step: str, chromium: Browser) -> None:
    context = await chromium.new_context()
    await site.sign_in(context)
    page = await context.new_page()
    await page.goto(step)
    await page.click("#effective-hours summary")
    # The law lies over the week: nights are closed in all places, Sundays in some.
    assert await page.locator('.week-cell[data-law="n"][data-at="0:6"]').count() == 1
    assert await page.locator('.week-cell[data-law="s"][data-at^="6:"]').count() > 1
    usual = await page.inner_text(SUMMARY)

    await page.click("text=Around the clock")
    painted = await summary_after(page, usual)
    await page.locator(".week-cell").nth(18).focus()
    await page.keyboard.press("Space")
    await page.select_option("[name=purpose]", "survey")
    survey = await summary_after(page, painted)
    await page.click("text=Clear")
    cleared = await page.wait_for_selector("#effective-hours :text('Correct the calling hours')")

    assert "narrower than these hours" in usual
    assert "narrower than these hours" in painted
    assert int(painted.split()[0]) > int(usual.split()[0])
    assert survey != painted
    assert cleared is not None
    await context.close()


async def test_a_failing_server_is_reported_beside_the_hours(site: Site, step: str, chromium: Browser) -> None:
    context = await chromium.new_context()
    await site.sign_in(context)
    page = await context.new_page()
    await page.goto(step)
    await intercept(page, "**/effective-hours", lambda route: route.fulfill(status=500, body="{}"))

    await page.click("text=Around the clock")

    assert await page.wait_for_selector("#effective-hours :text('cannot be loaded right now')") is not None
    await context.close()


async def test_without_a_script_the_form_shows_the_effect_of_what_was_sent(
    site: Site, step: str, chromium: Browser
) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    await site.sign_in(context)
    page = await context.new_page()
    await page.goto(step)
    usual = await page.inner_text(SUMMARY)

    await page.select_option("[name=purpose]", "survey")
    await page.click("#schedule-at")
    await page.click("text=Save and continue")  # The time is missing, so the form comes back.

    await expect(page.get_by_role("main")).to_contain_text("Enter a date and time")
    assert await page.inner_text(SUMMARY) != usual
    await context.close()
