"""A real Chromium, the one that the system has; without it these tests are skipped, and say so."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.support.clicks import counted, documented_clicks

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("OUTDIAL_CHROMIUM", "/usr/bin/chromium")
# Long enough for two busy processors.
WITHIN_MS = 60_000
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the clicks of the tasks that were done, in the order of docs/studio.md."""
    if counted:
        terminalreporter.section("clicks per task")
        for name in documented_clicks():
            if name in counted:
                terminalreporter.write_line(f"{counted[name]:4}  {name}")


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    expect.set_options(timeout=WITHIN_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES, timeout=60_000)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures of pages are kept for people to look at; nothing is compared with them."""
    directory = ROOT / ".artifacts" / "screenshots"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
