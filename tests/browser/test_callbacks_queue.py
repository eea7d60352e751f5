"""The queue of callbacks in a browser: a callback is handled in a press or two, with keys, and on a phone."""

import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import BrowserContext, Page, expect

from outdial.domain.policies.callback_requests import ASKED
from tests.browser.test_live_pages import new_york, open_page, site, world
from tests.browser.test_pages import SHAPES, Site, faults_in_shapes, put_into
from tests.studio.test_callbacks import ALWAYS, row_of, wait_for_callback
from tests.support.clicks import CountedTask, press, settled
from tests.support.factories import NOW, CampaignContact, create_call, create_campaign, create_campaign_contact
from tests.support.two_organizations import TwoOrganizations

pytestmark = pytest.mark.timeout(300)
__all__ = ["new_york", "site", "world"]
# Texts of entries and presets that reach beyond their box, or that are cut off.
CLIPPED_TEXT = """
[...document.querySelectorAll(".queue > li, .presets > .button, .linked-dialog")].flatMap((box) => {
  const inside = box.getBoundingClientRect();
  return [...box.querySelectorAll("h2, h3, p, q, span, time, .button")].filter((element) => {
    if (!element.textContent.trim() || !element.getClientRects().length) return false;
    if (element.closest(".visually-hidden")) return false;
    const range = document.createRange();
    range.selectNodeContents(element);
    const text = range.getBoundingClientRect();
    return text.left < inside.left - 1 || text.right > inside.right + 1 || text.bottom > inside.bottom + 1;
  }).map((element) => element.textContent.trim());
})
"""

# Requests with a time limit end as if the server had not responded in that time.
HANG = """
window.timeout = AbortSignal.timeout;
AbortSignal.timeout = () => AbortSignal.abort(new DOMException("", "TimeoutError"));
"""


async def create_queue(connection: asyncpg.Connection, world: TwoOrganizations) -> dict[str, CampaignContact]:
    """Callbacks of every group, with what the contacts said."""
    tenant = world.own.tenant
    runs = await create_campaign(connection, tenant, name="Spring renewals, first wave", calling_hours=ALWAYS)
    early = await create_campaign(
        connection, tenant, name="Early birds", calling_hours=json.dumps({"every_day": [["00:00", "00:30"]]})
    )
    hour = timedelta(hours=1)
    entries = {
        "late": await wait_for_callback(connection, runs, NOW - hour, "Ada Lovelace"),
        "closed": await wait_for_callback(connection, early, NOW + hour, "Bartholomew Featherstonehaugh-Smythe"),
        "today": await wait_for_callback(
            connection, runs, NOW + 2 * hour, "Alan Turing", zone_key="America/Los_Angeles", callback_tries=1
        ),
        "tomorrow": await wait_for_callback(connection, runs, NOW + 25 * hour, "Grace Hopper"),
        "later": await wait_for_callback(
            connection, runs, NOW + timedelta(days=6), "Katherine Johnson", zone_key="America/Chicago|America/Denver"
        ),
        "unreadable": await create_campaign_contact(
            connection,
            runs,
            status="review",
            status_reason=f"{ASKED}: 'after the holidays'; no time can be read from it",
        ),
    }
    said = {"call_summary": "The customer was driving and asked to be called when at home.", "custom_analysis_data": {}}
    for name, words in (("late", "in an hour"), ("closed", "tomorrow at 3pm"), ("today", "at 4pm, please")):
        analysis = said | {"custom_analysis_data": {"callback_at": words}}
        await create_call(connection, entries[name], status="ended", outcome="answered", analysis=json.dumps(analysis))
    return entries


async def assert_nothing_is_clipped(page: Page) -> None:
    for width in (390, 768, 1440):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate(CLIPPED_TEXT) == [], width
    await put_into(page, SHAPES[0])


