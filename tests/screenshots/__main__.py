"""Photograph every page and state of the studio: python -m tests.screenshots DIRECTORY [--only REGEX]."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg
from playwright.async_api import Browser, async_playwright

from outdial.rules.pack import shipped_rules
from tests.browser.conftest import CHROMIUM, ROOT, SWITCHES
from tests.browser.test_pages import USES, Site
from tests.screenshots.camera import SHAPES, Camera, PageState, Picture, Size
from tests.screenshots.sheet import write_sheet
from tests.screenshots.states import every_state
from tests.screenshots.world import Organization, create_organizations
from tests.support import postgres
from tests.support.sockets import on_a_socket
from tests.support.studio import StudioServer, serve_studio, unchanged

VARIABLE = "OUTDIAL_SCREENSHOTS"


def main() -> int:
    """Run the command: 0 without faults, 1 with some, which it lists, and 2 when it photographs nothing."""
    options = parse_options()
    directory = Path(options.directory or "").resolve()
    if not options.directory or directory == ROOT or directory.is_relative_to(ROOT):
        sys.stderr.write(f"Name a directory outside the repository, as an argument or in {VARIABLE}\n")
        return 2
    if not Path(CHROMIUM).exists():
        sys.stderr.write(f"{CHROMIUM} is not installed: set OUTDIAL_CHROMIUM\n")
        return 2
    states = [each for each in every_state() if re.search(options.only, f"{each.page_name} {each.title}")]
    if not states:
        sys.stderr.write(f"No state matches {options.only!r}: --list shows all\n")
        return 2
    if options.list:
        sys.stdout.write("".join(f"{each.page_name} {each.title}\n" for each in states))
        return 0
    directory.mkdir(parents=True, exist_ok=True)
    camera = Camera(directory, frozenset(options.shape), options.axe)
    pictures = asyncio.run(photograph(camera, states))
    faults = [f"{each.file or each.page_name}: {fault}" for each in pictures for fault in each.faults]
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    sys.stdout.write(f"{len(pictures)} pictures, {len(faults)} faults: {write_sheet(directory, pictures)}\n")
    return 1 if faults else 0


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("directory", nargs="?", default=os.environ.get(VARIABLE))
    parser.add_argument(
        "--only", default="", help="regular expression; states whose page and name do not match are left out"
    )
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--shape", action="append", choices=names, help="this shape only; can be repeated")
    parser.add_argument("--axe", action="store_true", help="also ask axe about accessibility")
    parser.add_argument("--list", action="store_true", help="list the states, and photograph nothing")
    options = parser.parse_args()
    options.shape = options.shape or names
    return options


async def photograph(camera: Camera, states: list[PageState]) -> list[Picture]:
    """Serve a studio with rows, and photograph the states."""
    pictures: list[Picture] = []
    with postgres.server() as server:
        await postgres.make_template(server)
        async with postgres.scratch(server, template=postgres.TEMPLATE) as database:
            connection = await asyncpg.connect(database.dsn)
            organizations = await create_organizations(database, connection)
            await connection.execute("analyze")
            await connection.close()
            async with (
                serve_studio(database, unchanged, rules=shipped_rules()) as served,
                on_a_socket(served.app) as url,
                async_playwright() as playwright,
            ):
                await served.studio.hub.start()
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES, timeout=60_000)
                for state in states:
                    pictures += await one_state(camera, browser, Place(url, served, organizations), state)
                await browser.close()
                served.studio.hub.end_streams()
                await served.studio.hub.stop()
    return pictures


class Place:
    """The studio at an address, with the organizations in it."""

    def __init__(self, url: str, served: StudioServer, organizations: Mapping[Size, Organization]) -> None:
        self.url = url
        self.served = served
        self.organizations = organizations


async def one_state(camera: Camera, browser: Browser, place: Place, state: PageState) -> list[Picture]:
    """Photograph a state in a new browser context."""
    found = place.organizations[state.size]
    context = await browser.new_context(timezone_id="UTC", locale="en-US")
    owner = found.users["owner"]
    site = Site(place.url, place.served, found.users.get(state.role, owner), dict(found.rows))
    if state.role != "nobody":
        await site.sign_in(context)
    path = state.path
    if path in USES and state.size != "usual":
        path = path.replace("{campaign_id}", "{draft}")
    try:
        return await camera.photograph(context, site.address(path), state)
    finally:
        await context.close()


if __name__ == "__main__":
    sys.exit(main())
