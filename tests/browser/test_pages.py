"""Every page in a real browser, light, dark and on a phone: no errors, small, and accessible, folded and unfolded.

`make screenshots` takes the pictures.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page

from outdial.rules.pack import shipped_rules
from outdial.studio.web.filters import ZONE_COOKIE
from outdial.studio.web.sessions import COOKIE
from tests.browser.conftest import ROOT
from tests.support.clicks import settled
from tests.support.factories import NOW
from tests.support.postgres import Scratch
from tests.support.sockets import on_a_socket
from tests.support.studio import StudioServer, app_without_database, serve_studio, unchanged
from tests.support.studio_history import create_history
from tests.support.studio_routes import routes_of
from tests.support.studio_world import create_route_rows

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
IS_WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
LARGEST_PAGE = 60_000
# Half of what Google's Core Web Vitals call good.
MOST_SHIFTED = 0.05
# Sums how far the page moves by itself, without that someone presses a key, the pointer or changes the window.
COUNT_SHIFTS = """
window.shifts = [];
const named = ({ node }) => (node?.outerHTML ?? node?.textContent ?? "").slice(0, 80);
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput, sources } of list.getEntries()) {
    if (!hadRecentInput) window.shifts.push({ value, moved: sources.map(named) });
  }
}).observe({ type: "layout-shift", buffered: true });
"""
# Pages show times relative to now, which is NOW for the server.
SERVER_TIME = f"""
Date = class extends Date {{
  constructor(...given) {{ super(...(given.length ? given : [{NOW.timestamp() * 1000:.0f}])); }}
}};
"""
# Shifts are reported with the frame after theirs. Where nothing counts them, this is null at once and not never.
SHIFTS = """
new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(window.shifts ?? null))));
})
"""
# No pages: a stream, files, and what only leads elsewhere.
NOT_SHOWN = {
    "/o/{organization_id}",
    "/o/{organization_id}/live",
    "/o/{organization_id}/campaigns/{campaign_id}/setup",
    "/o/{organization_id}/bulk-jobs/{bulk_job_id}/left-out.csv",
    "/o/{organization_id}/exports/{export_id}/file",
    "/o/{organization_id}/imports/{import_id}/refusals.csv",
    "/o/{organization_id}/imports/template.csv",
    "/o/{organization_id}/imports/template.xlsx",
    "/o/{organization_id}/campaigns/{campaign_id}/report.csv",
}
ELSEWHERE = {"/sign-in", "/organizations", "/design", "/api/v1/docs", "/api/v1/docs/schemas"}
# The parameters for which a page needs another row than the usual one.
USES = {
    "/o/{organization_id}/campaigns/{campaign_id}/edit": {"campaign_id": "paused"},
    "/o/{organization_id}/campaigns/{campaign_id}/setup/{step}": {"campaign_id": "draft"},
    "/o/{organization_id}/campaigns/{campaign_id}/bulk-jobs/{bulk_job_id}": {"campaign_id": "of_bulk_job"},
    "/o/{organization_id}/bulk-jobs/{bulk_job_id}": {"bulk_job_id": "organization_job"},
}
# Opens what is folded, then a menu and the dialogs in turn: axe examines only what is shown. Rows repeat theirs.
# Each run of axe reads the whole document first, so that what can be shown together is examined together.
FOLDED = """
async (options) => {
  const found = [];
  const all = (selector, most) => [...document.querySelectorAll(selector)].slice(0, most);
  // A live update may have replaced an element since it was found.
  const examine = async (...elements) => {
    const include = elements.filter((element) => element.isConnected);
    if (include.length) found.push(...(await axe.run({ include }, options)).violations);
  };
  const folded = all("main details:not([data-menu], [open])", 6);
  for (const each of folded) each.open = true;
  await examine(...folded);
  for (const menu of all("main details[data-menu]", 1)) {
    menu.open = true;
    await examine(menu);
  }
  for (const dialog of all("main dialog", 3)) {
    if (!dialog.isConnected) continue;
    if (dialog.popover) dialog.showPopover(); else dialog.showModal();
    await examine(dialog);
    if (dialog.popover) dialog.hidePopover(); else dialog.close();
  }
  return found;
}
"""
# The times whose text the script has changed, although the server knows the zone and the time of the viewer.
REWRITTEN = """
(served) => {
  const times = (root) => [...root.querySelectorAll("time:not([data-plain])")].map((each) => each.textContent);
  const before = times(new DOMParser().parseFromString(served, "text/html"));
  return times(document).filter((text) => !before.includes(text));
}
"""
PAGES = sorted(
    {route.path for route in routes_of(app_without_database()) if route.is_page and route.path not in NOT_SHOWN}
    | ELSEWHERE
)
Scheme = Literal["light", "dark"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a page is looked at. Axe repeats only the rules whose result a color scheme or a narrow window can change."""

    name: str
    scheme: Scheme
    width: int
    axe_rules: tuple[str, ...] = ()