@pytest.mark.tasks
async def test_a_callback_is_handled_from_the_queue(
    new_york: BrowserContext,
    site: Site,
    connection: asyncpg.Connection,
    world: TwoOrganizations,
    screenshots: Path,
) -> None:
    entries = await create_queue(connection, world)
    page = await open_page(new_york, site, "campaigns")
    menu = page.get_by_role("navigation", name="Studio")
    with CountedTask("See which callback is late, and call the contact now") as task:
        await task.click(menu.get_by_role("link", name="Callbacks"))
        late = page.locator(f'[id="{entries["late"].id}"]')
        await expect(late).to_contain_text("late.")
        await expect(late).to_contain_text("in an hour")
        assert await faults_in_shapes(page, screenshots, "callbacks-queue") == []
        await assert_nothing_is_clipped(page)
        await page.evaluate("window.isSamePage = true")
        await task.click(page.locator("#entry").get_by_role("button", name="Call now"))
        await expect(page.get_by_role("status").filter(has_text="called as soon as a line is free")).to_be_visible()
    assert (await row_of(connection, entries["late"].id))["callback_at"] == NOW
    assert await page.evaluate("window.isSamePage"), "an action loads no page"

    # Without room beside the list, each entry has its actions.
    await page.set_viewport_size({"width": 1000, "height": 900})
    await page.goto(page.url.partition("#")[0], wait_until="load")
    closed = page.locator(f'[id="{entries["closed"].id}"]')
    await press(closed.get_by_role("link", name="New time"))
    dialog = page.get_by_role("dialog", name="New time for the callback of Bartholomew")
    await expect(dialog).to_be_visible()
    assert await faults_in_shapes(page, screenshots, "callbacks-new-time") == []
    await assert_nothing_is_clipped(page)
    await dialog.get_by_role("button", name="Tomorrow morning").click()
    await expect(
        page.get_by_role("status").filter(has_text="the first time that hours and rules allow")
    ).to_be_visible()
    await press(page.get_by_role("button", name="Undo"))
    await settled(page)
    assert (await row_of(connection, entries["closed"].id))["callback_at"] == NOW + timedelta(hours=1)

    await never_call(page, site, entries["unreadable"].id, screenshots)


async def never_call(page: Page, site: Site, id: UUID, screenshots: Path) -> None:
    """Put the number of an entry on the do-not-call list from beside the queue."""
    await page.goto(f"{site.url}/o/{site.rows['organization_id']}/campaigns", wait_until="load")
    with CountedTask("Never call a contact of the callbacks again, and say why") as task:
        await task.click(page.get_by_role("navigation", name="Studio").get_by_role("link", name="Callbacks"))
        unreadable = page.locator(f'[id="{id}"]')
        await task.click(unreadable)
        beside = page.locator(f'#entry[data-entry="{id}"]')
        await task.click(beside.get_by_role("button", name="Never call"))
        dialog = page.get_by_role("dialog", name="Never call")
        await expect(dialog).to_be_visible()
        assert await faults_in_shapes(page, screenshots, "callbacks-never-call") == []
        await dialog.get_by_label("Reason").fill("asked by email")
        await task.click(dialog.get_by_role("button", name="Never call"))
        await expect(page.get_by_role("status").filter(has_text="on the do-not-call list now")).to_be_visible()


async def test_keys_lead_through_the_queue(
    new_york: BrowserContext, site: Site, connection: asyncpg.Connection, world: TwoOrganizations
) -> None:
    entries = await create_queue(connection, world)
    page = await new_york.new_page()
    errors = list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    queue = f"{site.url}/o/{site.rows['organization_id']}/callbacks"
    await page.goto(f"{queue}?group=today", wait_until="load")
    await expect(page.locator("[data-queue] > [aria-current]")).to_contain_text("Alan Turing")
    await expect(page.locator("#entry q")).to_have_text("at 4pm, please")
    await settled(page)
    await page.evaluate(HANG)
    await page.keyboard.press("4")
    await expect(page.get_by_role("alert")).to_contain_text("The server has not responded for 20 seconds.")
    await page.evaluate("AbortSignal.timeout = window.timeout")
    # Keys are as before. This one leads to the times, of which none is chosen yet.
    await page.keyboard.press("2")
    await expect(page.locator("#entry .presets > button").first).to_be_focused()
    await page.get_by_text("Another time").click()
    await page.get_by_label("Time", exact=False).last.fill("2001-01-01T10:00")
    await page.get_by_role("button", name="Set callback").click()
    await expect(page.get_by_role("alert")).to_contain_text("That time has passed")
    await expect(page.locator("[data-queue]")).to_have_count(0)
    await page.keyboard.press("j")
    await page.goto(queue, wait_until="load")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    third = page.locator("[data-queue] > li").nth(2)
    await expect(page.locator("#entry")).to_have_attribute("data-entry", await third.get_attribute("id") or "")
    await page.keyboard.press("4")
    await expect(page.get_by_role("status").filter(has_text="done, not called again")).to_be_visible()
    statuses = await connection.fetch(
        "select status from campaign_contacts where id = any ($1)", [entry.id for entry in entries.values()]
    )
    assert sorted(row["status"] for row in statuses).count("completed") == 1
    # The entry after it is chosen.
    await expect(page.locator("[data-queue] > [aria-current]")).to_have_count(1)
    assert errors == []
