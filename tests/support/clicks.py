"""Counts the clicks of the tasks in docs/studio.md, which the browser tests do."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from playwright.async_api import FilePayload, Locator, Page

PAGE = Path(__file__).parents[2] / "docs" / "studio.md"
counted: dict[str, int] = {}
"""The tasks that this process has done, with their clicks."""


@cache
def documented_clicks() -> Mapping[str, int]:
    """Return the tasks of the page with their clicks, in the order of its table."""
    [section] = re.findall(r"^## Clicks per task$(.*?)(?=^## )", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return {name: int(clicks) for name, clicks in re.findall(r"^\| (.+?) \| (\d+) \|$", section, re.MULTILINE)}


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
        """Click an element, with Shift if asked for."""
        self.clicks += 1
        await target.click(modifiers=["Shift"] if shift else [])

    async def press(self, page: Page, keys: str) -> None:
        """Press a key, or several at once such as Control+k."""
        self.clicks += 1
        await page.keyboard.press(keys)

    async def choose(self, target: Locator, label: str) -> None:
        """Choose an option of a list."""
        self.clicks += 1
        await target.select_option(label=label)

    async def choose_file(self, target: Locator, file: Path | FilePayload) -> None:
        """Choose a file."""
        self.clicks += 1
        await target.set_input_files(file)
