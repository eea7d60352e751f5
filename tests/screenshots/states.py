"""Every page for each size of organization and for a viewer, every dialog, and the states that take some steps."""

import re
from collections.abc import AsyncIterator, Sequence

from playwright.async_api import Page

from tests.browser.test_pages import PAGES
from tests.screenshots.camera import Moment, PageState, Tour
from tests.screenshots.campaign_states import CAMPAIGN_STATES

HOME = "/o/{organization_id}"
LISTS = [path for path in PAGES if path.count("{") == 1 and path.startswith(HOME)]
WIDE_AND_PHONE = ("light", "phone")


async def dialogs(page: Page) -> AsyncIterator[Moment]:
    """Open each kind of dialog of the page, one after the other."""
    seen: set[str] = set()
    for button in await page.locator("button[popovertarget]").all():
        label = re.sub("[^a-z]+", "-", (await button.inner_text() or "").lower()).strip("-")
        target = await button.get_attribute("popovertarget")
        dialog = page.locator(f'dialog[id="{target}"]')
        if not label or label in seen or not await dialog.count():
            continue
        seen.add(label)
        await dialog.evaluate("dialog => dialog.showPopover()")
        yield Moment(label, whole=False)
        await dialog.evaluate("dialog => dialog.hidePopover()")


def refused(button: str, **typed: str) -> Tour:
    """Type into fields by their names, and send the form past the browser's own checks."""

    async def tour(page: Page) -> AsyncIterator[Moment]:
        await page.evaluate("for (const form of document.forms) form.noValidate = true")
        for name, text in typed.items():
            field = page.locator(f'main [name="{name}"]:not([type=hidden])').first
            if await field.evaluate("field => field.matches('select')"):
                await field.select_option(text)
            else:
                await field.fill(text)
        async with page.expect_navigation():
            await page.locator("main").get_by_role("button", name=button, exact=True).first.click()
        yield Moment("")

    return tour


def pressed(*names: str) -> Tour:
    """Press buttons or summaries one after the other, and show what comes of the last."""

    async def tour(page: Page) -> AsyncIterator[Moment]:
        for name in names:
            found = page.locator("button, summary, a.button").filter(has_text=re.compile(f"^\\s*{re.escape(name)}"))
            await found.locator("visible=true").first.click()
        await page.wait_for_load_state("load")
        yield Moment("", whole=False)

    return tour


async def menu_of_account(page: Page) -> AsyncIterator[Moment]:
    """Open the user's menu, and the menu of pages on a phone."""
    await page.locator("summary", has_text="Account").click()
    yield Moment("account menu", whole=False)


async def phone_menu(page: Page) -> AsyncIterator[Moment]:
    """Open the menu of pages on a phone."""
    await page.set_viewport_size({"width": 390, "height": 900})
    await page.locator("#navigation").evaluate("menu => menu.showPopover()")
    yield Moment("", whole=False)


async def search_dialog(page: Page) -> AsyncIterator[Moment]:
    """Open the search and type."""
    await page.keyboard.press("Control+k")
    yield Moment("opened", whole=False)
    await page.keyboard.type("ren")
    await page.locator("dialog.search .hits a").first.wait_for()
    yield Moment("with hits", whole=False)


FORMS: Sequence[PageState] = (
    PageState(
        path="/sign-in", name="wrong password", role="nobody", tour=refused("Sign in", email="a@b.c", password="x")
    ),
    PageState(path=f"{HOME}/members", name="errors", tour=refused("Send invitation", email="grace")),
    PageState(path=f"{HOME}/settings/budgets", name="errors", tour=refused("Save", day="much", month="-3")),
    PageState(path=f"{HOME}/settings/pre-dial-hook", name="errors", tour=refused("Save", url="http://hook")),
    PageState(path=f"{HOME}/rules/new", name="errors", tour=refused("Save rule", jurisdiction="Mars")),
    PageState(path=f"{HOME}/privacy", name="errors", tour=refused("Erase", phone="415")),
)
FRAME: Sequence[PageState] = (
    PageState(path=f"{HOME}/campaigns", name="frame", size="many", tour=menu_of_account),
    PageState(path=f"{HOME}/campaigns", name="menu on a phone", size="many", tour=phone_menu, shapes=("phone",)),
    PageState(path=f"{HOME}/campaigns", name="search", size="many", tour=search_dialog),
    PageState(path=f"{HOME}/contacts", name="columns", size="many", tour=pressed("Columns")),
    PageState(path="/nowhere", name="not found"),
    PageState(path=f"{HOME}/campaigns", name="not a member", role="outsider"),
    PageState(path="/", name="without an organization", role="outsider"),
    PageState(path="/sign-in", name="signed out", role="nobody"),
    PageState(path="/sign-in/forgot", name="signed out", role="nobody"),
    PageState(path="/join/unknown", name="unknown link", role="nobody"),
    PageState(path="/shared/reports/unknown", name="unknown link", role="nobody"),
)


def every_state() -> list[PageState]:
    """Return all states of all pages."""
    usual = [PageState(path=path) for path in PAGES]
    open_dialogs = [PageState(path=path, name="dialog", tour=dialogs, shapes=WIDE_AND_PHONE) for path in PAGES]
    viewer = [PageState(path=path, role="viewer", shapes=WIDE_AND_PHONE) for path in PAGES if path.startswith(HOME)]
    lists = [PageState(path=path, size=size) for path in LISTS for size in ("empty", "many")]
    return [*usual, *lists, *CAMPAIGN_STATES, *FORMS, *FRAME, *open_dialogs, *viewer]
