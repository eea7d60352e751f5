"""Counts the clicks of the tasks in docs/studio.md, which the browser tests do."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from playwright.async_api import FilePayload, Locator, Page

PAGE = Path(__file__).parents[2] / "docs" / "studio.md"
# A script that opens a dialog in place of a link listens once the page has loaded.
_SETTLED = """
() => {
  if (window.sendsForm === undefined) {
    window.sendsForm = false;
    addEventListener("submit", (event) => {
      const method = event.submitter?.getAttribute("formmethod") ?? event.target.getAttribute("method");
      if (!event.defaultPrevented && method !== "dialog") window.sendsForm = true;
    });
  }
  return document.readyState === "complete" && !window.sendsForm;
}
"""
counted: dict[str, int] = {}
"""The tasks that this process has done, with their clicks."""


@cache
def documented_clicks() -> Mapping[str, int]:
    """Return the tasks of the page with their clicks, in the order of its table."""
    [section] = re.findall(r"^## Clicks per task$(.*?)(?=^## )", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return {name: int(clicks) for name, clicks in re.findall(r"^\| (.+?) \| (\d+) \|$", section, re.MULTILINE)}


async def settled(page: Page) -> None:
    """Wait until a page has loaded, and has left if `press` has sent a form of it."""
    await page.wait_for_function(_SETTLED)


async def press(target: Locator, *, shift: bool = False) -> None:
    """Click an element of a settled page. The browser sends a form a moment after the click that Playwright waits for.

    A click on a link in that moment cancels the form. A click on a button that live updates have changed already gets
    lost when the response replaces the page. Navigations and requests of scripts are not waited for.
    """
    await settled(target.page)
    await target.click(modifiers=["Shift"] if shift else [])


class CountedTask:
    """A task of the page, done in the block. It fails when it takes other than the documented number of clicks.

    A click, a press of a key that does something, a file and a choice in a list count as one each. Typing does not.
    """

    def __init__(self, name: str) -> None:
        assert name in documented_clicks(), f"{PAGE.name} does not list the task {name!r}"
        self.name = name
        self.clicks = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        if kind is not None:
            return
        counted[self.name] = self.clicks
        documented = documented_clicks()[self.name]
        assert self.clicks == documented, f"{self.name}: {self.clicks} clicks, but {PAGE.name} says {documented}"

    async def click(self, target: Locator, *, shift: bool = False) -> None:
        """Click an element of a settled page, with Shift if asked for."""
        self.clicks += 1
        await press(target, shift=shift)

    async def press(self, page: Page, keys: str) -> None:
        """Press a key, or several at once such as Control+k."""
        self.clicks += 1
        await settled(page)
        await page.keyboard.press(keys)

    async def choose(self, target: Locator, label: str) -> None:
        """Choose an option of a list."""
        self.clicks += 1
        await settled(target.page)
        await target.select_option(label=label)

    async def choose_file(self, target: Locator, file: Path | FilePayload) -> None:
        """Choose a file."""
        self.clicks += 1
        await settled(target.page)
        await target.set_input_files(file)