SHAPES = (
    Shape(name="light", scheme="light", width=1280),
    Shape(name="dark", scheme="dark", width=1280, axe_rules=("color-contrast",)),
    Shape(
        name="phone",
        scheme="light",
        width=390,
        axe_rules=("aria-hidden-focus", "button-name", "label", "link-name", "scrollable-region-focusable"),
    ),
)

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Site:
    """The studio at an address of its own."""

    url: str
    served: StudioServer
    user_id: UUID
    rows: dict[str, str]

    def address(self, path: str) -> str:
        """Return the address of a page for the rows that there are."""
        rows = {**self.rows, **{name: self.rows[row] for name, row in USES.get(path, {}).items()}}
        return self.url + re.sub(r"{(\w+)}", lambda found: rows[found[1]], path)

    async def sign_in(self, context: BrowserContext) -> None:
        """Give a browser an owner's session, and its zone, without which its first page loads twice."""
        sealed = self.served.studio.sealer.seal(COOKIE, self.served.session(self.user_id))
        await context.add_cookies(
            [
                {"name": COOKIE, "value": sealed, "url": self.url, "httpOnly": True},
                {"name": ZONE_COOKIE, "value": "UTC", "url": self.url},
            ]
        )


@pytest.fixture
async def site(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Site]:
    route_rows = await create_route_rows(database, connection)
    campaign, call_id = await create_history(connection, route_rows.world.own.tenant)
    rows = {**route_rows.own, "campaign_id": str(campaign.id), "call_id": str(call_id)}
    for name in ("campaign_contact_id", "contact_id"):
        rows[name] = str(await connection.fetchval(f"select {name} from calls where id = $1", call_id))  # noqa: S608
    async with serve_studio(database, unchanged, rules=shipped_rules()) as served, on_a_socket(served.app) as url:
        yield Site(url, served, route_rows.world.own.users["owner"], rows)
        served.studio.hub.end_streams()


@pytest.mark.parametrize("half", [0, 1])
async def test_every_page_renders_and_is_accessible(half: int, site: Site, chromium: Browser) -> None:
    faults: list[str] = []
    context = await chromium.new_context()
    await site.sign_in(context)
    await context.add_init_script(COUNT_SHIFTS)
    await context.add_init_script(SERVER_TIME)
    # One for all: each new page starts a process.
    page = await context.new_page()
    for path in PAGES[half::2]:
        faults += [f"{path} {fault}" for fault in await look_at(page, site.address(path))]
    await context.close()

    assert faults == []
    if not AXE.exists():
        pytest.skip("npm ci has not been run: axe was not asked")


async def test_axe_detects_violations(site: Site, chromium: Browser) -> None:
    if not AXE.exists():
        pytest.skip("npm ci has not been run")
    page = await chromium.new_page()
    await page.set_content("<!doctype html><html><body><button></button><img src='data:,'></body></html>")
    await page.evaluate(AXE.read_text())

    assert {fault.split()[0] for fault in await what_axe_says(page)} >= {"button-name", "image-alt", "html-has-lang"}


