"""Reads a list that a provider returns page by page."""

from collections.abc import Awaitable, Callable

from outdial.provider import Listed, ListedPage, ProviderUnavailable


async def read_pages(
    read_page: Callable[[str | None], Awaitable[ListedPage[Listed] | ProviderUnavailable]],
    key_of: Callable[[Listed], str | None],
    *,
    most: int,
    what: str,
) -> list[Listed] | ProviderUnavailable:
    """Return everything on all pages, once for each key, without what has no key."""
    found: dict[str, Listed] = {}
    page: str | None = None
    pages: set[str] = set()
    while True:
        listed = await read_page(page)
        if isinstance(listed, ProviderUnavailable):
            return listed
        found |= {key: item for item in listed.items if (key := key_of(item)) is not None}
        page = listed.next_page
        if page is None:
            return list(found.values())
        if page in pages:
            return ProviderUnavailable(f"the list of {what} repeats a page")
        if len(found) > most:
            return ProviderUnavailable(f"the account has more than {most:,} {what}")
        pages.add(page)
