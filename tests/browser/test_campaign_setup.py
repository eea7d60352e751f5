"""The setup of a campaign saves as one types, and what the server does not have yet survives."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from outdial.studio.campaign_setup.steps import SetupStep
from outdial.studio.web.sessions import COOKIE
from tests.browser.test_pages import AXE, Site, site, what_axe_says
from tests.support.clicks import press, settled
from tests.support.interception import intercept

__all__ = ["site"]
SAVED = re.compile(r"^Saved \d+:\d\d:\d\d [AP]M$")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def context(site: Site, chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(timezone_id="America/New_York")
    await site.sign_in(context)
    yield context
    await context.close()


async def test_a_new_campaign_is_saved_as_it_is_typed_and_survives_what_ends_a_page(
    site: Site, context: BrowserContext, connection: asyncpg.Connection
) -> None:
    page = await context.new_page()
    new = f"{site.url}/o/{site.rows['organization_id']}/campaigns/new"
    names = "select name from campaigns where name ~ '^Autumn'"
    await page.goto(new)
    await page.get_by_label("Name", exact=True).fill("Autumn")
    await expect(page.locator("[data-saved-note]")).to_have_text(SAVED)
    # The page is that of the draft now: the heading, the URL and the other steps.
    await expect(page.get_by_role("heading", level=1)).to_have_text("Autumn")
    await expect(page).to_have_url(re.compile(r"/setup/who$"))
    await expect(page.get_by_role("link", name="Retries")).to_have_attribute("href", re.compile("/setup/retries$"))

    # The server is away: what is typed survives a reload, and is saved when the server is back.
    await intercept(
        page, "**/setup/who", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    await page.get_by_label("Name", exact=True).fill("Autumn renewals")
    await expect(page.locator("[data-saved-note]")).to_contain_text("cannot be reached")
    await page.reload()
    await expect(page.get_by_label("Name", exact=True)).to_have_value("Autumn renewals")
    await page.unroute("**/setup/who")
    await expect(page.locator("[data-saved-note]")).to_have_text(SAVED)
    assert [row["name"] for row in await connection.fetch(names)] == ["Autumn renewals"]

    # What is wrong is said beside the field, and is kept.
    await page.get_by_label("Variables for the agent").fill("offer")
    await expect(page.locator("[data-autosave-error]")).to_contain_text("name = value")
    await page.goto(new)
    await page.go_back()
    await expect(page.get_by_label("Variables for the agent")).to_have_value("offer")

    # A page that came with errors loses them with the save that cures them.
    await page.get_by_role("button", name="Save and continue").click()
    await expect(page.locator(".notice-bad")).to_contain_text("name = value")
    await page.get_by_label("Variables for the agent").fill("offer = autumn")
    await expect(page.locator("[data-saved-note]")).to_have_text(SAVED)
    await expect(page.locator(".notice-bad, .wrong:visible, [aria-invalid]")).to_have_count(0)
    await page.goto(page.url)

    # The session ends: the same after the next sign-in.
    await context.clear_cookies(name=COOKIE)
    await page.get_by_label("Variables for the agent").fill("offer = spring")
    await expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    await site.sign_in(context)
    await page.reload()
    await expect(page.locator("[data-saved-note]")).to_have_text(SAVED)
    await page.get_by_role("button", name="Save and continue").click()
    await expect(page).to_have_url(re.compile(r"/setup/contacts$"))
    assert await page.evaluate("Object.keys(sessionStorage)") == []
    rows = await connection.fetch(
        "select name, dynamic_variables ->> 'offer' as offer from campaigns where name ~ '^Autumn'"
    )
    assert [tuple(row) for row in rows] == [("Autumn renewals", "spring")]


async def test_a_preset_fills_in_the_details_and_zones_are_found_by_typing(
    site: Site, context: BrowserContext, connection: asyncpg.Connection
) -> None:
    page = await context.new_page()
    base = site.address("/o/{organization_id}/campaigns/{draft}/setup")
    await page.goto(f"{base}/retries")
    await page.get_by_role("radio", name="Persistent").check()
    await page.get_by_text("Details", exact=True).click()
    await expect(page.get_by_label("Attempts per contact")).to_have_value("6")
    await page.get_by_label("Attempts per contact").fill("5")
    await page.get_by_label("Attempts per contact").press("Tab")
    await expect(page.get_by_role("radio", name="Custom")).to_be_checked()
    await expect(page.locator("[data-saved-note]")).to_have_text(SAVED)

    await page.goto(f"{base}/when")
    await page.locator("[name=scheduled_local]").fill("2099-12-24T09:00")
    zone = page.get_by_role("combobox", name="Time zone")
    await zone.click()
    await zone.fill("kolk")
    await expect(page.locator("#field-zone-options [role=option]")).to_have_count(1)
    if AXE.exists():
        await page.evaluate(AXE.read_text())
        assert await what_axe_says(page) == []
    await zone.press("Enter")
    await expect(zone).to_have_value("Kolkata")
    await page.get_by_role("button", name="Save and continue").click()
    await expect(page).to_have_url(re.compile("/setup/retries$"))
    query = "select max_attempts, scheduled_at from campaigns where id = $1"
    row = await connection.fetchrow(query, UUID(site.rows["draft"]))
    assert row is not None
    assert (row["max_attempts"], row["scheduled_at"].isoformat()) == (5, "2099-12-24T03:30:00+00:00")


async def test_every_step_is_accessible_and_works_without_a_script(site: Site, chromium: Browser) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    await site.sign_in(context)
    page = await context.new_page()
    await page.goto(site.address("/o/{organization_id}/campaigns/{draft}/setup/who"))
    for step in list(SetupStep)[:-1]:
        await expect(page).to_have_url(re.compile(f"/setup/{step}($|[?])"))
        await page.get_by_role("button", name="Save and continue").click()
    await expect(page.get_by_role("button", name="Start now")).to_be_visible()
    await context.close()
    if not AXE.exists():
        pytest.skip("npm ci has not been run: axe was not asked")
    context = await chromium.new_context()
    await site.sign_in(context)
    page = await context.new_page()
    for step in SetupStep:
        await page.goto(site.address("/o/{organization_id}/campaigns/{draft}/setup/") + step)
        await page.wait_for_load_state("networkidle")
        await page.evaluate(AXE.read_text())
        assert await what_axe_says(page) == [], step
    await context.close()


async def choose_holidays(page: Page, days: list[str]) -> None:
    """Choose days and one more, which is removed: a chosen day is words with a button once the focus has left it."""
    dates = page.locator("[name=excluded_dates]")
    for index, day in enumerate([*days, "2099-12-30"]):
        await dates.nth(index).fill(day)
        await dates.nth(index).dispatch_event("change")
    await dates.nth(len(days)).blur()
    await page.get_by_role("button", name="Remove Wed, Dec 30, 2099").click()
    await expect(dates.nth(len(days))).to_be_focused()
    await expect(page.get_by_role("button", name="Remove Sun, Dec 20, 2099")).to_be_visible()


async def test_kept_typing_holds_the_start_and_does_not_replace_what_someone_else_saved(
    site: Site, context: BrowserContext, connection: asyncpg.Connection
) -> None:
    draft = UUID(site.rows["draft"])
    base = site.address("/o/{organization_id}/campaigns/{draft}/setup")
    page = await context.new_page()
    note = page.locator("[data-saved-note]")
    await page.goto(f"{base}/when")
    # The server is away, and five holidays are typed where the page offers three.
    await intercept(
        page, "**/setup/when", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    days = [f"2099-12-2{day}" for day in range(5)]
    dates = page.locator("[name=excluded_dates]")
    await choose_holidays(page, days)
    await expect(note).to_contain_text("cannot be reached")
    await page.goto(f"{base}/review")
    await expect(page.get_by_text("When has changes that are not saved.")).to_be_visible()
    await expect(page.locator('form[action$="/start"] button')).to_be_disabled()

    # Nor is it started elsewhere.
    await page.goto(base.removesuffix("/setup"))
    await page.get_by_role("button", name="Start", exact=True).first.click()
    alert = page.get_by_role("alert").filter(has_text="Not started")
    await expect(alert.get_by_role("link", name="When")).to_have_attribute("href", re.compile("/setup/when$"))
    assert await connection.fetchval("select status from campaigns where id = $1", draft) == "draft"
    await page.goto(f"{base}/review")

    await connection.execute("update campaigns set purpose = 'survey' where id = $1", draft)
    await page.unroute("**/setup/when")
    await page.get_by_role("main").get_by_role("link", name="When", exact=True).last.click()
    await expect(note).to_contain_text("Someone else has changed this step")
    assert await dates.evaluate_all("all => all.map((one) => one.value).filter(Boolean)") == days
    await press(page.get_by_role("button", name="Save and continue"))
    # The form is shown again with a warning, and waits for the button, even when more is typed or it is reloaded.
    await expect(page.get_by_text("saving replaces theirs")).to_be_visible()
    await settled(page)
    assert await saved_after_a_change(page) == []
    assert await connection.fetchval("select purpose from campaigns where id = $1", draft) == "survey"
    await press(page.get_by_role("button", name="Save and continue"))
    await expect(page).to_have_url(re.compile("/setup/retries$"))
    hours = await connection.fetchval("select calling_hours ->> 'excluded_dates' from campaigns where id = $1", draft)
    assert [day for day in days if day in hours] == days

    # What the tab has kept of a campaign that someone has scheduled since holds no start: its setup is closed.
    await page.evaluate("kept => sessionStorage.setItem(kept, '[]')", f"outdial:setup:{urlsplit(base).path}/when")
    await connection.execute(
        "update campaigns set status = 'scheduled', scheduled_at = '2099-12-24' where id = $1", draft
    )
    await page.goto(base.removesuffix("/setup"))
    await page.get_by_role("button", name="Start now", exact=True).first.click()
    await expect(page.locator("#campaign-status")).to_contain_text("Active")


async def saved_after_a_change(page: Page) -> list[str]:
    """Change a field, let every timer of the page go off, and return where the page has saved meanwhile."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "x-autosave" in request.headers else None)
    await page.clock.install()
    await page.locator("[name=purpose]").first.dispatch_event("change")
    await page.clock.run_for(5_000)
    await page.clock.resume()
    return sent


