"""Ctrl-K: the search on every page."""

import pytest
from playwright.async_api import Browser, expect

from tests.browser.test_pages import AXE, Site, site, what_axe_says
from tests.support.clicks import settled

__all__ = ["site"]
pytestmark = pytest.mark.timeout(300)


async def test_the_keyboard_alone_opens_what_was_found(site: Site, chromium: Browser) -> None:
    context = await chromium.new_context()
    await site.sign_in(context)
    page = await context.new_page()
    await page.goto(site.address("/o/{organization_id}/reports"), wait_until="load")

    await page.keyboard.press("Control+k")
    dialog = page.get_by_role("dialog", name="Search")
    await expect(dialog.get_by_role("link", name="New campaign")).to_be_visible()
    if AXE.exists():
        await page.evaluate(AXE.read_text())
        assert await what_axe_says(page) == []
    # Enter opens what was typed, also before its results are there.
    await page.keyboard.type("audit")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/audit")
    await settled(page)
    await page.keyboard.press("Control+k")
    await page.keyboard.type("live")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
