"""A query of the function log: which entries, in which order, and how many."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from outdial.host.wire.errors import HostError
from outdial.host.wire.frames import Level

MOST_ROWS: Final = 1_000
DEFAULT_ROWS: Final = 100

_SUPPORTED: Final = (
    "The tables are logs, function_edge_logs and function_logs; WHERE may name source, function_id, slug, request_id "
    "and level (= or IN), bounds of timestamp and positionCaseInsensitiveUTF8(event_message, ...) > 0, joined by AND; "
    "then ORDER BY timestamp, LIMIT"
)


class BadRequest(HostError):
    """A parameter is not valid."""


class BadQuery(BadRequest):
    """The query uses SQL that the log endpoints do not support."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. {_SUPPORTED}")


class LogCursor(NamedTuple):
    """The position of an entry in the log. A page of entries starts before or after it."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Conditions on log entries; an entry has to meet all of them. `since` is inclusive, `until` exclusive.

    A status of 500 or more makes an invocation an error, one of 400 or more a warning. `requests` is the first and the
    last request id of a range. `search` matches the text of lines and the path of invocations, ignoring case.
    """

    slug: str | None = None
    levels: frozenset[Level] | None = None
    since: datetime | None = None
    until: datetime | None = None
    requests: tuple[UUID, UUID] | None = None
    search: str | None = None
    invocations: bool = True
    lines: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """What a SELECT asks of the log. `is_whole` is true for the table `logs`, which has both sources."""

    filter: LogFilter = LogFilter()
    newest_first: bool = True
    after: LogCursor | None = None
    limit: int = DEFAULT_ROWS
    is_whole: bool = False


def read_moment(text: str) -> datetime:
    """Parse an ISO 8601 time, in UTC when it names no zone. Raises BadRequest."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text!r} is not a time in ISO 8601") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def read_request_id(text: str) -> tuple[UUID, UUID]:
    """Return the first and the last request id that start with `text`: a whole id, or at least its first 8 digits.

    Ids are UUIDs of version 7, so ids with the same start were assigned at nearly the same time. Raises BadRequest.
    """
    digits = text.strip().replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{8,32}", digits):
        raise BadRequest(f"{text!r} is neither a request id nor the start of one")
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
