"""The states of campaigns, their contacts and their calls."""

from collections.abc import AsyncIterator, Sequence

from playwright.async_api import Page, Route, expect

from outdial.studio.campaign_setup.steps import SetupStep
from tests.browser.test_imports import BAD, BROKEN, drop
from tests.screenshots.camera import Moment, PageState

HOME = "/o/{organization_id}"
TABS = ("", "/live-calls", "/contacts", "/calls", "/callbacks", "/settings", "/activity")
WIDE_AND_PHONE = ("light", "phone")


async def pause(page: Page) -> AsyncIterator[Moment]:
    """Pause the campaign, resume it, and open its menu."""
    await page.get_by_role("button", name="Pause", exact=True).click()
    await page.locator("[data-toast]").wait_for()
    yield Moment("toast", whole=False)
    await page.locator("#campaign-menu > summary").click()
    yield Moment("menu", whole=False)


async def row_menu(page: Page) -> AsyncIterator[Moment]:
    """Open the menu of the first campaign, choose nothing, and type into the search."""
    await page.locator("td.row-menu summary").first.click()
    yield Moment("row menu", whole=False)
    await page.keyboard.press("Escape")
    await page.get_by_role("searchbox", name="Search campaigns").press_sequentially("zzz")
    await page.get_by_text("No matching campaigns").wait_for()
    yield Moment("nothing found", whole=False)


async def lose_the_stream(page: Page) -> None:
    """Let no stream begin."""

    async def abort(route: Route) -> None:
        await route.abort()

    await page.route("**/live", abort)


async def stream_lost(page: Page) -> AsyncIterator[Moment]:
    """Wait until the page says that its stream is lost."""
    await page.locator("#connection").wait_for()
    yield Moment("", whole=False)


async def hang_up(page: Page) -> AsyncIterator[Moment]:
    """Ask whether to hang up."""
    await page.locator("[data-hang-up]").first.click()
    await page.locator("dialog#hang-up").wait_for()
    yield Moment("", whole=False)


async def import_steps(page: Page) -> AsyncIterator[Moment]:
    """Import a bad file: choose, map, cure twice, and look at the result."""
    await drop(page, "empty.csv", "")
    yield Moment("empty file")
    await drop(page, "customers of the northern branch, as exported on Monday.csv", BAD + BROKEN)
    yield Moment("chosen")
    await page.get_by_role("button", name="Upload and preview").click()
    await page.get_by_text("No phone column").wait_for()
    yield Moment("no phone column")
    await page.get_by_label("Handy goes to").select_option(label="Phone")
    await page.get_by_role("button", name="Update preview").click()
    await expect(page.get_by_role("heading", name="numbers have no country code")).to_be_visible()
    yield Moment("causes")
    await page.get_by_role("button", name="Apply").first.click()
    await expect(page.get_by_role("heading", name="10 time zones are unknown")).to_be_visible()
    yield Moment("zones")
    await page.get_by_role("button", name="Apply").first.click()
    await page.get_by_role("button", name="Start import").wait_for()
    yield Moment("cured")
    await page.get_by_role("button", name="Start import").first.click()
    await page.wait_for_load_state("load")
    yield Moment("queued")


async def setup_errors(page: Page) -> AsyncIterator[Moment]:
    """Leave the name out, type what cannot be read, and continue."""
    await page.get_by_label("Name", exact=True).fill("")
    await page.get_by_label("Variables for the agent").fill("offer of the week")
    await page.get_by_role("button", name="Save and continue").click()
    await page.get_by_role("alert").first.wait_for()
    yield Moment("")


async def schedule_errors(page: Page) -> AsyncIterator[Moment]:
    """Plan the start without a time."""
    await page.locator("#schedule-at").check()
    await page.get_by_role("button", name="Save and continue").click()
    await page.get_by_role("alert").first.wait_for()
    yield Moment("")


async def zones_found(page: Page) -> AsyncIterator[Moment]:
    """Search the time zones."""
    await page.locator("#schedule-at").check()
    zone = page.get_by_role("combobox", name="Time zone")
    await zone.click()
    await zone.fill("new")
    yield Moment("", whole=False)


async def test_call_errors(page: Page) -> AsyncIterator[Moment]:
    """Ask for a test call to no number."""
    await page.locator("[name=to]").fill("415")
    await page.get_by_role("button", name="Call").first.click()
    await page.locator(".field-wrong").first.wait_for()
    yield Moment("")


async def unfold(page: Page) -> AsyncIterator[Moment]:
    """Open what is folded."""
    await page.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
    yield Moment("")


async def queue_keys(page: Page) -> AsyncIterator[Moment]:
    """Choose the second entry."""
    await page.keyboard.press("j")
    yield Moment("", whole=False)


