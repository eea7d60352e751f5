"""Keyset pagination: a page ends with a cursor that says where the next begins, however many rows come meanwhile."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from fastapi import Depends, Query
from pydantic import BaseModel

from outdial.studio.web.errors import InvalidInput

Item = TypeVar("Item")
Row = TypeVar("Row")
Key = TypeVar("Key")


class Page(BaseModel, Generic[Item]):
    """Some of many: `next` is the cursor of the page after this one, null on the last."""

    items: list[Item]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is asked for: at most `limit` items after `cursor`."""

    cursor: str | None
    limit: int

    def key(self, kind: type[Key]) -> Key | None:
        """Return the key behind which the page begins, such as tuple[datetime, UUID]; None for the first page.

        Raises InvalidInput for a cursor that none of our pages has given out.
        """
        if self.cursor is None:
            return None
        try:
            padded = self.cursor + "=" * (-len(self.cursor) % 4)
            return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
        except (ValueError, binascii.Error, msgspec.MsgspecError):
            raise InvalidInput("This cursor was not given out here: begin without one", {"cursor": "unknown"}) from None


def asked(
    cursor: Annotated[
        str | None, Query(description="Where to go on: `next` of the page before", max_length=500)
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many items at the most")] = 50,
) -> PageRequest:
    """Read what page a request asks for."""
    return PageRequest(cursor, limit)


PageQuery = Annotated[PageRequest, Depends(asked)]


def paginate(
    rows: Sequence[Row], limit: int, key_of: Callable[[Row], Sequence[Any]]
) -> tuple[Sequence[Row], str | None]:
    """Return at most `limit` of `rows`, which were asked for with `limit + 1`, and the cursor of the next page."""
    if len(rows) <= limit:
        return rows, None
    key = msgspec.json.encode(list(key_of(rows[limit - 1])))
    return rows[:limit], base64.urlsafe_b64encode(key).decode().rstrip("=")
