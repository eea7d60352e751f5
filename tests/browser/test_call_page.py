"""The page of a call: its recording is played in step with the transcript, and keys lead through the list."""

import asyncio
from contextlib import suppress
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Browser, Error, Page, Route, expect

from outdial.retell.simulator.controls import partial_response
from outdial.retell.simulator.recording import recording_of
from outdial.studio.web.sessions import COOKIE
from tests.browser.test_pages import AXE, Site, site, what_axe_says
from tests.support.clicks import press, settled
from tests.support.interception import intercept

__all__ = ["site"]
pytestmark = pytest.mark.timeout(300)
RECORDINGS = "https://recordings.example.com/**"
STOP_AT_ONCE = """
audio => audio.addEventListener("play", () => {
  window.played = [audio.playbackRate, audio.paused];
  audio.pause();
}, { once: true })
"""

# Screen readers announce what changes in a message that is there.
ANNOUNCED = """
window.announced = [];
new MutationObserver((changes) => {
  const changed = changes.map(({ target }) => target).filter((target) => target.matches("main > .notice[role]"));
  window.announced.push(...changed.map((target) => target.textContent));
}).observe(document.getElementById("main"), { childList: true, subtree: true });
"""


async def test_a_recording_is_heard_in_step_with_its_transcript(site: Site, chromium: Browser) -> None:
    context = await chromium.new_context()
    await site.sign_in(context)
    sound = recording_of("call_1", 12_000)

    async def play(route: Route) -> None:
        part = partial_response(sound, route.request.headers.get("range", ""))
        await route.fulfill(status=part.status_code, headers=dict(part.headers), body=bytes(part.body))

    await context.route(RECORDINGS, play)
    page = await context.new_page()
    await page.goto(site.address("/o/{organization_id}/calls/{call_id}"), wait_until="load")
    turns = page.get_by_role("region", name="Transcript").get_by_role("listitem")
    audio = page.locator("audio")

    position = page.get_by_role("slider", name="Position")
    assert await audio.evaluate("audio => audio.controls") is False
    await page.get_by_role("button", name="Play", exact=True).click()
    await page.get_by_role("button", name="Pause", exact=True).click()
    await expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    await position.press("Home")
    await position.press("ArrowRight")
    await expect(position).to_have_attribute("aria-valuetext", "0:01 of 0:12, Agent")
    assert await audio.evaluate("audio => [audio.currentTime, audio.paused]") == [1, True]

    await page.get_by_role("button", name="2×").click()
    # It is stopped at once: on a busy machine it would play past what the next steps expect.
    await audio.evaluate(STOP_AT_ONCE)
    await page.get_by_role("button", name="Play from 0:05").click()
    await expect(turns.nth(1)).to_have_attribute("aria-current", "true")
    assert await (await page.wait_for_function("() => window.played")).json_value() == [2, False]
    await page.get_by_role("button", name="10 s back").click()
    await expect(turns.nth(0)).to_have_attribute("aria-current", "true")
    assert await audio.evaluate("audio => audio.currentTime") == 0
    await page.get_by_role("button", name="10 s forward").click()
    await expect(turns.nth(2)).to_have_attribute("aria-current", "true")
    if AXE.exists():
        await page.evaluate(AXE.read_text())
        assert await what_axe_says(page) == []

    # The speed is kept for the next call.
    await page.reload()
    await expect(page.get_by_role("button", name="2×")).to_have_attribute("aria-pressed", "true")
    await context.close()


async def test_a_recording_that_cannot_be_played_says_why(site: Site, chromium: Browser) -> None:
    context = await chromium.new_context()
    await site.sign_in(context)

    async def expired(route: Route) -> None:
        await route.fulfill(status=403, body="expired")

    await context.route(RECORDINGS, expired)
    page = await context.new_page()
    await page.goto(site.address("/o/{organization_id}/calls/{call_id}"), wait_until="load")
    await expect(page.get_by_role("alert")).to_have_count(0)

    await page.get_by_role("button", name="Play from 0:05").click()

    await expect(page.get_by_role("alert")).to_contain_text("cannot be played")
    await expect(page.get_by_role("alert")).to_contain_text("expired")
    await context.close()


async def test_keys_lead_through_the_filtered_list(site: Site, chromium: Browser) -> None:
    context = await chromium.new_context()
    await site.sign_in(context)
    page = await context.new_page()
    await page.goto(site.address("/o/{organization_id}/calls") + "?outcome=voicemail", wait_until="load")
    await press(page.locator("tr[data-href] th a").first)
    beside = page.get_by_role("navigation", name="Calls of the list")
    await expect(beside).to_contain_text("1 of 3")
    first = page.url

    # The text is there before the script that listens to keys has run.
    await settled(page)
    await page.keyboard.press("j")
    await expect(beside).to_contain_text("2 of 3")
    assert "outcome=voicemail" in page.url
    await settled(page)
    await page.keyboard.press("k")
    await page.wait_for_url(first)
    # The first one has none before it.
    await page.keyboard.press("k")
    await expect(beside).to_contain_text("1 of 3")
    await context.close()


