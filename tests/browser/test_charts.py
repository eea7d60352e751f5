"""Charts in a real browser: text is never cut off, and a value shows by pointer, touch and keyboard."""

import asyncio
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Browser, expect

from tests.browser.test_pages import Site, site  # noqa: F401
from tests.support.factories import NOW

pytestmark = pytest.mark.timeout(300)
WIDTHS = (390, 768, 1280, 1440)
WITH_CHARTS = (
    "/o/{organization_id}/campaigns/{campaign_id}",
    "/o/{organization_id}/reports?since=2026-03-01&until=2026-03-11",
    "/o/{organization_id}/analytics?since=2026-03-01&until=2026-03-11",
    "/o/{organization_id}/campaigns/{campaign_id}/report",
    "/o/{organization_id}/functions/{slug}?span=7d",
    "/design",
)
# Texts of charts that reach beyond their chart, that are cut off, or that lie on another text.
CLIPPED_TEXT = """
[...document.querySelectorAll(".chart")].flatMap((chart) => {
  const inside = chart.getBoundingClientRect();
  const elements = [...chart.querySelectorAll("svg text, .axis li, .bars span, .heat th, .heat td, .legend li, h3")];
  const shown = elements.filter((element) => element.textContent.trim() && element.getClientRects().length);
  const texts = shown.map((element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return [element, element.matches("text") ? element.getBoundingClientRect() : range.getBoundingClientRect()];
  });
  const beyond = texts.filter(([element, box]) =>
    box.left < inside.left - 1 || box.right > inside.right + 1 || box.top < inside.top - 1
    || element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflow !== "visible");
  const touching = texts.filter(([, a], i) => texts.some(([, b], j) =>
    i < j && a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
  return [...beyond, ...touching].map(([element]) => element.textContent.trim());
})
"""


async def test_no_text_of_a_chart_is_cut_off_at_any_width(
    site: Site,  # noqa: F811
    chromium: Browser,
    connection: asyncpg.Connection,
) -> None:
    # Wide numbers, and more columns than have room for a name.
    campaign_id = UUID(site.rows["campaign_id"])
    await connection.execute(
        "update calls set created_at = $2::timestamptz - (attempt_number * 7 + extract(minute from created_at)) "
        "* interval '1 hour' where campaign_id = $1",
        campaign_id,
        NOW,
    )
    context = await chromium.new_context(timezone_id="America/New_York")
    await site.sign_in(context)
    page = await context.new_page()
    for path in WITH_CHARTS:
        address, _, query = path.partition("?")
        await page.goto(f"{site.address(address)}?{query}", wait_until="load")
        await page.evaluate("document.fonts.ready")
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.locator(".chart").count() > 0, path
            assert await page.evaluate(CLIPPED_TEXT) == [], (path, width)
    # The measure sees a text that is cut off.
    await page.evaluate("for (const chart of document.querySelectorAll('.chart')) chart.style.width = '60px'")
    assert await page.evaluate(CLIPPED_TEXT) != []
    await context.close()


async def test_a_value_shows_by_pointer_touch_and_keyboard(
    site: Site,  # noqa: F811
    chromium: Browser,
) -> None:
    context = await chromium.new_context(viewport={"width": 390, "height": 900}, has_touch=True)
    await site.sign_in(context)
    page = await context.new_page()
    await page.goto(site.address("/design"), wait_until="load")
    tip = page.locator(".chart-tip")

    await page.locator(".heat").focus()
    await expect(tip).to_have_text("8 AM, attempt 1: 32% of 200 calls")
    await page.keyboard.press("ArrowRight")
    await expect(tip).to_have_text("8 AM, attempt 2: 32% of 25 calls")
    await page.keyboard.press("ArrowDown")
    await expect(tip).to_have_text("9 AM, attempt 2: 36% of 25 calls")
    await page.keyboard.press("Escape")
    await expect(tip).to_be_hidden()

    column = page.locator(".plot [data-mark]").nth(11)
    await column.locator(".hit").tap(force=True)
    await expect(tip).to_contain_text("Nov 12: Reached 124, Machine 22, Not reached 18, Answer rate 76%")
    box = await tip.bounding_box()
    assert box is not None
    assert 0 <= box["x"] <= box["x"] + box["width"] <= 390

    await page.locator(".bars [data-mark]").first.hover()
    await expect(tip).to_have_text("Answered: 139 of 337 (41%)")
    # The titles have gone, so that no value shows twice.
    assert await page.locator(".bars [data-mark]").first.get_attribute("title") is None
    await asyncio.gather(page.close(), context.close())
