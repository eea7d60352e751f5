"""Selecting rows in a browser: ranges, the bar, its dialogs, messages with undo, the clicks it takes, and a phone."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, BrowserContext, expect

from tests.browser.test_pages import Site, faults_in_shapes
from tests.support.clicks import CountedTask, press, settled
from tests.support.factories import create_campaign, create_campaign_contact
from tests.support.postgres import Scratch
from tests.support.sockets import on_a_socket
from tests.support.studio import serve_studio, unchanged
from tests.support.two_organizations import TwoOrganizations

pytestmark = pytest.mark.timeout(300)
WITHIN_MS = 60_000


@pytest.fixture
async def site(
    database: Scratch, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> AsyncIterator[Site]:
    """The studio with a campaign of 60 pending contacts, and 3 in review."""
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active", name="Renewals")
    for _ in range(60):
        await create_campaign_contact(connection, campaign)
    for _ in range(3):
        await create_campaign_contact(
            connection, campaign, status="review", call_count=1, status_reason="outcome unknown"
        )
    rows = {"organization_id": str(own.tenant.organization_id), "campaign_id": str(campaign.id)}
    async with serve_studio(database, unchanged) as served, on_a_socket(served.app) as url:
        await served.studio.hub.start()
        yield Site(url, served, own.users["owner"], rows)
        served.studio.hub.end_streams()
        await served.studio.hub.stop()


@pytest.fixture
async def signed_in(chromium: Browser, site: Site) -> AsyncIterator[BrowserContext]:
    """A signed-in browser on which nothing may go wrong."""
    context = await chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(WITHIN_MS)
    expect.set_options(timeout=WITHIN_MS)
    await site.sign_in(context)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    await context.close()
    assert errors == []


@pytest.mark.tasks
async def test_twelve_contacts_are_skipped_with_four_clicks_and_taken_back_with_one(
    signed_in: BrowserContext, site: Site, screenshots: Path
) -> None:
    page = await signed_in.new_page()
    await page.goto(site.address("/o/{organization_id}/campaigns/{campaign_id}/contacts?status=pending"))
    boxes, bar = page.locator('[name="chosen"]'), page.get_by_role("form", name="Selected contacts")
    await expect(bar).to_be_hidden()
    # Beside the box, its cell selects too, and does not lead to the contact.
    for shown in ("1 contact selected", ""):
        await page.locator("td:has(> [name=chosen])").first.click(position={"x": 2, "y": 2})
        await expect(page.locator("[data-selection-count]")).to_have_text(shown)
    assert page.url.endswith("/contacts?status=pending")
    with CountedTask("Skip a range of contacts, from their list") as task:
        await task.click(boxes.nth(3))
        await task.click(boxes.nth(14), shift=True)
        await expect(bar.get_by_role("status")).to_have_text("12 contacts selected")
        faults = await faults_in_shapes(page, screenshots, "selection-bar", full_page=False)
        await task.click(bar.get_by_role("button", name="Skip"))
        dialog = page.get_by_role("dialog", name="Skip 12 contacts?")
        await expect(dialog).to_contain_text("They will not be called in this campaign.")
        await expect(dialog).to_contain_text("You can undo this for an hour")
        await expect(dialog.get_by_label("Reason")).to_be_focused()
        faults += await faults_in_shapes(page, screenshots, "selection-dialog", full_page=False)
        await page.evaluate(
            "window.isSamePage = true; document.getElementById('main').scrollIntoView({ block: 'end' })"
        )
        scrolled = await page.evaluate("scrollY")
        await task.click(dialog.get_by_role("button", name="Skip 12 contacts"))
    toast = page.locator(".toast")
    await expect(toast).to_contain_text("12 contacts skipped.")
    assert await toast.get_attribute("role") == "status"
    # No page was loaded, what was acted on is selected no longer, and the list is where it was.
    assert await page.evaluate("window.isSamePage")
    await expect(bar).to_be_hidden()
    await expect(page.get_by_text("Select all 48 that match")).to_have_count(1)
    assert await page.evaluate("scrollY") > 0 < scrolled
    # The keyboard reaches the button of the message first.
    await settled(page)
    await page.keyboard.press("Tab")
    await expect(toast.get_by_role("button", name="Undo")).to_be_focused()
    # While it holds the focus, it stays longer than ten seconds.
    faults += await faults_in_shapes(page, screenshots, "selection-toast", full_page=False)
    with CountedTask("Undo what was done with contacts, from its message") as task:
        await task.click(toast.get_by_role("button", name="Undo"))
    await expect(page.locator(".toast")).to_contain_text("Undone. 12 contacts are as before.")
    assert faults == []


COVERED_CELLS = """boxes => boxes.flatMap(box => {
  const own = box.getBoundingClientRect();
  return [...box.closest("tr").cells].filter(cell => !cell.contains(box)).filter(cell => {
    const at = cell.getBoundingClientRect();
    const isBeside = at.right <= own.left || at.left >= own.right || at.bottom <= own.top || at.top >= own.bottom;
    return !isBeside && cell.matches("td:not(.row-menu)");
  }).map(cell => cell.innerText);
})"""
"""The texts of cells that the box of their row covers."""


@pytest.mark.tasks
async def test_all_that_match_are_taken_from_every_page_and_a_phone_has_the_bar_at_the_thumb(
    signed_in: BrowserContext, site: Site, screenshots: Path
) -> None:
    page = await signed_in.new_page()
    await page.set_viewport_size({"width": 390, "height": 844})
    for path in ("campaigns", "calls", "campaigns/{campaign_id}/contacts?status=pending"):
        await page.goto(site.address("/o/{organization_id}/" + path))
        assert await page.locator('[name="chosen"]').evaluate_all(COVERED_CELLS) == [], path
    task = CountedTask("Skip all contacts that match, from their list")
    bar = page.get_by_role("form", name="Selected contacts")
    await task.click(page.locator('[name="chosen"]').first)
    # The bar rises into its place.
    await bar.evaluate("bar => Promise.all(bar.getAnimations().map((each) => each.finished))")
    place = await bar.bounding_box()
    assert place
    assert (round(place["y"] + place["height"]), place["width"]) == (844, 390)
    small = await bar.get_by_role("button").evaluate_all("all => all.filter(each => each.offsetHeight < 40).length")
    assert small == 0
    await task.click(bar.get_by_role("button", name="Select all 60 that match"))
    await expect(bar.get_by_role("status")).to_have_text("All 60 that match")
    await page.screenshot(path=screenshots / "selection-all.phone.png")
    await bar.get_by_role("button", name="Do not call").click()
    dialog = page.get_by_role("dialog", name="Never call 60 contacts again?")
    await expect(dialog).to_contain_text("These match: status pending.")
    await page.screenshot(path=screenshots / "selection-all-dialog.phone.png")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(bar.get_by_role("button", name="Do not call")).to_be_focused()
    # The server refuses a job without a reason, and so does the browser.
    await task.click(bar.get_by_role("button", name="Skip"))
    dialog = page.get_by_role("dialog", name="Skip 60 contacts?")
    await dialog.get_by_label("Reason").fill("wrong list")
    with task:
        await task.click(dialog.get_by_role("button", name="Skip 60 contacts"))
    await expect(page.locator(".toast")).to_contain_text("Job started.")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Skip")
    await page.close()


async def test_contacts_in_review_are_decided_together_and_a_page_without_scripts_does_it_too(
    chromium: Browser, signed_in: BrowserContext, site: Site, screenshots: Path, connection: asyncpg.Connection
) -> None:
    page = await signed_in.new_page()
    await page.goto(site.address("/o/{organization_id}/review"))
    bar = page.get_by_role("form", name="Selected contacts")
    count = await page.locator('[name="chosen"]').count()
    await page.locator('[name="chosen"]').first.click()
    faults = await faults_in_shapes(page, screenshots, "selection-review", full_page=False)
    await bar.get_by_role("button", name="Select page").click()
    await bar.get_by_role("button", name="Completed").click()
    await press(page.get_by_role("button", name=f"Mark {count} contacts as completed"))
    await expect(page.locator(".toast")).to_contain_text(f"{count} contacts marked as completed.")
    await press(page.locator(".toast").get_by_role("button", name="Undo"))
    await expect(page.locator('[name="chosen"]')).to_have_count(count)
    assert faults == []

    plain = await chromium.new_context(java_script_enabled=False)
    await site.sign_in(plain)
    page = await plain.new_page()
    await page.goto(site.address("/o/{organization_id}/review"))
    await page.locator('[name="chosen"]').first.check()
    await page.get_by_label("With the selected contacts").select_option("failed")
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_role("button", name="Mark 1 contact as not reached").click()
    await expect(page.locator(".toast")).to_contain_text("1 contact marked as not reached.")
    await page.screenshot(path=screenshots / "selection-plain.png", full_page=True)
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator(".toast")).to_contain_text("1 contact is as before.")
    await plain.close()
    assert await connection.fetchval("select count(*) from campaign_contacts where status = 'review'") == count