async def open_review(site: Site, chromium: Browser) -> Page:
    context = await chromium.new_context()
    await site.sign_in(context)
    page = await context.new_page()
    await page.goto(site.address("/o/{organization_id}/review"), wait_until="load")
    await expect(page.locator("[data-queue] > li").first).to_be_visible()
    if AXE.exists():
        await page.evaluate(AXE.read_text())
        assert await what_axe_says(page) == []
    await settled(page)
    return page


async def choose_back_while_the_next_is_read(page: Page) -> None:
    """Choose the second entry of a queue, and the first one again before the server has responded."""
    second = page.locator("[data-queue] > li").nth(1)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        # The page no longer waits for it.
        with suppress(Error):
            await route.continue_()

    await intercept(page, "**/review?at=*", hold)
    async with page.expect_request("**/review?at=*"):
        await page.keyboard.press("j")
    await expect(second).to_have_attribute("aria-current", "true")
    # It is not shown yet: this decides about nothing.
    await page.keyboard.press("1")
    await page.keyboard.press("k")
    await expect(second).not_to_have_attribute("aria-current", "true")
    held.set()
    await page.unroute("**/review?at=*")


async def decide_too_late_while_all_calls_are_stopped(page: Page, connection: asyncpg.Connection, id: str) -> None:
    """Decide about an entry of a queue that another member has just decided about."""
    await connection.execute("update campaign_contacts set status = 'completed' where id = $1", UUID(id))
    await connection.execute(
        "update organizations set stopped_at = now(), stopped_by = 'a member', stop_reason = 'wrong prompt'"
        " where id = (select organization_id from campaign_contacts where id = $1)",
        UUID(id),
    )
    await page.evaluate(ANNOUNCED)
    await page.keyboard.press("1")
    notices = page.locator("main > .notice")
    await expect(notices.filter(has_text="are stopped")).to_be_visible()
    await expect(notices.filter(has_text="Only contacts in review can be decided")).to_be_visible()
    await page.wait_for_function("() => window.announced.some((text) => text.includes('Only contacts in review'))")


async def decide_after_the_session(page: Page, connection: asyncpg.Connection, id: str) -> None:
    """Decide about an entry of a queue when the session has ended: the decision is kept during the sign-in."""
    await page.keyboard.press("j")
    await expect(page.locator("#entry")).to_have_attribute("data-entry", id)
    await page.context.clear_cookies(name=COOKIE)
    await page.keyboard.press("1")
    await expect(page.get_by_text("Your entries have been kept.")).to_be_visible()
    status = await connection.fetchval("select status from campaign_contacts where id = $1", UUID(id))
    assert status == "review"


async def see_the_question(page: Page) -> None:
    """See that the digit for the do-not-call list asks first, and go back."""
    await page.keyboard.press("4")
    await expect(page.get_by_role("dialog")).to_contain_text("do-not-call list")
    await page.keyboard.press("Escape")


async def test_a_queue_is_worked_through_with_the_keyboard(
    site: Site, chromium: Browser, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "update campaign_contacts set status = 'review', status_reason = 'odd'"
        " where id in (select id from campaign_contacts where campaign_id = $1 and status = 'pending' limit 4)",
        site.rows["campaign_id"],
    )
    page = await open_review(site, chromium)
    waiting = await page.locator("[data-queue] > li").count()
    first = page.locator("[data-queue] > li").first
    await expect(first).to_have_attribute("aria-current", "true")
    await page.evaluate("window.isSamePage = true")
    await decide_too_late_while_all_calls_are_stopped(page, connection, await first.get_attribute("id") or "")
    waiting -= 1
    await expect(page.locator("[data-queue] > li")).to_have_count(waiting)
    await choose_back_while_the_next_is_read(page)
    await page.keyboard.press("1")

    await expect(page.locator("[data-queue] > li")).to_have_count(waiting - 1)
    await expect(page.locator("#entry")).to_have_attribute("data-entry", await first.get_attribute("id") or "")
    assert await page.evaluate("window.isSamePage"), "a decision loads no page"
    await expect(page.get_by_role("status").filter(has_text="Marked as completed.")).to_be_visible()
    await settled(page)
    await page.keyboard.press("j")
    await see_the_question(page)
    second = page.locator("[data-queue] > li").nth(1)
    await expect(second).to_have_attribute("aria-current", "true")

    # The contact before was skipped: a decision leads to the contact after it, and past the last one to none.
    skipped, after = await first.get_attribute("id"), page.locator("[data-queue] > li").nth(2)
    following = await after.get_attribute("id") if await after.count() else None
    for left in (waiting - 2, waiting - 3):
        await page.keyboard.press("3")
        await settled(page)
        await expect(page.locator("[data-queue] > li")).to_have_count(left)
        await expect(page.locator("[aria-current=true][id]")).to_have_count(int(left == waiting - 2))
        if left == waiting - 2:
            await expect(second).to_have_attribute("id", following or "")
            await expect(second).to_have_attribute("aria-current", "true")
    await expect(first).to_have_attribute("id", skipped or "")
    await page.keyboard.press("3")
    await settled(page)
    await expect(page.locator("[data-queue] > li")).to_have_count(waiting - 3)
    await decide_after_the_session(page, connection, skipped or "")
    await page.context.close()
