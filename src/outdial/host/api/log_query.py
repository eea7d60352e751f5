"""A query of the function log: which entries, in which order, and how many."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from outdial.clock import Clock
from outdial.db.queries.host.function_logs import LogEntryRow
from outdial.host.wire.errors import HostError
from outdial.host.wire.frames import Level

MOST_ROWS: Final = 1_000
DEFAULT_ROWS: Final = 100
MAX_BATCH: Final = 5_000
_POLL_INTERVAL: Final = timedelta(seconds=1)
# Another host can commit entries after ours that have lower ids. Read each id range this many times to see them.
_OVERLAPPING_POLLS: Final = 3

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


def filter_to_query(filter: LogFilter) -> dict[str, str]:
    """Return a filter as query parameters, which `filter_from_query` reads."""
    query = {
        "slug": filter.slug,
        "levels": None if filter.levels is None else ",".join(sorted(filter.levels)),
        "since": None if filter.since is None else filter.since.isoformat(),
        "until": None if filter.until is None else filter.until.isoformat(),
        "requests": None if filter.requests is None else ",".join(map(str, filter.requests)),
        "search": filter.search,
    }
    return {name: value for name, value in query.items() if value is not None}


def filter_from_query(query: Mapping[str, str]) -> LogFilter:
    """Read the filter from query parameters. Raises BadRequest for an invalid one."""
    try:
        first, last = map(UUID, query["requests"].split(",")) if "requests" in query else (None, None)
        levels = msgspec.convert(query["levels"].split(","), frozenset[Level]) if "levels" in query else None
    except (ValueError, msgspec.ValidationError) as error:
        raise BadRequest(f"invalid filter: {error}") from error
    return LogFilter(
        slug=query.get("slug"),
        levels=levels,
        since=read_moment(query["since"]) if "since" in query else None,
        until=read_moment(query["until"]) if "until" in query else None,
        requests=None if first is None or last is None else (first, last),
        search=query.get("search"),
    )


def read_moment(text: str) -> datetime:
    """Parse an ISO 8601 time, in UTC when it names no zone. Raises BadRequest."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text!r} is not a time in ISO 8601") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def read_count(query: Mapping[str, str], name: str, most: int = 2**63 - 1) -> int:
    """Read a query parameter that is a whole number from 0 to `most`. Raises BadRequest."""
    text = query.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most):
        raise BadRequest(f"{name} must be a whole number up to {most}, not {text[:40]!r}")
    return int(text)


def read_request_id(text: str) -> tuple[UUID, UUID]:
    """Return the first and the last request id that start with `text`: a whole id, or at least its first 8 digits.

    Ids are UUIDs of version 7, so ids with the same start were assigned at nearly the same time. Raises BadRequest.
    """
    digits = text.strip().replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{8,32}", digits):
        raise BadRequest(f"{text!r} is neither a request id nor the start of one")
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


async def follow_entries(
    arrived: Callable[[int, Collection[int]], Awaitable[list[LogEntryRow]]], clock: Clock, after_id: int
) -> AsyncIterator[list[LogEntryRow]]:
    """Yield new entries after the entry `after_id`, each one once. Polls every second and never ends.

    `arrived` returns up to MAX_BATCH entries with ids above the given one, except those with the given ids. Entries
    come in the order in which hosts write them: each batch is sorted by time, the whole need not be.
    """
    tops = [after_id] * _OVERLAPPING_POLLS
    seen: set[int] = set()
    while True:
        entries = await arrived(tops[0], seen)
        tops = [*tops[1:], max(tops[-1], *(entry.id for entry in entries), 0)]
        seen = {id for id in (*seen, *(entry.id for entry in entries)) if id > tops[0]}
        if entries:
            yield sorted(entries, key=lambda entry: (entry.at, entry.id))
        if len(entries) < MAX_BATCH:
            await clock.sleep_until(clock.now() + _POLL_INTERVAL)
