"""What a campaign manager does every day, each task from the list of campaigns, with its clicks counted."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from outdial.studio.view.phones import phone_text
from tests.browser.test_pages import Site, faults_in_shapes
from tests.support.clicks import CountedTask, documented_clicks, settled
from tests.support.factories import NOW, Campaign, create_campaign, create_campaign_contact, create_contact
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.sockets import on_a_socket
from tests.support.studio import serve_studio, unchanged
from tests.support.studio_history import create_history
from tests.support.two_organizations import TwoOrganizations

pytestmark = [pytest.mark.timeout(300), pytest.mark.tasks]

WITHIN_MS = 60_000
HERE = Path(__file__).parent
CLOSED = '{"every_day": [["00:00", "00:30"]]}'
ADA, PHONE, OWN_PHONE = "Ada Hopper", "+12125550188", "+14155550142"


@pytest.fixture
async def site(database: Scratch, two_organizations: TwoOrganizations) -> AsyncIterator[Site]:
    """The studio with live updates."""
    organization = {"organization_id": str(two_organizations.own.tenant.organization_id)}
    async with serve_studio(database, unchanged) as served, on_a_socket(served.app) as url:
        await served.studio.hub.start()
        yield Site(url, served, two_organizations.own.users["owner"], organization)
        served.studio.hub.end_streams()
        await served.studio.hub.stop()


@pytest.fixture
async def page(site: Site, chromium: Browser) -> AsyncIterator[Page]:
    """The page of a signed-in owner, on which nothing may go wrong."""
    context = await chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WITHIN_MS)
    expect.set_options(timeout=WITHIN_MS)
    await site.sign_in(context)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield await context.new_page()
    await context.close()
    assert errors == []


@pytest.fixture
async def campaign(connection: asyncpg.Connection, two_organizations: TwoOrganizations) -> Campaign:
    """A running campaign, in which Ada has asked for a callback and someone is in review; without other campaigns."""
    tenant = two_organizations.own.tenant
    await connection.execute("delete from campaigns where organization_id = $1", tenant.organization_id)
    campaign, _ = await create_history(connection, tenant)
    ada = await create_contact(connection, tenant.organization_id, name=ADA, phone=PHONE)
    asked = {"callback_at": NOW + timedelta(hours=3), "next_attempt_at": NOW + timedelta(hours=3)}
    await create_campaign_contact(connection, campaign, ada, last_outcome="answered", attempts=1, call_count=1, **asked)
    await create_campaign_contact(connection, campaign, status="review", status_reason="the result is unknown")
    for name in ("Autumn", "Winter"):
        draft = await create_campaign(connection, tenant, name=name, status="draft", next_batch_at=None)
        await create_campaign_contact(connection, draft, ada)
    early = await create_campaign(connection, tenant, name="Early birds", calling_hours=CLOSED)
    await create_campaign_contact(connection, early, ada)
    return campaign


async def at_campaigns(page: Page, site: Site) -> Locator:
    """Open the list of campaigns, where each task begins, and return its menu of pages."""
    await page.goto(site.url + f"/o/{site.rows['organization_id']}/campaigns")
    return page.get_by_role("navigation", name="Studio")


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def link(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("link", name=name, exact=True)


def status(page: Page) -> Locator:
    return page.locator("#campaign-status")


def flash(page: Page, text: str) -> Locator:
    return page.get_by_role("status").filter(has_text=text)


async def test_a_campaign_is_checked_started_steered_and_stopped(page: Page, site: Site, campaign: Campaign) -> None:
    await check_a_draft(page, site)
    await start_drafts(page, site)
    await pause_and_resume(page, site, campaign)
    await cure_a_wait(page, site)
    await stop_everything(page, site)


async def check_a_draft(page: Page, site: Site) -> None:
    await at_campaigns(page, site)
    with CountedTask("Run the launch check of a draft") as task:
        await task.click(link(page, "Autumn"))
        await task.click(link(page, "Check and forecast this campaign before it starts"))
        await task.click(button(page, "Check now"))
        await expect(page.get_by_text("A dialer runs the check within seconds")).to_be_visible()
    await at_campaigns(page, site)
    with CountedTask("Have the agent call my phone first") as task:
        await task.click(link(page, "Autumn"))
        await page.get_by_label("Phone", exact=True).fill(OWN_PHONE)
        await task.click(page.get_by_label("This is my own phone"))
        await task.click(button(page, "Call my phone"))
        await expect(page.locator("#test-call-list")).to_contain_text(phone_text(OWN_PHONE))


async def start_drafts(page: Page, site: Site) -> None:
    await at_campaigns(page, site)
    with CountedTask("Start a draft") as task:
        await task.click(link(page, "Autumn"))
        await task.click(button(page.locator("#campaign-actions"), "Start"))
        await expect(status(page)).to_contain_text("Active")
    await at_campaigns(page, site)
    with CountedTask("Schedule the start of a draft") as task:
        await task.click(link(page, "Winter"))
        await task.click(link(page, "Schedule"))
        await page.locator("[name=scheduled_local]").fill("2099-12-24T09:00")
        await task.click(button(page, "Save and continue"))
        # A press on a link while the form is on its way would end the request.
        await expect(page).to_have_url(re.compile("/setup/retries$"))
        await task.click(page.get_by_role("navigation", name="Steps").get_by_role("link", name="Review"))
        await task.click(button(page, "Schedule"))
        await expect(status(page)).to_contain_text("Scheduled")


async def pause_and_resume(page: Page, site: Site, campaign: Campaign) -> None:
    row = page.locator(f"#campaign-{campaign.id}")
    await at_campaigns(page, site)
    with CountedTask("Pause a campaign") as task:
        await task.click(row.get_by_label(re.compile("^Actions for")))
        await task.click(button(row, "Pause"))
        await expect(row).to_contain_text("Paus")
    with CountedTask("Resume a campaign") as task:
        await task.click(row.get_by_label(re.compile("^Actions for")))
        await task.click(button(row, "Resume"))
        await expect(row).to_contain_text("Active")
    with CountedTask("Change the hours of a running campaign") as task:
        await task.click(row.get_by_role("link").first)
        await task.click(link(page, "Edit hours"))
        await task.click(button(page, "Around the clock"))
        await task.click(button(page, "Save"))
        await expect(flash(page, "saved")).to_be_visible()


async def cure_a_wait(page: Page, site: Site) -> None:
    await at_campaigns(page, site)
    with CountedTask("See why a campaign does not call, and open its hours") as task:
        await task.click(link(page, "Early birds"))
        await expect(page.locator("[data-reason=zone_opens]").first).to_be_visible()
        await task.click(link(page, "Change hours"))
        await task.click(button(page, "Around the clock"))
        await task.click(button(page, "Save"))
        await expect(flash(page, "saved")).to_be_visible()
        await expect(page.locator("[data-reason=zone_opens]")).to_have_count(0)


async def stop_everything(page: Page, site: Site) -> None:
    await at_campaigns(page, site)
    with CountedTask("Stop all calls") as task:
        await task.click(link(page, "Stop everything"))
        await task.click(button(page, "Stop everything"))
        await expect(page.get_by_text("All calls of Acme are stopped.")).to_be_visible()
    await at_campaigns(page, site)
    with CountedTask("Let calls go on") as task:
        await task.click(link(page, "Details"))
        await task.click(button(page, "Resume all calls"))
        await expect(page.get_by_role("heading", name="Calls are allowed")).to_be_visible()


async def test_people_are_found_decided_about_and_exported(
    page: Page, site: Site, campaign: Campaign, database: Scratch, screenshots: Path
) -> None:
    await decide_about_contacts(page, site)
    await open_a_view(page, site, screenshots)
    await find_and_block(page, site)
    await export_results(page, site, campaign, database)
    await duplicate(page, site, campaign)


async def decide_about_contacts(page: Page, site: Site) -> None:
    menu = await at_campaigns(page, site)
    with CountedTask("Decide about a contact in review") as task:
        await task.click(menu.get_by_role("link", name="Review"))
        await task.click(page.get_by_role("button", name="Completed").first)
        await expect(flash(page, "Completed.")).to_be_visible()
    menu = await at_campaigns(page, site)
    with CountedTask("Move a callback") as task:
        await task.click(link(menu, "Callbacks"))
        beside = page.locator("#entry", has_text=phone_text(PHONE))
        await task.click(beside.get_by_role("button", name="Tomorrow afternoon"))
        await expect(flash(page, "callback ")).to_be_visible()


async def open_a_view(page: Page, site: Site, screenshots: Path) -> None:
    await page.goto(site.url + f"/o/{site.rows['organization_id']}/calls?outcome=no_answer&when=last_7_days")
    await page.locator("summary", has_text="Save view").click()
    await page.get_by_label("Name").fill("Not reached this week")
    await page.screenshot(path=screenshots / "saved-views.light.png")
    await button(page, "Save view").click()
    await expect(flash(page, "View Not reached this week saved.")).to_be_visible()
    assert await faults_in_shapes(page, screenshots, "saved-views-open", full_page=False) == []
    menu = await at_campaigns(page, site)
    with CountedTask("Open a saved view") as task:
        await task.click(link(menu, "Calls"))
        await task.click(link(page, "Not reached this week"))
        await expect(page.get_by_label("Outcome")).to_have_value("no_answer")
    await expect(link(page, "Last 7 days")).to_have_attribute("aria-current", "true")


async def find_and_block(page: Page, site: Site) -> None:
    await at_campaigns(page, site)
    with CountedTask("Find a person and read the history") as task:
        await task.press(page, "Control+k")
        await page.keyboard.type("Hopper")
        await expect(page.get_by_role("dialog", name="Search").get_by_role("link", name=ADA)).to_be_visible()
        await task.press(page, "Enter")
        await expect(page.get_by_role("heading", name=ADA)).to_be_visible()
        await expect(page.get_by_role("region", name="Campaigns").first).to_contain_text("Early birds")
    with CountedTask("Never call a person again, from their page") as task:
        await task.click(button(page, "Add to do-not-call list…"))
        await task.click(button(page.get_by_role("dialog"), "Add to do-not-call list"))
        await expect(page.get_by_text("This number is on the do-not-call list.")).to_be_visible()


async def export_results(page: Page, site: Site, campaign: Campaign, database: Scratch) -> None:
    await at_campaigns(page, site)
    with CountedTask("Export the results of a campaign") as task:
        await task.click(page.locator(f"#campaign-{campaign.id}").get_by_role("link").first)
        await task.click(page.get_by_label("More actions"))
        await task.click(button(page, "Export results"))
        await settled(page)
        async with working(database) as worker:
            await worker.run_once()
        async with page.expect_download() as downloading:
            await task.click(link(page, "Download"))
        file = await (await downloading.value).path()
    assert PHONE in file.read_text()


async def duplicate(page: Page, site: Site, campaign: Campaign) -> None:
    await at_campaigns(page, site)
    with CountedTask("Duplicate a campaign") as task:
        row = page.locator(f"#campaign-{campaign.id}")
        await task.click(row.get_by_label(re.compile("^Actions for")))
        await task.click(button(row, "Duplicate"))
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Copy of")


def test_each_documented_task_is_counted_by_one_test() -> None:
    named = [
        name for file in HERE.glob("test_*.py") for name in re.findall(r'CountedTask\("(.+?)"\)', file.read_text())
    ]

    assert sorted(named) == sorted(documented_clicks())
