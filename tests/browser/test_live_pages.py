"""What only a browser shows: times in its own zone, updates of what has changed, silence, and texts of any length."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, BrowserContext, Page, Request, Route, expect

from outdial.auth.client import SignedIn
from outdial.studio.web.sessions import COOKIE
from tests.browser.test_charts import CLIPPED_TEXT
from tests.browser.test_pages import Site
from tests.support.factories import create_campaign, create_campaign_contact
from tests.support.interception import intercept
from tests.support.postgres import Scratch
from tests.support.sockets import on_a_socket
from tests.support.studio import FakeAuth, serve_studio, unchanged
from tests.support.studio_history import create_history
from tests.support.two_organizations import TwoOrganizations

pytestmark = pytest.mark.timeout(300)
SILENCE_MS = 36_000
# Long enough for two busy processors.
WITHIN_MS = 60_000


@pytest.fixture
def world(two_organizations: TwoOrganizations) -> TwoOrganizations:
    return two_organizations


@pytest.fixture
async def site(database: Scratch, world: TwoOrganizations) -> AsyncIterator[Site]:
    """The studio with live updates, and an owner's organization."""
    organization = {"organization_id": str(world.own.tenant.organization_id)}
    async with serve_studio(database, unchanged) as served, on_a_socket(served.app) as url:
        await served.studio.hub.start()
        yield Site(url, served, world.own.users["owner"], organization)
        await served.studio.hub.stop()


@pytest.fixture
async def new_york(chromium: Browser, site: Site) -> AsyncIterator[BrowserContext]:
    """A signed-in browser in New York on which nothing may go wrong."""
    context = await chromium.new_context(timezone_id="America/New_York", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WITHIN_MS)
    expect.set_options(timeout=WITHIN_MS)
    await site.sign_in(context)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    await context.close()
    assert errors == []


async def open_page(context: BrowserContext, site: Site, path: str) -> Page:
    """Open a page and wait until it has updated itself for the first time."""
    page = await context.new_page()
    async with page.expect_response(lambda response: live_header(response.request) == "1", timeout=WITHIN_MS):
        await page.goto(f"{site.url}/o/{site.rows['organization_id']}/{path}")
    await expect(page.get_by_text("Last update")).to_be_visible()
    return page


async def test_the_first_page_of_a_browser_is_in_its_zone(
    new_york: BrowserContext, site: Site, connection: asyncpg.Connection, world: TwoOrganizations
) -> None:
    hours = '{"every_day": [["09:00", "12:00"]]}'
    campaign = await create_campaign(connection, world.own.tenant, name="Morning", calling_hours=hours)
    await create_campaign_contact(connection, campaign, zone_key="Europe/London")

    page = await open_page(new_york, site, f"campaigns/{campaign.id}")

    await page.locator("summary", has_text="Account").click()
    await expect(page.get_by_text("Times shown in New York time")).to_be_visible()
    sentence = page.locator("[data-reason=zone_opens]").first
    await expect(sentence).to_contain_text(re.compile(r"opens Mar 11(, 2026)? at 5:00 AM \(9:00 AM in London\)"))


async def test_a_click_counts_although_its_row_changes_while_the_button_is_down(
    new_york: BrowserContext, site: Site, connection: asyncpg.Connection, world: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, world.own.tenant, name="Pressed")
    page = await open_page(new_york, site, "campaigns")
    row = page.locator(f"#campaign-{campaign.id}")
    await row.get_by_role("link", name="Pressed").hover()
    await page.mouse.down()
    async with page.expect_response(lambda response: bool(live_header(response.request))) as refreshed:
        await connection.execute(
            "update campaigns set status = 'pausing', paused_reason = 'tea' where id = $1", campaign.id
        )
    await (await refreshed.value).finished()
    await page.wait_for_function("() => new Promise((resolve) => setTimeout(() => resolve(true), 50))")
    await page.mouse.up()
    await expect(page).to_have_url(re.compile(f"/campaigns/{campaign.id}$"))


