"""States of pages besides the one that they open in: errors, messages, the search, and an organization without rows."""

import asyncpg
import pytest
from playwright.async_api import Browser, Page

from tests.browser.test_pages import AXE, SHAPES, Site, put_into, site, what_axe_says  # noqa: F401
from tests.support.factories import create_member, create_tenant

pytestmark = pytest.mark.timeout(300)
# Forms that refuse what is sent empty, by page.
REFUSING = (
    "/o/{organization_id}/campaigns/new",
    "/o/{organization_id}/do-not-call",
    "/o/{organization_id}/members",
    "/o/{organization_id}/rules/new",
    "/o/{organization_id}/screening",
    "/o/{organization_id}/settings",
    "/sign-in",
)
EMPTY = (
    "analytics",
    "audit",
    "callbacks",
    "calls",
    "campaigns",
    "contacts",
    "do-not-call",
    "inbox",
    "jobs",
    "live-calls",
    "numbers",
    "reports",
    "review",
    "screening",
    "search?q=nothing",
)
EMPTY_THE_FORM = """
form => {
  form.noValidate = true;
  const fields = form.querySelectorAll("input:not([type=hidden], [type=checkbox], [type=radio]), textarea");
  for (const field of fields) field.value = "";
  form.requestSubmit();
}
"""


async def faults_of(page: Page, name: str) -> list[str]:
    """Return what axe finds in light colors, and of contrast in dark ones."""
    found = []
    for shape in SHAPES[:2]:
        await put_into(page, shape)
        found += [f"{name} ({shape.name}) {each}" for each in await what_axe_says(page, shape.axe_rules)]
    await put_into(page, SHAPES[0])
    return found


@pytest.mark.skipif(not AXE.exists(), reason="npm ci has not been run")
async def test_refused_forms_messages_and_the_search_are_accessible(
    site: Site,  # noqa: F811
    chromium: Browser,
) -> None:
    context = await chromium.new_context()
    await context.add_init_script(AXE.read_text())
    await site.sign_in(context)
    page = await context.new_page()
    found = []
    for path in REFUSING:
        await page.goto(site.address(path), wait_until="load")
        form = page.locator("main form[method=post]:has(input:not([type=hidden]))").first
        async with page.expect_navigation(wait_until="load"):
            await form.evaluate(EMPTY_THE_FORM)
        assert await page.locator("[aria-invalid=true], [role=alert]").count() > 0, path
        found += await faults_of(page, f"refused-{path.rpartition('/')[2]}")

    await page.goto(site.address("/o/{organization_id}/campaigns/{campaign_id}"), wait_until="load")
    await page.keyboard.press("Control+k")
    await page.locator("dialog.search input").fill("cam")
    await page.locator("dialog.search .hits a").first.wait_for()
    found += await faults_of(page, "search")
    await page.keyboard.press("Escape")
    for summary in (".switcher", ".dropdown-user"):
        await page.locator(f"{summary} > summary").click()
        found += await faults_of(page, f"menu{summary}")
    # A message of each kind that a script shows, with its real markup.
    await page.evaluate(
        """() => {
          const banner = document.getElementById("connection");
          banner.hidden = false;
          banner.textContent = "Connection lost. Last update 9:00:07 AM. Reconnecting…";
        }"""
    )
    found += await faults_of(page, "disconnected")
    async with page.expect_navigation(wait_until="load"):
        await page.locator("#campaign-actions form[action$='/pause'] button").click()
    await page.locator("[data-toast]").wait_for()
    found += await faults_of(page, "toast")
    await context.close()

    assert found == []


@pytest.mark.skipif(not AXE.exists(), reason="npm ci has not been run")
async def test_an_organization_without_rows_is_accessible(
    site: Site,  # noqa: F811
    chromium: Browser,
    connection: asyncpg.Connection,
) -> None:
    organization_id = (await create_tenant(connection, credential="empty", name="Empty")).organization_id
    await create_member(connection, organization_id, "owner", user_id=site.user_id)
    context = await chromium.new_context()
    await context.add_init_script(AXE.read_text())
    await site.sign_in(context)
    page = await context.new_page()
    found = []
    for path in EMPTY:
        answer = await page.goto(f"{site.url}/o/{organization_id}/{path}", wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        assert await page.locator(".empty").count() > 0 or path.startswith("search"), path
        found += [f"empty {path} {each}" for each in await what_axe_says(page)]
    await context.close()

    assert found == []
