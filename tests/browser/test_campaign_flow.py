"""The whole workflow in a browser on the stack of `outdial dev`: from a CSV file to the last call."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from outdial.stack.first_login import EMAIL, PASSWORD_FILE
from outdial.stack.local import LocalStack
from tests.browser.conftest import CHROMIUM
from tests.support.clicks import CountedTask, press
from tests.support.postgres import scratch_directory
from tests.support.processes import ANY_HOUR, TIMEOUT_S, Launcher, inherited

# Long enough for two busy processors.
WITHIN_MS = 90_000
CONTACTS = 40
# From the sign-in of an empty stack to the first completed campaign.
MOST_CLICKS = 12
# The last four digits make the simulator answer, so that no contact is called twice.
FILE = "Phone,Name,Firma\n" + "".join(f"+1212{220 + n}9901,Person {n},Analytical Engines\n" for n in range(CONTACTS))
BAD_ROW = "nobody,Without a number,\n"

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is not installed"),
]


@dataclass(frozen=True)
class Running:
    """A stack that runs in `home`, and how to sign in."""

    home: Path
    stack: LocalStack
    password: str

    async def outdial(self, *arguments: str) -> None:
        """Run a command as in another terminal: nothing but the directory is known."""
        env = {**inherited(), "OUTDIAL_HOME": str(self.home)}
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "outdial.cli", *arguments],
            env=env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def kill(self, part: str) -> None:
        """End a part of the stack as a crash would; its supervisor starts it again."""
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                is_ours = process.environ().get("OUTDIAL_HOME") == str(self.home)
                if is_ours and process.cmdline()[1:4] == ["-m", "outdial.cli", part]:
                    process.kill()
                    return
        raise AssertionError(f"{part} does not run")


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """The whole stack with its simulator, on ports that are free."""
    with scratch_directory() as directory:
        home = directory / "home"
        launcher = Launcher(directory, inherited())
        # Calls of a minute take three seconds, and a few at a time: progress can be seen to move.
        options = ["--ports=auto", "--speed=20", "--concurrency=4", "--calls-per-second=4"]
        process = launcher.start("dev", "dev", *options, OUTDIAL_HOME=str(home), **ANY_HOUR)
        try:
            await process.ready()
            stack = LocalStack.running(home)
            assert stack is not None
            yield Running(home, stack, (home / PASSWORD_FILE).read_text().strip())
            assert await process.terminate() == 0, process.output()[-3000:]
        finally:
            if process.running:
                sys.stderr.write(process.output()[-5000:])
            process.kill_session()


@pytest.fixture
async def page(running: Running, chromium: Browser) -> AsyncIterator[Page]:
    """A page on which nothing may go wrong."""
    context = await chromium.new_context(base_url=running.stack.studio_url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WITHIN_MS)
    expect.set_options(timeout=WITHIN_MS)
    opened = await context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    await context.close()
    assert errors == []


@pytest.mark.tasks
async def test_a_campaign_from_import_to_the_last_call(
    running: Running, page: Page, tmp_path: Path, screenshots: Path
) -> None:
    await refuse_a_wrong_password(page)
    started_at = time.monotonic()
    with CountedTask("Complete the first campaign of an empty stack, from signing in") as task:
        await sign_in(page, running, task)
        await create_campaign(page, task)
        await import_contacts(page, tmp_path, task)
        await plan_and_start(page, task)
        await run_campaign(page, running, screenshots)
    seconds = time.monotonic() - started_at
    sys.stderr.write(f"first campaign: {task.clicks} clicks, completed after {seconds:.0f} s\n")
    assert task.clicks <= MOST_CLICKS
    await look_at_a_call(page, screenshots)
    await replay_an_event(page)
    await roll_a_function_back(page, running, screenshots)
    await sign_out(page)


async def refuse_a_wrong_password(page: Page) -> None:
    await page.goto("/")
    await expect(page).to_have_url(re.compile("/sign-in"))
    await page.get_by_label("Email").fill(EMAIL)
    await page.get_by_label("Password").fill("not the password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("Wrong email or password")


async def sign_in(page: Page, running: Running, task: CountedTask) -> None:
    await page.get_by_label("Password").fill(running.password)
    await task.click(page.get_by_role("button", name="Sign in"))
    await expect(page).to_have_url(re.compile("/campaigns$"))


async def create_campaign(page: Page, task: CountedTask) -> None:
    await task.click(page.get_by_role("link", name="New campaign").first)
    await page.get_by_label("Name", exact=True).fill("Spring renewals")
    await task.click(page.get_by_role("button", name="Save and continue"))
    await task.click(page.get_by_role("link", name="Import contacts"))
    await expect(page).to_have_url(re.compile("/import$"))


async def plan_and_start(page: Page, task: CountedTask) -> None:
    await task.click(page.get_by_role("button", name="Around the clock"))
    await task.click(page.get_by_role("button", name="Save and continue"))
    await expect(page.get_by_role("radio", name="Standard")).to_be_checked()
    await task.click(page.get_by_role("navigation", name="Steps").get_by_role("link", name="Review"))
    await task.click(page.get_by_role("button", name="Start now"))
    await expect(page.get_by_role("heading", name="Spring renewals")).to_be_visible()


async def import_contacts(page: Page, directory: Path, task: CountedTask) -> None:
    file = directory / "people.csv"
    file.write_text(FILE + BAD_ROW)
    await task.choose_file(page.get_by_label("Contacts file"), file)
    await task.click(page.get_by_role("button", name="Upload and preview"))
    await expect(page.get_by_text(f"{CONTACTS} of {CONTACTS + 1} rows")).to_be_visible()
    await expect(page.get_by_role("region", name="Rows to fix").first).to_contain_text("nobody")
    await expect(page.get_by_role("region", name="First contacts").first).to_contain_text("America/New York")
    await task.click(page.get_by_role("button", name="Start import"))
    # Nobody loads this page again: it says by itself that the import is done.
    await task.click(page.get_by_role("link", name="Continue setup"))
    await expect(page).to_have_url(re.compile("/setup/when$"))


async def run_campaign(page: Page, running: Running, screenshots: Path) -> None:
    loads: list[str] = []
    await expect(status(page)).to_contain_text("Active")
    # What the page shows is there before its own load event.
    await page.wait_for_load_state("load")
    page.on("load", lambda loaded: loads.append(loaded.url))
    first = await calls_ended(page, at_least=1)
    second = await calls_ended(page, at_least=first + 2)
    assert second > first
    assert loads == []

    await press(page.get_by_role("button", name="Pause"))
    await expect(status(page)).to_contain_text("Paused")
    await page.screenshot(path=screenshots / "flow-paused.png", full_page=True)
    await press(page.get_by_role("button", name="Resume").first)
    await expect(status(page)).to_contain_text("Active")
    # The page goes on by itself when the studio is back.
    await calls_ended(page, at_least=second + 1)
    loads.clear()
    running.kill("studio")
    await expect(status(page)).to_contain_text("Completed")
    assert loads == []
    await expect(page.get_by_text(f"{CONTACTS} of {CONTACTS} contacts finished")).to_be_visible()
    await page.screenshot(path=screenshots / "flow-completed.png", full_page=True)


async def calls_ended(page: Page, *, at_least: int) -> int:
    """Return how many contacts the page says were reached, once there are so many, without loading it again."""
    await page.wait_for_function(
        """least => Number(/Reached\\s*([\\d,]+)/.exec(document.body.innerText)?.[1]) >= least""",
        arg=at_least,
    )
    found = re.search(r"Reached\s*([\d,]+)", await page.locator("main").inner_text())
    assert found is not None
    return int(found[1].replace(",", ""))


async def look_at_a_call(page: Page, screenshots: Path) -> None:
    await press(page.get_by_role("link", name="Calls", exact=True))
    await page.get_by_label("Outcome").select_option(label="Answered")
    await press(page.get_by_role("button", name="Filter"))
    await expect(page).to_have_url(re.compile("outcome=answered"))
    await press(page.get_by_role("main").get_by_role("rowheader").get_by_role("link").first)
    await expect(page.get_by_role("heading", name="Transcript")).to_be_visible()
    await expect(page.locator("#conversation li.agent").first).to_be_visible()
    await page.screenshot(path=screenshots / "flow-call.png", full_page=True)


async def replay_an_event(page: Page) -> None:
    with CountedTask("Find a webhook event and replay it") as task:
        await task.click(page.get_by_role("link", name="Webhook events"))
        await task.click(page.get_by_role("main").get_by_role("rowheader").get_by_role("link").first)
        await task.click(page.get_by_role("button", name="Replay"))
        await expect(page.get_by_role("status").filter(has_text=re.compile("event"))).to_be_visible()


async def roll_a_function_back(page: Page, running: Running, screenshots: Path) -> None:
    for _ in range(2):
        await running.outdial("functions", "deploy", "campaign-trigger")
    with CountedTask("Roll a function back to the version before") as task:
        await task.click(page.get_by_role("link", name="Functions"))
        await task.click(page.get_by_role("link", name="campaign-trigger"))
        versions = page.get_by_role("region", name="Versions")
        active = versions.get_by_role("row", name=re.compile("^Version 2 ")).filter(has_text="Active")
        await expect(active).to_be_visible()
        await task.click(page.get_by_role("button", name="Roll back…"))
        await task.click(page.get_by_role("button", name="Roll back", exact=True))
        active = versions.get_by_role("row", name=re.compile("^Version 1 ")).filter(has_text="Active")
        await expect(active).to_be_visible()
    with CountedTask("Switch a function back to the source tree") as task:
        await task.click(page.get_by_role("navigation", name="Studio").get_by_role("link", name="Functions"))
        await task.click(page.get_by_role("link", name="campaign-trigger"))
        await task.click(page.get_by_role("button", name="Serve source tree…"))
        await task.click(page.get_by_role("button", name="Serve source tree", exact=True))
        await expect(versions.get_by_text("Active")).to_have_count(0)
    await page.screenshot(path=screenshots / "flow-functions.png", full_page=True)


async def sign_out(page: Page) -> None:
    campaigns = page.url
    await press(page.locator("summary", has_text="Account"))
    await press(page.get_by_role("button", name="Sign out"))
    await expect(page).to_have_url(re.compile("/sign-in"))
    await page.goto(campaigns)
    await expect(page).to_have_url(re.compile(r"/sign-in\?next="))


def status(page: Page) -> Locator:
    """Return where a campaign's page says how it stands."""
    return page.locator("#campaign-status")