async def test_only_the_changed_campaign_is_refreshed(
    new_york: BrowserContext, site: Site, connection: asyncpg.Connection, world: TwoOrganizations
) -> None:
    first, second = [await create_campaign(connection, world.own.tenant, name=name) for name in ("First", "Second")]
    rows = await open_page(new_york, site, "campaigns")
    other = await open_page(new_york, site, f"campaigns/{second.id}")
    await expect(rows.locator(f"#campaign-{first.id}")).to_contain_text("Active")
    fetched: list[str] = []
    for page in (rows, other):
        page.on("request", lambda request: fetched.append(live_header(request)))
    await rows.locator(f"#campaign-{second.id}").evaluate("row => { row.dataset.mark = 'kept'; }")

    await connection.execute("update campaigns set status = 'pausing', paused_reason = 'lunch' where id = $1", first.id)
    await expect(rows.locator(f"#campaign-{first.id}")).to_contain_text("Pausing")
    await expect(rows.locator(f"#campaign-{second.id}[data-mark=kept]")).to_be_visible()
    await connection.execute("update campaigns set status = 'pausing', paused_reason = 'tea' where id = $1", second.id)
    await expect(other.locator("#campaign-status")).to_contain_text("Pausing")
    await expect(rows.locator(f"#campaign-{second.id}")).to_contain_text("Pausing")

    assert sorted(filter(None, fetched)) == sorted([str(first.id), str(second.id), "1"])


def live_header(request: Request) -> str:
    return request.headers.get("x-live", "")


async def test_a_page_without_a_sign_of_the_server_says_so(new_york: BrowserContext, site: Site) -> None:
    await new_york.clock.install()
    page = await open_page(new_york, site, "campaigns")
    held: list[Route] = []
    # From now on the server accepts connections and sends nothing.

    async def hold(route: Route) -> None:
        held.append(route)

    await intercept(page, "**/live", hold)
    banner = page.locator("#connection")
    await expect(banner).to_be_hidden()

    await new_york.clock.fast_forward(SILENCE_MS)

    await expect(banner).to_contain_text("The server is not responding. Last update")
    await page.unroute("**/live")
    await new_york.clock.fast_forward(SILENCE_MS)
    await expect(banner).to_be_hidden()


@pytest.mark.parametrize("status", [0, 429, 503])
async def test_numbers_that_cannot_be_fetched_are_not_called_fresh(
    new_york: BrowserContext, site: Site, connection: asyncpg.Connection, world: TwoOrganizations, status: int
) -> None:
    campaign = await create_campaign(connection, world.own.tenant)
    page = await open_page(new_york, site, f"campaigns/{campaign.id}")
    banner = page.locator("#connection")

    async def fail(route: Route) -> None:
        await (route.fulfill(status=status, body="") if status else route.abort())

    await intercept(page, f"**/campaigns/{campaign.id}", fail)
    await connection.execute(
        "update campaigns set status = 'pausing', paused_reason = 'tea' where id = $1", campaign.id
    )
    await expect(banner).to_contain_text("Numbers cannot be updated right now. Last update")
    await page.unroute(f"**/campaigns/{campaign.id}")
    # It asks again without a further change.
    await expect(page.locator("#campaign-status")).to_contain_text("Pausing")
    await expect(banner).to_be_hidden()


async def test_a_requested_check_shows_its_result_without_a_reload(
    new_york: BrowserContext, site: Site, connection: asyncpg.Connection, world: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, world.own.tenant, status="draft", next_batch_at=None)
    page = await open_page(new_york, site, f"campaigns/{campaign.id}/launch-check")
    await page.get_by_role("button", name="Check now").click()
    await expect(page.get_by_text("A dialer runs the check within seconds")).to_be_visible()
    await page.locator("h1").evaluate("heading => { heading.dataset.mark = 'kept'; }")

    await connection.execute(
        "update launch_checks set checked_at = requested_at, findings = $2 where campaign_id = $1",
        campaign.id,
        '[{"code": "key", "level": "ok", "text": "The API key is valid"}]',
    )
    await expect(page.get_by_text("OK: The API key is valid.")).to_be_visible()
    await expect(page.locator("h1[data-mark=kept]")).to_be_visible()
    await expect(page.locator("[data-live-every]")).to_have_count(0)


async def test_the_response_to_a_form_does_not_claim_to_be_live(new_york: BrowserContext, site: Site) -> None:
    page = await open_page(new_york, site, "campaigns")
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    # What a form with an error leaves in place: the page of a POST at a URL that has no GET.
    content = (
        (await page.content()).replace(" data-reloadable", "").replace(' id="last-update"', ' id="last-update" hidden')
    )
    await page.route("**/decision", lambda route: route.fulfill(body=content, content_type="text/html"))
    await page.goto(page.url + "/decision", wait_until="networkidle")
    await expect(page.locator("#last-update")).to_be_hidden()
    assert not any(url.endswith("/live") for url in fetched)


