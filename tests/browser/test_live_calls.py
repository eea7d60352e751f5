"""The live page: times count up, a call is hung up from its row, and one that ends slides below the others."""

import re
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.test_live_pages import new_york, open_page, site, world
from tests.browser.test_pages import Site, faults_in_shapes
from tests.studio.test_live_calls import create_busy_line, hear
from tests.support.clicks import CountedTask
from tests.support.factories import NOW, create_campaign
from tests.support.two_organizations import TwoOrganizations

pytestmark = pytest.mark.timeout(300)
__all__ = ["new_york", "site", "world"]


@pytest.mark.tasks
async def test_a_call_is_hung_up_from_its_row_in_two_clicks_and_slides_below_when_it_ends(
    new_york: BrowserContext,
    site: Site,
    connection: asyncpg.Connection,
    world: TwoOrganizations,
    screenshots: Path,
) -> None:
    await connection.execute("delete from calls where organization_id = $1", world.own.tenant.organization_id)
    campaign = await create_campaign(connection, world.own.tenant, name="Spring")
    line = await create_busy_line(connection, campaign)
    page = await open_page(new_york, site, "campaigns")
    task = CountedTask("Watch the live calls of a campaign, and hang up one")
    await task.click(page.locator(f"#campaign-{campaign.id}").get_by_role("link").first)
    await task.click(page.get_by_role("navigation", name="Pages of this campaign").get_by_role("link", name="Live"))
    talking, ringing = page.locator(f"#call-{line['talking']}"), page.locator(f"#call-{line['ringing']}")
    await expect(talking).to_contain_text("Maria")
    await expect(talking).to_contain_text("Talking")
    # The server's clock stands still in this test; the page counts on.
    await expect(talking.locator("time")).to_have_text(re.compile("0:(4[4-9]|5.)|[1-9]:"))
    await talking.get_by_role("link", name="Follow Ada Hopper").click()
    spoken = page.locator(f"#spoken-{line['talking']}")
    await expect(spoken).to_contain_text("add transcript_updated")
    await expect(page.get_by_text("Last update")).to_be_visible()
    await hear(connection, campaign, line["talking"], "Agent: Do you have a minute?")
    await expect(spoken.get_by_role("listitem")).to_have_text("Agent Do you have a minute?")
    assert await faults_in_shapes(page, screenshots, "live-calls") == []

    await task.click(talking.get_by_role("link", name="Hang up"))
    dialog = page.get_by_role("dialog", name="Hang up on Ada Hopper?")
    await expect(dialog).to_be_visible()
    assert await faults_in_shapes(page, screenshots, "live-calls-hang-up") == []
    await dialog.get_by_label("Reason").fill("wrong person")
    with task:
        await task.click(dialog.get_by_role("button", name="Hang up"))
        await expect(page).to_have_url(re.compile(r"/live-calls\?follow="))
        await expect(page.locator("[data-toast]")).to_have_text("Hanging up.")
    await expect(talking).to_contain_text("Hanging up")
    await expect(page.get_by_text("Last update")).to_be_visible()
    due = await connection.fetchval("select hang_up_due_at from calls where id = $1", line["talking"])
    assert due is not None

    for row in (talking, ringing, spoken):
        await row.evaluate("row => { row.dataset.mark = 'kept'; }")
    # The transcript is still open, and goes on in its row.
    await hear(connection, campaign, line["talking"], "Agent: Do you have a minute?\nUser: Wrong person.")
    await expect(spoken.get_by_role("listitem").last).to_have_text("Contact Wrong person.")
    await expect(page.locator("tr[data-mark=kept]")).to_have_count(3)
    await connection.execute(
        "update calls set status = 'ended', outcome = 'stopped', ended_at = $2, duration_ms = 42000 where id = $1",
        line["talking"],
        NOW - timedelta(seconds=1),
    )
    await expect_to_have_ended(page, "Ada Hopper")
    # The same rows: they have moved, they were not drawn anew.
    await expect(page.locator("tr[data-mark=kept]")).to_have_count(2)
    await expect(spoken).to_have_count(0)
    await expect(page.locator("#live-lines")).to_contain_text("2 of 20 lines")


async def expect_to_have_ended(page: Page, name: str) -> None:
    ended = page.locator("#just-ended ~ tr")
    await expect(ended).to_have_count(2)
    await expect(ended.first).to_contain_text(name)
    await expect(ended.first).to_contain_text("Stopped")
    await expect(ended.first).to_contain_text("0:42")
    await expect(ended.first.get_by_role("link", name="Transcript")).to_be_visible()


async def test_an_empty_line_says_when_the_next_call_is(
    new_york: BrowserContext,
    site: Site,
    connection: asyncpg.Connection,
    world: TwoOrganizations,
    screenshots: Path,
) -> None:
    await connection.execute("delete from calls where organization_id = $1", world.own.tenant.organization_id)
    campaign = await create_campaign(
        connection, world.own.tenant, status="scheduled", scheduled_at=NOW + timedelta(hours=2), next_batch_at=None
    )
    page = await open_page(new_york, site, f"campaigns/{campaign.id}/live-calls")
    await expect(page.locator("#live-empty")).to_contain_text("No one on the line")
    await expect(page.locator("#live-empty")).to_contain_text("Next call Mar ")
    assert await faults_in_shapes(page, screenshots, "live-calls-empty") == []
