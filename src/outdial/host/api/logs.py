"""Reads the log of functions: pages, what comes in, statistics, and the endpoints of the Management API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypedDict
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries.host import function_logs
from outdial.db.queries.host.function_logs import FunctionStats, LogEntryRow
from outdial.db.session import Connection
from outdial.host.api.log_query import BadRequest, LogCursor, LogFilter, LogQuery, read_moment
from outdial.host.api.log_rows import stats_row, table_row, whole_row
from outdial.host.api.management import ApiError, json_response
from outdial.http import HttpResponse

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_LOOK_AGAIN: Final = timedelta(seconds=1)
_MOST_ARRIVED: Final = 5_000
# Another host may have taken its ids before what was read last and commit after it: for so many rounds it is seen.
_ROUNDS: Final = 3
# Supabase answers for a day at most (docs: Management API, Get project logs).
_WINDOW: Final = timedelta(hours=24)
# What an interval covers, and the span of each row (as the self-hosted studio has it).
_INTERVALS: Final = {
    "15min": (timedelta(minutes=15), timedelta(minutes=1)),
    "1hr": (timedelta(hours=1), timedelta(minutes=1)),
    "3hr": (timedelta(hours=3), timedelta(hours=1)),
    "1day": (timedelta(days=1), timedelta(hours=1)),
}


class LogReader:
    """Reads in the transactions that `transaction` opens, as outdial_host or service_role."""

    def __init__(
        self,
        transaction: Callable[[], AbstractAsyncContextManager[Connection]],
        clock: Clock,
        *,
        project_ref: str = "local",
    ) -> None:
        self._transaction, self._clock, self._project_ref = transaction, clock, project_ref

    async def newest(self, wanted: LogFilter, limit: int, before: LogCursor | None = None) -> list[LogEntryRow]:
        """Return up to `limit` entries, the newest first, of those before a place."""
        at, id = before or (None, None)
        async with self._reading() as connection:
            return await function_logs.list_log_entries(
                connection,
                **_filters(wanted),
                since=wanted.since,
                until=wanted.until,
                before_at=at,
                before_id=id,
                limit=limit,
            )

    async def after(self, wanted: LogFilter, limit: int, place: LogCursor | None = None) -> list[LogEntryRow]:
        """Return up to `limit` entries, the oldest first, of those after a place."""
        at, id = place or (None, None)
        async with self._reading() as connection:
            return await function_logs.list_log_entries_after(
                connection,
                **_filters(wanted),
                since=wanted.since,
                until=wanted.until,
                after_at=at,
                after_id=id,
                limit=limit,
            )

    async def last_id(self) -> int:
        """Return the id of the entry that was written last, 0 when there is none."""
        async with self._reading() as connection:
            return await function_logs.last_log_id(connection)

    async def follow(self, wanted: LogFilter, after_id: int) -> AsyncIterator[list[LogEntryRow]]:
        """Yield what is written after the entry `after_id`, each entry once, second by second, without end.

        It comes as hosts write it, so that a batch is in the order of time and the whole need not be. The bounds of
        `wanted` in time are not looked at.
        """
        tops, seen = [after_id] * _ROUNDS, set[int]()
        while True:
            entries = await self._arrived(wanted, tops[0], seen)
            tops = [*tops[1:], max(tops[-1], *(entry.id for entry in entries), 0)]
            seen = {id for id in (*seen, *(entry.id for entry in entries)) if id > tops[0]}
            if entries:
                yield sorted(entries, key=lambda entry: (entry.at, entry.id))
            if len(entries) < _MOST_ARRIVED:
                await self._clock.sleep_until(self._clock.now() + _LOOK_AGAIN)

    async def stats(
        self, since: datetime, until: datetime, *, slug: str | None = None, span: timedelta | None = None
    ) -> list[FunctionStats]:
        """Return what each function was asked from `since` to `until`: in all, or for each `span` with entries."""
        origin = since if span is None else _EPOCH
        async with self._reading() as connection:
            return await function_logs.function_stats(
                connection, since=since, until=until, slug=slug, span=span or until - since, origin=origin
            )

    async def endpoint(self, name: str, query: Mapping[str, str]) -> HttpResponse:
        """Answer `GET /v1/projects/{ref}/analytics/endpoints/{name}`: 400 for what is not understood, 404 for others.

        `logs` and `logs.all` take `sql`, `iso_timestamp_start` and `iso_timestamp_end` (a day until now without them);
        `functions.combined-stats` takes `interval` and `function_id`.
        """
        try:
            match name:
                case "logs" | "logs.all":
                    rows = await self._logs(query)
                case "functions.combined-stats":
                    rows = await self._combined_stats(query)
                case _:
                    return ApiError(404, "NOT_FOUND", f"there is no endpoint {name}").answer()
        except BadRequest as error:
            return ApiError(400, "BAD_REQUEST", str(error)).answer()
        return json_response({"result": rows})

    async def _logs(self, query: Mapping[str, str]) -> list[dict[str, object]]:
        # Off the event loop: the first query imports the parser, and each takes milliseconds to parse.
        asked = await asyncio.to_thread(_parse, query.get("sql", ""))
        until = read_moment(query["iso_timestamp_end"]) if "iso_timestamp_end" in query else self._clock.now()
        since = read_moment(query["iso_timestamp_start"]) if "iso_timestamp_start" in query else until - _WINDOW
        wanted = asked.filter
        wanted = replace(wanted, since=max(since, wanted.since or since), until=min(until, wanted.until or until))
        if asked.newest_first:
            entries = await self.newest(wanted, asked.limit)
        else:
            entries = await self.after(wanted, asked.limit, asked.after)
        show = whole_row if asked.is_whole else table_row
        return [show(entry, self._project_ref) for entry in entries]

    async def _combined_stats(self, query: Mapping[str, str]) -> list[dict[str, object]]:
        slug, interval = query.get("function_id", ""), query.get("interval", "")
        if not slug or interval not in _INTERVALS:
            raise BadRequest(f"function_id and interval are required, interval one of {', '.join(_INTERVALS)}")
        length, span = _INTERVALS[interval]
        now = self._clock.now()
        return [stats_row(stats) for stats in await self.stats(now - length, now, slug=slug, span=span)]

    async def _arrived(self, wanted: LogFilter, after_id: int, seen: set[int]) -> Sequence[LogEntryRow]:
        async with self._reading() as connection:
            return await function_logs.list_arrived_log_entries(
                connection, **_filters(wanted), after_id=after_id, seen=list(seen), limit=_MOST_ARRIVED
            )

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


def _filters(wanted: LogFilter) -> _LogFilters:
    first, last = wanted.requests or (None, None)
    return {
        "slug": wanted.slug,
        "levels": None if wanted.levels is None else sorted(wanted.levels),
        "first_request": first,
        "last_request": last,
        "search": wanted.search,
        "invocations": wanted.invocations,
        "lines": wanted.lines,
    }
