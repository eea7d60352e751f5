"""The end report in a real browser: shared in two clicks, printed on one page, readable on a phone."""

import re

import asyncpg
import pytest
from playwright.async_api import Browser, expect

from tests.browser.test_pages import AXE, Site, what_axe_says
from tests.studio.test_end_reports import campaign
from tests.support.clicks import CountedTask, settled
from tests.support.factories import Campaign, create_member
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.sockets import on_a_socket
from tests.support.studio import serve_studio, unchanged

__all__ = ["campaign"]
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.tasks
@pytest.mark.timeout(300)
async def test_a_report_is_shared_and_printed_on_one_page(
    database: Scratch, connection: asyncpg.Connection, chromium: Browser, campaign: Campaign
) -> None:
    owner = await create_member(connection, campaign.tenant.organization_id, "owner")
    async with (
        working(database) as worker,
        serve_studio(database, unchanged) as served,
        on_a_socket(served.app) as url,
    ):
        await worker.reports.run_once()
        context = await chromium.new_context(viewport={"width": 390, "height": 800})
        await Site(url, served, owner, {}).sign_in(context)
        page = await context.new_page()
        await page.goto(f"{url}/o/{campaign.tenant.organization_id}/campaigns")
        with CountedTask("Read the end report and share it") as task:
            await task.click(page.locator(f"#campaign-{campaign.id}").get_by_role("link").first)
            await task.click(page.get_by_role("link", name="Open report"))
            await task.click(page.get_by_role("button", name="Create link"))
            link = await page.locator("code.clip").inner_text()
        visitor = await (await chromium.new_context(viewport={"width": 390, "height": 800})).new_page()
        await visitor.goto(url + link[link.index("/shared") :])
        for shown in (page, visitor):
            assert await shown.evaluate(WIDER) == 0, shown.url
            if AXE.exists():
                await shown.evaluate(AXE.read_text())
                assert await what_axe_says(shown) == []
            pdf = await shown.pdf(format="A4")
            assert pdf.count(b"/Type /Page") - pdf.count(b"/Type /Pages") == 1, shown.url
        assert await visitor.locator("a, form, script").count() == 0
        with CountedTask("Call the unreached again, from the end report") as task:
            offer = page.get_by_role("link", name=re.compile(r"^New campaign from the \d+ not reached$"))
            unreached = re.findall(r"\d+", await offer.inner_text())[0]
            await task.click(offer)
            await page.get_by_label("Reason").fill("try once more")
            await task.click(page.get_by_role("button", name="Start job"))
            await settled(page)
            await worker.run_once()
            await page.reload()
            await task.click(page.get_by_role("link", name="Go to the new campaign"))
            await expect(page.get_by_role("main")).to_contain_text(f"of {unreached} contacts finished")
        await page.goto(f"{url}/o/{campaign.tenant.organization_id}/calls")
        await expect(page.locator(".filter-bar")).not_to_have_css("display", "none")
        await page.emulate_media(media="print")
        await expect(page.locator(".filter-bar")).to_have_css("display", "none")
        served.studio.hub.end_streams()