async def keys_of(connection: asyncpg.Connection) -> set[str]:
    """Return the keys of requests. All are of one moment, that of the studio's clock."""
    return {row["key"] for row in await connection.fetch("select key from idempotency_keys")}


async def test_a_kept_key_of_a_deleted_draft_makes_another_draft(
    site: Site, context: BrowserContext, connection: asyncpg.Connection
) -> None:
    page = await context.new_page()
    new = f"{site.url}/o/{site.rows['organization_id']}/campaigns/new"
    before = await keys_of(connection)
    await page.goto(new)
    path = new.removeprefix(site.url)
    await page.get_by_label("Name", exact=True).fill("Winter")
    await expect(page.locator("[data-saved-note]")).to_have_text(SAVED)
    # As if the response had been lost: the tab has kept the form with its key, and the draft has been deleted since.
    [key] = await keys_of(connection) - before
    await connection.execute("delete from campaigns where name = 'Winter'")
    await page.evaluate(
        "([path, key]) => sessionStorage.setItem(`outdial:setup:${path}`, JSON.stringify([['key', key],"
        " ['name', 'Winter 2'], ['retell_agent_id', document.querySelector('[name=retell_agent_id]').value],"
        " ['from_number', document.querySelector('[name=from_number]').value]]))",
        [path, key],
    )
    await page.goto(new)
    await expect(page).to_have_url(re.compile(r"/setup/who$"))
    assert await connection.fetchval("select count(*) from campaigns where name = 'Winter 2'") == 1