async def test_names_and_numbers_of_any_length_leave_pages_readable(
    chromium: Browser, site: Site, connection: asyncpg.Connection, world: TwoOrganizations, screenshots: Path
) -> None:
    tenant = world.own.tenant
    campaign, call_id = await create_history(connection, tenant)
    analysis = {
        "call_summary": "The customer asked for the papers and will decide next week.",
        "custom_analysis_data": {"reason_" * 2000: "too expensive", "reason_customer_gave_for_not_renewing": "x" * 900},
    }
    await connection.execute(
        "update calls set analysis = $2::text::jsonb, cost_cents = 63579647 where id = $1",
        call_id,
        json.dumps(analysis),
    )
    await connection.execute("update campaigns set name = $2 where id = $1", campaign.id, "Renewals " * 22)

    for width in (1280, 390):
        context = await chromium.new_context(viewport={"width": width, "height": 900})
        await site.sign_in(context)
        for path in (f"calls/{call_id}", f"campaigns/{campaign.id}", "campaigns", "calls", "reports"):
            page = await context.new_page()
            await page.goto(f"{site.url}/o/{tenant.organization_id}/{path}")
            name = f"long-{path.split('/')[0]}-{'one' if '/' in path else 'list'}.{width}.png"
            await page.screenshot(path=screenshots / name, full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            assert await page.evaluate(BROKEN_NUMBERS) == [], path
            assert await page.evaluate(CLIPPED_TEXT) == [], path
            if path.startswith("calls/"):
                # The summary is read in lines, not letter by letter.
                assert await page.evaluate("document.documentElement.scrollHeight") < 6000
                [summary_width] = await page.evaluate(SUMMARY_WIDTHS)
                assert summary_width > 200
            await page.close()
        await context.close()


# Measured in one step, because a change that arrives in between replaces the element.
SUMMARY_WIDTHS = """
[...document.querySelectorAll("dd, .summary")]
  .filter((element) => element.textContent.startsWith("The customer asked for the papers"))
  .map((element) => element.getBoundingClientRect().width)
"""
# Numbers that stand on more than one line.
BROKEN_NUMBERS = """
[...document.querySelectorAll(".num, .stat dd")]
  .filter((element) => element.textContent.trim() && element.getClientRects().length && !element.querySelector("p"))
  .filter((element) => {
    const range = document.createRange();
    // The note below a figure may wrap, the figure may not.
    range.selectNodeContents(element);
    // The note beside or below a figure is smaller, and may wrap.
    const note = element.matches("dd") && element.querySelector(".note, .stat-of");
    if (note) range.setEndBefore(note);
    return new Set([...range.getClientRects()].map((box) => Math.round(box.top / 8))).size > 1;
  })
  .map((element) => element.textContent.trim())
"""


async def test_a_form_sent_without_a_session_is_kept_during_sign_in(
    new_york: BrowserContext, site: Site, connection: asyncpg.Connection
) -> None:
    served, now = site.served, site.served.clock.now()
    assert isinstance(served.studio.auth, FakeAuth)
    served.studio.auth.answer = SignedIn(
        served.token(site.user_id), "refresh", now + timedelta(hours=1), site.user_id, "ada@example.com"
    )
    page = await new_york.new_page()
    await page.goto(f"{site.url}/o/{site.rows['organization_id']}/campaigns/new")
    await page.get_by_label("Name", exact=True).fill("Autumn & renewals")
    await page.get_by_label("Variables for the agent").fill("city = Köln")
    await new_york.clear_cookies(name=COOKIE)

    await page.get_by_role("button", name="Save and continue").click()
    await expect(page.get_by_text("Your entries have been kept")).to_be_visible()
    await page.get_by_label("Email").fill("ada@example.com")
    await page.get_by_label("Password").fill("secret")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("Autumn & renewals")).to_be_visible()
    await page.get_by_role("button", name="Send form").click()

    await expect(page).to_have_url(re.compile("/setup/contacts$"))
    rows = await connection.fetch(
        "select dynamic_variables ->> 'city' as city from campaigns where name like 'Autumn %'"
    )
    assert [row["city"] for row in rows] == ["Köln"]
