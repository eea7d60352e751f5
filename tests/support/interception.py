"""Requests of a page that a test answers itself, holds back or lets fail."""

from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, Route

_PROBE = "**/is-intercepted"
_IS_INTERCEPTED = "() => fetch('/is-intercepted', { cache: 'no-store' }).then((response) => response.ok)"


async def intercept(page: Page, pattern: str, handle: Callable[[Route], Any]) -> None:
    """Have `handle` answer the requests of a loaded page whose addresses match `pattern`, from the next one on.

    `Page.route` returns before the scripts of a loaded page know of it: one request in about 150 that followed at once
    went to the server, and Playwright never reported it.
    """
    await page.route(pattern, handle)

    async def answer(route: Route) -> None:
        await route.fulfill(status=204)

    await page.route(_PROBE, answer)
    await page.wait_for_function(_IS_INTERCEPTED)
    await page.unroute(_PROBE)
