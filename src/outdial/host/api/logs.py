"""Read the function log: pages, new entries, statistics, and the log endpoints of the Management API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypedDict
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries.host import function_logs
from outdial.db.queries.host.function_logs import FunctionStats, LogEntryRow
from outdial.db.session import Connection
from outdial.host.api.log_query import (
    MAX_BATCH,
    BadRequest,
    LogCursor,
    LogFilter,
    LogQuery,
    filter_from_query,
    follow_entries,
    read_count,
    read_moment,
)
from outdial.host.api.log_rows import stats_row, table_row, whole_row
from outdial.host.api.management import ApiError, json_response
from outdial.http import HttpResponse

_MAX_ENTRIES: Final = 10_000
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
# Supabase's limit is a day (docs: Management API, Get project logs).
_WINDOW: Final = timedelta(hours=24)
# The time that an interval covers, and the span of each row (as in the self-hosted studio).
_INTERVALS: Final = {
    "15min": (timedelta(minutes=15), timedelta(minutes=1)),
    "1hr": (timedelta(hours=1), timedelta(minutes=1)),
    "3hr": (timedelta(hours=3), timedelta(hours=1)),
    "1day": (timedelta(days=1), timedelta(hours=1)),
}


class LogReader:
    """Reads the log in transactions that `transaction` opens, as outdial_host or service_role."""

    def __init__(
        self,
        transaction: Callable[[], AbstractAsyncContextManager[Connection]],
        clock: Clock,
        *,
        project_ref: str = "local",
    ) -> None:
        self._transaction = transaction
        self._clock = clock
        self._project_ref = project_ref

    async def newest(self, filter: LogFilter, limit: int, before: LogCursor | None = None) -> list[LogEntryRow]:
        """Return up to `limit` entries before `before`, newest first."""
        at, id = before or (None, None)
        async with self._reading() as connection:
            return await function_logs.list_log_entries(
                connection,
                **_filters(filter),
                since=filter.since,
                until=filter.until,
                before_at=at,
                before_id=id,
                limit=limit,
            )

    async def after(self, filter: LogFilter, limit: int, cursor: LogCursor | None = None) -> list[LogEntryRow]:
        """Return up to `limit` entries after `cursor`, oldest first."""
        at, id = cursor or (None, None)
        async with self._reading() as connection:
            return await function_logs.list_log_entries_after(
                connection,
                **_filters(filter),
                since=filter.since,
                until=filter.until,
                after_at=at,
                after_id=id,
                limit=limit,
            )

    async def last_id(self) -> int:
        """Return the id of the last entry written, 0 for an empty log."""
        async with self._reading() as connection:
            return await function_logs.last_log_id(connection)

    async def arrived(
        self, filter: LogFilter, after_id: int, seen: Collection[int], limit: int = MAX_BATCH
    ) -> list[LogEntryRow]:
        """Return up to `limit` entries with ids above `after_id` and not in `seen`, by id. Ignores the time bounds."""
        async with self._reading() as connection:
            return await function_logs.list_arrived_log_entries(
                connection, **_filters(filter), after_id=after_id, seen=list(seen), limit=limit
            )

    def follow(self, filter: LogFilter, after_id: int) -> AsyncIterator[list[LogEntryRow]]:
        """Yield new entries after the entry `after_id`, as `follow_entries` does. Ignores the time bounds."""
        return follow_entries(partial(self.arrived, filter), self._clock, after_id)

    async def stats(
        self, since: datetime, until: datetime, *, slug: str | None = None, span: timedelta | None = None
    ) -> list[FunctionStats]:
        """Return the statistics of each function from `since` to `until`: in total, or per `span` that has entries."""
        origin = since if span is None else _EPOCH
        async with self._reading() as connection:
            return await function_logs.function_stats(
                connection, since=since, until=until, slug=slug, span=span or until - since, origin=origin
            )

    async def endpoint(self, name: str, query: Mapping[str, str]) -> HttpResponse:
        """Serve `GET /v1/projects/{ref}/analytics/endpoints/{name}`.

        `logs` and `logs.all` take `sql`, `iso_timestamp_start` and `iso_timestamp_end` (default: the last day).
        `functions.combined-stats` takes `interval` and `function_id`. `outdial.entries`, `outdial.arrived`,
        `outdial.last-id` and `outdial.stats` are ours, for `outdial functions logs` and `stats`. Responds 400 for
        unsupported parameters, 404 for other endpoints.
        """
        rows: Sequence[object]
        try:
            match name:
                case "logs" | "logs.all":
                    rows = await self._logs(query)
                case "functions.combined-stats":
                    slug = query.get("function_id", "")
                    interval = query.get("interval", "")
                    if not slug or interval not in _INTERVALS:
                        choices = ", ".join(_INTERVALS)
                        raise BadRequest(f"function_id and interval are required, interval one of {choices}")
                    length, span = _INTERVALS[interval]
                    now = self._clock.now()
                    rows = [stats_row(stats) for stats in await self.stats(now - length, now, slug=slug, span=span)]
                case "outdial.last-id":
                    rows = [await self.last_id()]
                case "outdial.entries" | "outdial.arrived" | "outdial.stats":
                    rows = await self._read_for_cli(name, query)
                case _:
                    return ApiError(404, "NOT_FOUND", f"there is no endpoint {name}").to_http()
        except BadRequest as error:
            return ApiError(400, "BAD_REQUEST", str(error)).to_http()
        return json_response({"result": rows})

    async def _read_for_cli(self, name: str, query: Mapping[str, str]) -> Sequence[object]:
        filter = filter_from_query(query)
        if name == "outdial.stats":
            if filter.since is None or filter.until is None or filter.since >= filter.until:
                raise BadRequest("since and until are required, since before until")
            return await self.stats(filter.since, filter.until, slug=filter.slug)
        limit = read_count(query, "limit", most=_MAX_ENTRIES)
        if name == "outdial.entries":
            return await self.newest(filter, limit)
        return await self.arrived(filter, read_count(query, "after_id"), [], limit)

    async def _logs(self, query: Mapping[str, str]) -> list[dict[str, object]]:
        # Off the event loop: the first query imports the parser, and each takes milliseconds to parse.
        asked = await asyncio.to_thread(_parse, query.get("sql", ""))
        until = read_moment(query["iso_timestamp_end"]) if "iso_timestamp_end" in query else self._clock.now()
        since = read_moment(query["iso_timestamp_start"]) if "iso_timestamp_start" in query else until - _WINDOW
        filter = asked.filter
        filter = replace(filter, since=max(since, filter.since or since), until=min(until, filter.until or until))
        if asked.newest_first:
            entries = await self.newest(filter, asked.limit)
        else:
            entries = await self.after(filter, asked.limit, asked.after)
        to_row = whole_row if asked.is_whole else table_row
        return [to_row(entry, self._project_ref) for entry in entries]

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        async with self._transaction() as connection:
            await function_logs.force_custom_plans(connection)
            yield connection


def _parse(sql: str) -> LogQuery:
    from outdial.host.api.log_sql import read_query

    return read_query(sql)


class _LogFilters(TypedDict):
    slug: str | None
    levels: Sequence[str] | None
    first_request: UUID | None
    last_request: UUID | None
    search: str | None
    invocations: bool
    lines: bool


def _filters(filter: LogFilter) -> _LogFilters:
    first, last = filter.requests or (None, None)
    return {
        "slug": filter.slug,
        "levels": None if filter.levels is None else sorted(filter.levels),
        "first_request": first,
        "last_request": last,
        "search": filter.search,
        "invocations": filter.invocations,
        "lines": filter.lines,
    }