async def look_at(page: Page, url: str) -> list[str]:
    """Load a page, and return what is wrong with it in each shape, and with what it folds away."""
    faults: list[str] = []

    def note_error(error: Error) -> None:
        faults.append(str(error))

    def note_console(said: ConsoleMessage) -> None:
        # Also what the content security policy has stopped.
        if said.type == "error":
            faults.append(said.text)

    page.on("pageerror", note_error)
    page.on("console", note_console)
    faults += await faults_of_loading(page, url)
    if AXE.exists():
        # What a test runs in a page is not subject to the page's policy.
        await page.evaluate(AXE.read_text())
        faults += [f"({SHAPES[0].name}) {violation}" for violation in await what_axe_says(page)]
    # Axe takes longer than the first live update.
    faults += await shifts_of(page, SHAPES[0])
    if AXE.exists():
        faults += [f"(unfolded) {violation}" for violation in await what_axe_says(page, about=FOLDED)]
    for shape in SHAPES:
        await put_into(page, shape)
        if await page.evaluate(IS_WIDER):
            faults.append(f"({shape.name}) is wider than the window")
        if shape.axe_rules and AXE.exists():
            faults += [f"({shape.name}) {violation}" for violation in await what_axe_says(page, shape.axe_rules)]
    page.remove_listener("pageerror", note_error)
    page.remove_listener("console", note_console)
    return faults


async def faults_of_loading(page: Page, url: str) -> list[str]:
    """Load a page in a narrow and then in a wide window, and return what is wrong with what was sent."""
    await put_into(page, SHAPES[-1])
    await page.goto(url, wait_until="load", timeout=60_000)
    faults = await shifts_of(page, SHAPES[-1])
    await put_into(page, SHAPES[0])
    answer = await page.goto(url, wait_until="load", timeout=60_000)
    assert answer is not None
    if answer.status != 200:
        faults.append(f"answers {answer.status}")
    if (size := len(await answer.body())) > LARGEST_PAGE:
        faults.append(f"has {size} bytes")
    faults += [f"rewrites {text}" for text in await page.evaluate(REWRITTEN, await answer.text())]
    return faults


async def faults_in_shapes(page: Page, pictures: Path, name: str, *, full_page: bool = True) -> list[str]:
    """Keep a picture of a state of a page in each shape, and return what is wrong with it."""
    faults: list[str] = []
    await settled(page)
    if AXE.exists():
        await page.evaluate(AXE.read_text())
    for shape in SHAPES:
        await put_into(page, shape)
        await page.screenshot(path=pictures / f"{name}.{shape.name}.png", full_page=full_page)
        if await page.evaluate(IS_WIDER):
            faults.append(f"{name} ({shape.name}) is wider than the window")
        if AXE.exists():
            faults += [f"{name} ({shape.name}) {each}" for each in await what_axe_says(page, shape.axe_rules)]
    await put_into(page, SHAPES[0])
    return faults


async def shifts_of(page: Page, shape: Shape) -> list[str]:
    """Return what has moved since a page began to load, if that was too far to read on."""
    shifts = await page.evaluate(SHIFTS)
    moved = sum(shift["value"] for shift in shifts)
    return [f"({shape.name}) moves by {moved:.3f}: {shifts}"] if moved >= MOST_SHIFTED else []


async def put_into(page: Page, shape: Shape) -> None:
    """Show a page in a shape."""
    await page.emulate_media(color_scheme=shape.scheme)
    await page.set_viewport_size({"width": shape.width, "height": 900})


async def what_axe_says(page: Page, rules: Sequence[str] = (), *, about: str = "document") -> list[str]:
    """Return the serious violations that axe, which is in the page, finds with these rules, or with all.

    `about` is the element that is examined, as JavaScript, or a function that examines several.
    """
    # Only rules about orientation and sound, which find nothing serious, would have axe fetch the style sheets again.
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    examine = about if "=>" in about else f"async (options) => (await axe.run({about}, options)).violations"
    return [
        f"{violation['id']} {node['target']} {node.get('failureSummary', '')}"
        for violation in await page.evaluate(examine, options)
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:3]
    ]
