"""Keyset pagination: each page ends with a cursor for the next, which stays valid while rows are added."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypedDict, TypeVar
from urllib.parse import urlencode

import msgspec
from fastapi import Depends, Query
from pydantic import BaseModel

from outdial.studio.web.errors import InvalidInput

MOST_COUNTED: Final = 1_000
"""Rows that a list counts to say how many match."""

Item = TypeVar("Item")
Row = TypeVar("Row")
Key = TypeVar("Key")


class Page(BaseModel, Generic[Item]):
    """One page of a list. `next` is the cursor of the next page, null on the last."""

    items: list[Item]
    next: str | None = None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name the page of each kind of item: a component of the OpenAPI document, without brackets."""
        return f"{params[0].__name__}Page"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The requested page: at most `limit` items after `cursor`."""

    cursor: str | None
    limit: int

    @property
    def before_id(self) -> int | None:
        """The id to continue below, for lists ordered by id, newest first; raises InvalidInput."""
        key = self.key(tuple[int])
        return None if key is None else key[0]

    def key(self, kind: type[Key]) -> Key | None:
        """Decode the cursor into the sort key to continue after, None for the first page.

        `kind` is the key's type, such as tuple[datetime, UUID]. Raises InvalidInput for an invalid cursor.
        """
        if self.cursor is None:
            return None
        try:
            padded = self.cursor + "=" * (-len(self.cursor) % 4)
            return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
        except (ValueError, binascii.Error, msgspec.MsgspecError):
            raise InvalidInput("Invalid cursor: start again without one", {"cursor": "invalid"}) from None


def page_request(
    cursor: Annotated[str | None, Query(description="`next` of the previous page", max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Items per page")] = 50,
) -> PageRequest:
    """Return the page a request asks for."""
    return PageRequest(cursor, limit)


PageQuery = Annotated[PageRequest, Depends(page_request)]


def paginate(
    rows: Sequence[Row], limit: int, key_of: Callable[[Row], Sequence[Any]]
) -> tuple[Sequence[Row], str | None]:
    """Split `rows`, queried with `limit + 1`, into one page and the cursor of the next (None on the last page)."""
    if len(rows) <= limit:
        return rows, None
    key = msgspec.json.encode(list(key_of(rows[limit - 1])))
    return rows[:limit], base64.urlsafe_b64encode(key).decode().rstrip("=")


class PageLinks(TypedDict):
    """The template variables of a pager."""

    next_url: str | None
    first_url: str | None


def page_links(url: str, form: Mapping[str, str], page_request: PageRequest, next_cursor: str | None) -> PageLinks:
    """Return the links of the pager below a list; they keep the filters of `form`."""
    filters = {name: value for name, value in form.items() if value}
    return {
        "next_url": f"{url}?{urlencode({**filters, 'cursor': next_cursor})}" if next_cursor else None,
        "first_url": f"{url}?{urlencode(filters)}" if page_request.cursor else None,
    }


def has_more_pages(found: Page[Any], request: PageRequest) -> bool:
    """Return whether a list has rows that are not on this page."""
    return found.next is not None or request.cursor is not None


def at_most(count: int, most: int) -> str:
    """Return how many rows match, which were counted up to one more than `most`."""
    return f"{count:,}" if count <= most else f"more than {most:,}"
