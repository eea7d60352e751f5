"""A bad file in a real browser: dropped, cured in three presses, imported and undone, with the clicks counted."""

from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.test_pages import Site, faults_in_shapes, site
from tests.support.clicks import CountedTask, press, settled
from tests.support.interception import intercept
from tests.support.jobs import working
from tests.support.postgres import Scratch

__all__ = ["site"]

ROWS = 40
BAD = "Customer;Handy;E-Mail;Due Date;Time Zone;Amount\n" + "".join(
    f"Person {n};(206) 222-{7000 + n};p{n}@example.com;2026-12-{n % 28 + 1:02};{'' if n % 4 else 'Eastern'};{n}\n"
    for n in range(ROWS)
)
BROKEN = "Caller;call me;;;;\nTwin;(206) 222-7001;;;;\n"

pytestmark = pytest.mark.timeout(300)


@pytest.mark.tasks
async def test_a_bad_file_is_dropped_cured_in_three_presses_imported_and_undone(
    site: Site, database: Scratch, chromium: Browser, screenshots: Path
) -> None:
    context = await chromium.new_context(locale="en-US")
    await site.sign_in(context)
    page = await opened(context, site.address("/o/{organization_id}/campaigns/{draft}/import"))
    faults: list[str] = []
    presses: list[str] = []
    task = CountedTask("Import a bad file: drop it, cure it, and start")
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)

    async def press_button(name: str) -> None:
        presses.append(name)
        await task.click(page.get_by_role("button", name=name, exact=True).first)

    faults += await faults_in_shapes(page, screenshots, "import-choose")
    await refuse_an_empty_file(page)
    task.clicks += 1
    await drop(page, "people.csv", BAD + BROKEN)
    await press_button("Upload and preview")
    await expect(page.get_by_text("No phone column")).to_be_visible()
    await expect(page.get_by_label("E-Mail goes to").locator("option:checked")).to_have_text("Automatic (Email)")
    faults += await faults_in_shapes(page, screenshots, "import-unmapped")

    # Three cures: the column of the phones, the country of its numbers, the zone of a name.
    await task.choose(page.get_by_label("Handy goes to"), "Phone")
    await press_button("Update preview")
    await expect(page.get_by_role("heading", name=f"{ROWS + 1} numbers have no country code")).to_be_visible()
    await expect(page.get_by_label("Treat as").locator("option:checked")).to_have_text("United States")
    faults += await faults_in_shapes(page, screenshots, "import-causes")
    await press_button("Apply")
    await expect(page.get_by_role("heading", name="10 time zones are unknown")).to_be_visible()
    await choose_a_zone(page.locator("#zone-1"))
    faults += await faults_in_shapes(page, screenshots, "import-zones")
    await press_button("Apply")
    await expect(page.get_by_text(f"{ROWS} of {ROWS + 2} rows")).to_be_visible()
    faults += await faults_in_shapes(page, screenshots, "import-cured")
    with task:
        await press_button("Start import")
    await settled(page)
    assert presses == ["Upload and preview", "Update preview", "Apply", "Apply", "Start import"]
    async with working(database) as worker:
        await worker.run_once()
    faults += await undo(page, screenshots)
    await context.close()
    assert faults == []


async def choose_a_zone(zone: Locator) -> None:
    await expect(zone).to_have_role("combobox")
    await zone.fill("los ang")
    await zone.press("Enter")
    await expect(zone).to_have_value("Los Angeles, America")


async def refuse_an_empty_file(page: Page) -> None:
    await drop(page, "empty.csv", "")
    await expect(page.get_by_text("empty.csv is empty.")).to_be_visible()
    await press(page.get_by_role("button", name="Upload and preview"))
    await expect(page.get_by_role("progressbar")).to_be_hidden()


async def undo(page: Page, screenshots: Path) -> list[str]:
    await page.reload()
    await expect(page.get_by_role("link", name="Continue setup")).to_be_visible()
    await expect(page.get_by_role("heading", name="1 number is invalid")).to_be_visible()
    faults = await faults_in_shapes(page, screenshots, "import-done")
    with CountedTask("Undo an import, from its page") as task:
        await task.click(page.get_by_role("button", name="Undo import…"))
        await expect(page.get_by_role("heading", name="Undo this import?")).to_be_visible()
        faults += await faults_in_shapes(page, screenshots, "import-undo")
        await task.click(page.get_by_role("button", name="Undo import", exact=True))
        await expect(page.get_by_text(f"{ROWS} contacts removed").first).to_be_visible()
    return faults


async def test_leaving_during_an_upload_warns_and_cancels_it(
    site: Site, connection: asyncpg.Connection, chromium: Browser
) -> None:
    context = await chromium.new_context()
    await site.sign_in(context)
    page = await opened(context, site.address("/o/{organization_id}/campaigns/{campaign_id}/import"))
    await intercept(page, "**/file", lambda _: None)
    asked: list[str] = []

    async def leave(dialog: object) -> None:
        asked.append(dialog.type)  # type: ignore[attr-defined]
        await dialog.accept()  # type: ignore[attr-defined]

    page.on("dialog", leave)
    await drop(page, "slow.csv", "phone\n+12062227000\n")
    async with page.expect_request("**/file"):
        await page.get_by_role("button", name="Upload and preview").click()
    await page.goto(site.address("/o/{organization_id}/jobs"))

    assert asked == ["beforeunload"]
    # What a page sends while it is left may arrive after the next page was loaded.
    for _ in range(20):
        status = await connection.fetchval("select status from imports where file_name = 'slow.csv'")
        if status == "cancelled":
            break
        await page.reload()
    await context.close()
    assert status == "cancelled"


async def opened(context: BrowserContext, url: str) -> Page:
    page = await context.new_page()
    await page.goto(url)
    return page


async def drop(page: Page, name: str, text: str) -> None:
    """Drop a file on the field, as a user drags it there."""
    files = await page.evaluate_handle(
        """([name, text]) => {
          const dragged = new DataTransfer();
          dragged.items.add(new File([text], name, { type: "text/csv" }));
          return dragged;
        }""",
        [name, text],
    )
    for kind in ("dragenter", "dragover", "drop"):
        await page.dispatch_event(".drop", kind, {"dataTransfer": files})
