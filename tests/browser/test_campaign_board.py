"""The list of campaigns in a browser: search while typing, row menus, undo, live rows, and how it looks."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.test_pages import COUNT_SHIFTS, SERVER_TIME, Site, faults_in_shapes, look_at
from tests.support.clicks import CountedTask, press
from tests.support.factories import NOW, create_calling, create_campaign, create_campaign_contact
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
    """The studio with 53 campaigns, of which some need attention."""
    await fill(connection, two_organizations)
    rows = {"organization_id": str(two_organizations.own.tenant.organization_id)}
    async with serve_studio(database, unchanged) as served, on_a_socket(served.app) as url:
        await served.studio.hub.start()
        yield Site(url, served, two_organizations.own.users["owner"], rows)
        served.studio.hub.end_streams()
        await served.studio.hub.stop()


async def fill(connection: asyncpg.Connection, world: TwoOrganizations) -> None:
    """Campaigns in every section, more than a section shows."""
    await connection.execute("delete from campaigns")
    tenant = world.own.tenant
    kinds: list[tuple[str, dict[str, object], int]] = [
        ("Renewal reminders, west coast", {"status": "active"}, 7),
        ("Spring check-up calls for customers of the northern branch", {"status": "active", "budget_cents": 1}, 2),
        ("Webinar follow-up", {"status": "paused", "paused_reason": "paused manually"}, 2),
        (
            "Invoice questions",
            {
                "status": "paused",
                "paused_automatically": True,
                "paused_reason": "Retell refused the account: the API key is not valid",
            },
            2,
        ),
        ("Holiday survey", {"status": "scheduled", "scheduled_at": NOW + timedelta(hours=5)}, 4),
        ("Untitled draft", {"status": "draft"}, 12),
        ("October collection", {"status": "completed", "finished_at": NOW - timedelta(days=3)}, 24),
    ]
    number = 0
    for name, columns, count in kinds:
        for each in range(count):
            number += 1
            campaign = await create_campaign(
                connection,
                tenant,
                **({"name": f"{name} {each + 1}", "created_at": NOW - timedelta(hours=number)} | columns),
            )
            if columns["status"] in ("active", "paused"):
                for outcome in ("answered", "voicemail", "no_answer")[: 1 + each % 3]:
                    await create_calling(
                        connection,
                        campaign,
                        status="ended",
                        outcome=outcome,
                        cost_cents=37,
                        created_at=NOW - timedelta(minutes=each),
                    )
                await connection.execute(
                    "update campaign_contacts set status = 'completed' where campaign_id = $1", campaign.id
                )
                await create_campaign_contact(connection, campaign)
            if columns["status"] == "active" and each % 2:
                await create_calling(connection, campaign, status="ongoing", created_at=NOW)


@pytest.fixture
async def signed_in(chromium: Browser, site: Site) -> AsyncIterator[BrowserContext]:
    """A signed-in browser on which nothing may go wrong."""
    context = await chromium.new_context(timezone_id="America/New_York", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(WITHIN_MS)
    expect.set_options(timeout=WITHIN_MS)
    await site.sign_in(context)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    await context.close()
    assert errors == []


def board_of(site: Site) -> str:
    return f"{site.url}/o/{site.rows['organization_id']}/campaigns"


async def open_board(context: BrowserContext, site: Site, query: str = "") -> Page:
    """Open the list and wait until it follows changes."""
    page = await context.new_page()
    async with page.expect_response(lambda response: response.request.headers.get("x-live") == "1"):
        await page.goto(f"{board_of(site)}{query}")
    return page


async def test_the_list_looks_right_in_every_shape(signed_in: BrowserContext, site: Site, screenshots: Path) -> None:
    page = await open_board(signed_in, site)
    other = await signed_in.new_page()
    await other.add_init_script(COUNT_SHIFTS)
    await other.add_init_script(SERVER_TIME)
    assert await look_at(other, board_of(site)) == []
    rows = await page.locator("tbody tr[id^=campaign-]").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert set(rows) <= {44, 45}
    # The button of the page is the loudest: the stop is red under the pointer, or once the keyboard is at it.
    stop = page.get_by_role("link", name="Stop everything")
    quiet = await stop.evaluate("link => getComputedStyle(link).color")
    await stop.hover()
    await expect(stop).not_to_have_css("color", quiet)
    await page.mouse.move(0, 0)
    await page.screenshot(path=screenshots / "board-1440.png", full_page=True)
    # The longest shares fit beside the next column.
    await page.set_viewport_size({"width": 1280, "height": 900})
    cells = page.locator("td.board-progress:has(.reached)")
    await cells.locator(".num").evaluate_all("all => all.forEach(each => each.textContent = '100%')")
    await cells.locator(".reached").evaluate_all("all => all.forEach(each => each.textContent = '100% answered')")
    assert set(await cells.evaluate_all("all => all.map(each => each.scrollWidth - each.clientWidth)")) == {0}
    # Between a phone and a desk, the columns that matter less make room.
    await page.set_viewport_size({"width": 920, "height": 900})
    name = page.get_by_role("link", name="Invoice questions 1")
    assert await name.evaluate("link => link.offsetWidth") > 100
    await page.screenshot(path=screenshots / "board-920.png")


async def test_the_search_follows_what_is_typed_and_keeps_the_address(
    signed_in: BrowserContext, site: Site, connection: asyncpg.Connection
) -> None:
    page = await open_board(signed_in, site)
    rows = page.locator("tbody tr[id^=campaign-]")

    await page.get_by_role("searchbox", name="Search campaigns").press_sequentially("survey 2")

    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"\?name=survey(\+|%20)2$"))
    await expect(page.get_by_role("searchbox", name="Search campaigns")).to_be_focused()
    await page.reload()
    await expect(rows).to_have_count(1)
    # The whole row leads to the campaign, once it was clicked.
    await rows.first.locator("td").nth(2).click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Holiday survey 2")

    # A view that only searches is left when its search is cleared.
    view_id = await connection.fetchval(
        "insert into saved_views (id, organization_id, user_id, list, name, filters, created_at, updated_at)"
        " values (gen_random_uuid(), $1, $2, 'campaigns', 'Second', '{\"name\": \"survey 2\"}', $3, $3) returning id",
        UUID(site.rows["organization_id"]),
        site.user_id,
        NOW,
    )
    viewed = await open_board(signed_in, site, f"?view={view_id}")
    await expect(viewed.locator("tbody tr[id^=campaign-]")).to_have_count(1)
    await viewed.get_by_role("searchbox", name="Search campaigns").fill("")
    await expect(viewed).to_have_url(re.compile(r"/campaigns$"))
    await expect(viewed.locator("tbody tr[id^=campaign-]")).not_to_have_count(1)


@pytest.mark.tasks
async def test_a_draft_is_archived_and_taken_back_with_three_clicks_and_deleted_after_a_question(
    signed_in: BrowserContext, site: Site, connection: asyncpg.Connection
) -> None:
    page = await open_board(signed_in, site)
    draft = page.locator("tr", has_text="Untitled draft 3")

    with CountedTask("Archive a draft") as task:
        await task.click(draft.get_by_label("Actions for Untitled draft 3"))
        await task.click(draft.get_by_role("button", name="Archive"))
        await expect(page.get_by_text("Campaign archived.")).to_be_visible()
    await expect(draft).to_have_count(0)
    await press(page.get_by_role("button", name="Undo"))
    await expect(draft).to_have_count(1)

    with CountedTask("Delete a draft") as task:
        await task.click(draft.get_by_label("Actions for Untitled draft 3"))
        await task.click(draft.get_by_role("link", name="Delete draft…"))
        await expect(page.get_by_role("dialog")).to_contain_text("This deletes Untitled draft 3 and its contact list")
        await task.click(page.get_by_role("dialog").get_by_role("button", name="Delete"))
        await expect(page.get_by_text("1 draft deleted.")).to_be_visible()
    assert await connection.fetchval("select count(*) from campaigns where name = 'Untitled draft 3'") == 0


@pytest.mark.tasks
async def test_three_campaigns_are_paused_at_once_and_go_on_with_one_press(
    signed_in: BrowserContext, site: Site, connection: asyncpg.Connection, screenshots: Path
) -> None:
    page = await open_board(signed_in, site)
    running = page.locator("tbody", has=page.locator(".group", has_text="Running"))
    boxes, bar = running.locator("[name=chosen]"), page.get_by_role("form", name="Selected campaigns")
    await expect(bar).to_be_hidden()
    before = await connection.fetchval("select count(*) from campaigns where status = 'active'")

    with CountedTask("Pause three campaigns at once") as task:
        for place in range(3):
            await task.click(boxes.nth(place))
        await expect(bar.get_by_role("status")).to_have_text("3 campaigns selected")
        # Enter in a box presses no action: it would pause them, and the bar would be gone.
        await boxes.nth(2).press("Enter")
        faults = await faults_in_shapes(page, screenshots, "board-selection", full_page=False)
        await task.click(bar.get_by_role("button", name="Pause"))
        await expect(page.locator(".toast")).to_contain_text("3 campaigns paused")
    assert await connection.fetchval("select count(*) from campaigns where status = 'active'") == before - 3
    await press(page.locator(".toast").get_by_role("button", name="Undo"))
    await expect(page.locator(".toast")).to_contain_text("Undone for 3 campaigns.")
    assert await connection.fetchval("select count(*) from campaigns where status = 'active'") == before

    # What cannot be undone asks first, in a dialog.
    await press(page.locator("tr", has_text="Untitled draft 1").locator("[name=chosen]"))
    await bar.get_by_role("button", name="Delete drafts…").click()
    dialog = page.get_by_role("dialog", name="Delete 1 draft?")
    await expect(dialog).to_contain_text("This cannot be undone.")
    await dialog.get_by_role("button", name="Delete 1 draft").click()
    await expect(page.locator(".toast")).to_contain_text("1 draft deleted.")
    assert faults == []