async def wrong_numbers(page: Page) -> AsyncIterator[Moment]:
    """Block numbers of which two cannot be read."""
    await page.locator("[name=numbers]").fill("+12065550100\n(206) 555-0101\nnobody")
    await page.get_by_role("button", name="Add numbers").click()
    await page.locator(".notice-warn, .notice-bad").first.wait_for()
    yield Moment("")


async def wrong_contact(page: Page) -> AsyncIterator[Moment]:
    """Give a contact a time zone that does not exist."""
    await page.locator("summary", has_text="Edit details").click()
    await page.locator("[name=timezone]").fill("Mars/Base")
    await page.get_by_role("button", name="Save", exact=True).click()
    await page.locator(".field-wrong").first.wait_for()
    yield Moment("")


STATES_OF_CAMPAIGNS = (
    "running",
    "waiting",
    "paused",
    "refused",
    "used_up",
    "scheduled",
    "draft",
    "finished",
    "cancelled",
)
CAMPAIGN = f"{HOME}/campaigns/{{running}}"
CAMPAIGN_STATES: Sequence[PageState] = (
    *(PageState(path=f"{HOME}/campaigns/{{{state}}}", size="many", name=state) for state in STATES_OF_CAMPAIGNS),
    *(PageState(path=f"{CAMPAIGN}{tab}", size="many", name="running") for tab in TABS[1:]),
    *(PageState(path=f"{HOME}/campaigns/{{draft}}{tab}", size="many", shapes=WIDE_AND_PHONE) for tab in TABS[1:]),
    PageState(path=CAMPAIGN, size="many", name="running, viewer", role="viewer", shapes=WIDE_AND_PHONE),
    PageState(path=f"{HOME}/campaigns/{{draft}}", size="empty", name="no contacts"),
    *(PageState(path=f"{HOME}/campaigns/{{draft}}{tab}", size="empty", shapes=WIDE_AND_PHONE) for tab in TABS[1:]),
    PageState(path=f"{HOME}/campaigns/{{finished}}/report", size="many"),
    PageState(path=f"{HOME}/campaigns/{{draft}}/launch-check", size="many"),
    PageState(path=f"{HOME}/campaigns/{{draft}}/launch-check", size="many", name="errors", tour=test_call_errors),
    *(PageState(path=f"{HOME}/campaigns/{{draft}}/setup/{step}", size="many") for step in SetupStep),
    PageState(path=f"{HOME}/campaigns/{{draft}}/setup/who", size="many", name="errors", tour=setup_errors),
    PageState(path=f"{HOME}/campaigns/{{draft}}/setup/when", size="many", name="errors", tour=schedule_errors),
    PageState(path=f"{HOME}/campaigns/{{draft}}/setup/when", size="many", name="zones", tour=zones_found),
    PageState(path=f"{HOME}/campaigns/{{draft}}/setup/retries", size="many", name="open", tour=unfold),
    PageState(path=f"{HOME}/campaigns/{{draft}}/setup/review", size="many", name="errors", tour=test_call_errors),
    PageState(path=f"{HOME}/campaigns/{{draft}}/import", size="many"),
    PageState(path=f"{HOME}/campaigns/{{draft}}/import", size="many", name="bad file", tour=import_steps),
    PageState(path=f"{CAMPAIGN}/contacts", size="many", name="unfolded", tour=unfold),
    PageState(path=f"{HOME}/calls/{{call_id}}", size="many"),
    PageState(path=f"{HOME}/calls/{{call_id}}", size="many", name="unfolded", tour=unfold),
    PageState(path=f"{HOME}/calls?q=zzz", size="many", name="nothing found", shapes=WIDE_AND_PHONE),
    PageState(path=f"{HOME}/contacts?q=zzz", size="many", name="nothing found", shapes=WIDE_AND_PHONE),
    PageState(path=f"{HOME}/contacts/{{contact_id}}", name="errors", tour=wrong_contact),
    PageState(path=f"{HOME}/do-not-call", name="errors", tour=wrong_numbers),
    PageState(path=f"{HOME}/callbacks", size="many", name="second chosen", tour=queue_keys),
    PageState(path=f"{HOME}/review", size="many", name="second chosen", tour=queue_keys),
    PageState(path=f"{HOME}/live-calls", size="many", name="hang up", tour=hang_up),
    PageState(path=f"{HOME}/campaigns", size="many", name="stream lost", tour=stream_lost, prepare=lose_the_stream),
    PageState(path=f"{HOME}/campaigns", size="many", name="row", tour=row_menu),
    # Last, because it changes the campaign.
    PageState(path=CAMPAIGN, size="many", name="paused now", tour=pause),
)