async def test_an_agent_is_chosen_however_it_is_typed(
    site: Site, context: BrowserContext, connection: asyncpg.Connection
) -> None:
    names = ["Presales", "Sales", "Sales night", "Support", "Billing", "Renewals", "Survey", "Night"]
    await connection.execute("delete from agents")
    await connection.execute(
        "insert into agents (organization_id, provider_account_id, agent_id, name, seen_at)"
        " select c.organization_id, c.provider_account_id, 'agent_' || n.place, n.name, now()"
        " from campaigns c, unnest($2::text[]) with ordinality as n (name, place) where c.id = $1",
        UUID(site.rows["draft"]),
        names,
    )
    page = await context.new_page()
    await page.goto(site.address("/o/{organization_id}/campaigns/{draft}/setup/who"))
    agent, chosen = page.get_by_role("combobox", name="Agent"), page.locator("select[name=retell_agent_id]")
    note = page.locator(".field", has=agent).get_by_role("status")

    async def type_and(text: str, leave: str) -> str:
        await agent.fill(text)
        await (page.get_by_label("Name", exact=True).click() if leave == "click" else agent.press(leave))
        return await chosen.input_value()

    # "Presales" contains it too, and is listed before.
    assert await type_and("sales", "Tab") == "agent_2"
    await expect(agent).to_have_value("Sales")
    assert await type_and("SUPPORT", "click") == "agent_4"
    assert await type_and("sürv", "Tab") == "agent_7"
    assert await type_and("bill", "click") == "agent_5"
    assert await type_and("agent_6", "click") == "agent_6", "a pasted id"
    assert await type_and("sales", "Enter") == "agent_2"
    assert await type_and("night", "Escape") == "agent_2"
    await expect(agent).to_have_value("Sales")
    # What names no option alone is not chosen, and the page says so.
    assert await type_and("ight", "click") == "agent_2"
    await expect(note).to_have_text("Several agents match “ight”. “Sales” stays selected.")
    assert await type_and("nothing", "Tab") == "agent_2"
    await expect(note).to_have_text("No agents match “nothing”. “Sales” stays selected.")
    await agent.click()
    await expect(note).to_be_visible()
    # An earlier save may have left the same note.
    async with page.expect_response(lambda saved: "retell_agent_id=agent_6" in (saved.request.post_data or "")):
        await page.get_by_role("option", name="Renewals").click()
    assert await chosen.input_value() == "agent_6"
    await expect(note).to_be_hidden()
    await expect(page.locator("[data-saved-note]")).to_have_text(SAVED)
    stored = await connection.fetchval("select retell_agent_id from campaigns where id = $1", UUID(site.rows["draft"]))
    assert stored == "agent_6"
