"""Opens a page in a state and photographs it in every shape."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.async_api import BrowserContext, CDPSession, Page

from tests.browser.test_pages import AXE, IS_WIDER, Shape, put_into, what_axe_says
from tests.support.factories import NOW

SHAPES = (
    Shape(name="light", scheme="light", width=1440),
    Shape(name="dark", scheme="dark", width=1440, axe_rules=("color-contrast",)),
    Shape(name="tablet", scheme="light", width=820),
    Shape(name="phone", scheme="light", width=390),
)
WIDEST_TOUCHED = 1_000
LOAD_MS = 60_000
# Until fonts are there and what a page does after it was loaded is done.
SETTLED = "document.fonts.ready.then(() => new Promise((done) => setTimeout(done, 150)))"
Size = Literal["usual", "empty", "many"]
Role = Literal["owner", "viewer", "outsider", "nobody"]


@dataclass(frozen=True)
class Moment:
    """A state that a tour has brought a page into; unless `whole`, only the window is shown, for what floats."""

    name: str
    whole: bool = True


Tour = Callable[[Page], AsyncIterator[Moment]]


async def as_loaded(page: Page) -> AsyncIterator[Moment]:
    """Leave the page as it was loaded."""
    yield Moment("")


@dataclass(frozen=True, kw_only=True)
class PageState:
    """A page for an organization of some size and a role, and the tour that brings it into further states."""

    path: str
    name: str = ""
    size: Size = "usual"
    role: Role = "owner"
    tour: Tour = as_loaded
    # The first ones of SHAPES, or those of these names: what differs little needs fewer.
    shapes: tuple[str, ...] = ("light", "dark", "tablet", "phone")
    # Runs before the page is loaded.
    prepare: Callable[[Page], object] | None = None

    @property
    def page_name(self) -> str:
        """The page in words, which groups its states on the contact sheet."""
        path = self.path.partition("?")[0].removeprefix("/o/{organization_id}/").strip("/")
        return re.sub(r"[{}]", "", path).replace("/", "-") or "home"

    @property
    def title(self) -> str:
        """The state in words."""
        return self.name or (self.size if self.role == "owner" else f"{self.size}, {self.role}")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A file of a state in a shape."""

    page_name: str
    title: str
    shape: str
    file: str
    faults: Sequence[str] = field(default_factory=tuple)


@dataclass
class Camera:
    """Writes pictures into a directory."""

    directory: Path
    only_shapes: frozenset[str]
    asks_axe: bool

    async def photograph(self, context: BrowserContext, url: str, state: PageState) -> list[Picture]:
        """Open the page of a state, and keep a picture of each moment of its tour in each shape."""
        page = await context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        pictures: list[Picture] = []
        shapes = [each for each in SHAPES if each.name in state.shapes and each.name in self.only_shapes]
        devices = await context.new_cdp_session(page)
        try:
            await page.clock.install(time=NOW)
            await put_into(page, SHAPES[0])
            if state.prepare is not None:
                await state.prepare(page)  # type: ignore[misc]
            response = await page.goto(url, wait_until="load", timeout=LOAD_MS)
            if response is not None and response.status >= 500:
                faults.append(f"status {response.status}")
            if self.asks_axe and AXE.exists():
                await page.evaluate(AXE.read_text())
            async for moment in state.tour(page):
                for shape in shapes:
                    pictures.append(await self._keep(page, devices, state, moment, shape, faults))
                await put_into(page, SHAPES[0])
        except Exception as error:
            pictures.append(
                Picture(
                    page_name=state.page_name,
                    title=state.title,
                    shape="light",
                    file="",
                    faults=[f"{type(error).__name__}: {str(error)[:300]}"],
                )
            )
        finally:
            await page.close()
        return pictures

    async def _keep(
        self, page: Page, devices: CDPSession, state: PageState, moment: Moment, shape: Shape, page_errors: list[str]
    ) -> Picture:
        # Pages show keys only where a keyboard is likely. The change of the window repaints the page.
        await devices.send("Emulation.setTouchEmulationEnabled", {"enabled": shape.width < WIDEST_TOUCHED})
        await put_into(page, shape)
        await page.evaluate(SETTLED)
        title = ", ".join(filter(None, (state.title, moment.name)))
        file = f"{state.page_name}.{re.sub('[^a-z0-9]+', '-', title.lower())}.{shape.name}.png"
        await page.screenshot(path=self.directory / file, full_page=moment.whole, animations="disabled")
        faults = [*page_errors]
        page_errors.clear()
        if await page.evaluate(IS_WIDER):
            faults.append("wider than the window")
        if self.asks_axe and AXE.exists():
            if not await page.evaluate("'axe' in window"):
                await page.evaluate(AXE.read_text())
            faults += await what_axe_says(page, shape.axe_rules)
        return Picture(page_name=state.page_name, title=title, shape=shape.name, file=file, faults=faults)
