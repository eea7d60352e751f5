"""Binds the named blocks of `queries/*.sql` to row types, so that a test can prove each against the database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import aiosql
import asyncpg
from aiosql.adapters.asyncpg import AsyncPGAdapter

Row = TypeVar("Row")
Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

QUERIES = Path(__file__).parent / "queries"
_PREFETCHED = 2_000
REGISTRY: "dict[str, Statement[Any]]" = {}


@dataclass(frozen=True, slots=True)
class _Block:
    sql: str
    parameters: tuple[str, ...]


@cache
def _blocks() -> dict[str, _Block]:
    adapter = AsyncPGAdapter()  # type: ignore[no-untyped-call]
    queries = aiosql.from_path(QUERIES, lambda: adapter, mandatory_parameters=False)
    names = [name for name in queries.available_queries if not name.endswith("_cursor")]
    return {name: _Block(cast("str", getattr(queries, name).sql), tuple(adapter.var_sorted[name])) for name in names}


class Statement(Generic[Row]):
    """One named block of SQL with its parameters by name and, for its rows, a dataclass with fields in column order."""

    def __init__(self, name: str, row: type[Row] | None = None, *, planned_anew: bool = False) -> None:
        block = _blocks()[name]
        # A prepared statement comes to one plan for all parameters: with optional conditions it reads the whole table.
        self.planned_anew = planned_anew
        self.name, self.row, self.sql, self.parameters = name, row, block.sql, block.parameters
        REGISTRY[name] = self

    def _arguments(self, named: dict[str, Any]) -> list[Any]:
        if len(named) != len(self.parameters):
            raise TypeError(f"{self.name} takes {self.parameters}, was given {tuple(named)}")
        return [named[name] for name in self.parameters]

    def _build(self, record: asyncpg.Record) -> Row:
        assert self.row is not None, f"{self.name} returns no rows"
        return self.row(*record)

    async def all(self, connection: Connection, **named: Any) -> list[Row]:
        """Run it and return every row."""
        if self.planned_anew:
            await connection.execute("set local plan_cache_mode = force_custom_plan")
        return [self._build(record) for record in await connection.fetch(self.sql, *self._arguments(named))]

    async def stream(self, connection: Connection, **named: Any) -> AsyncIterator[Row]:
        """Run it with a cursor, inside a transaction, and give the rows as they come, some thousands at a time."""
        if self.planned_anew:
            await connection.execute("set local plan_cache_mode = force_custom_plan")
        async for record in connection.cursor(self.sql, *self._arguments(named), prefetch=_PREFETCHED):
            yield self._build(record)

    async def maybe(self, connection: Connection, **named: Any) -> Row | None:
        """Run it and return the first row, or None: for a guarded change, no row means that the guard held."""
        record = await connection.fetchrow(self.sql, *self._arguments(named))
        return None if record is None else self._build(record)

    async def one(self, connection: Connection, **named: Any) -> Row:
        """Run it and return its row, which is always there."""
        row = await self.maybe(connection, **named)
        if row is None:
            raise LookupError(f"{self.name} returned no row")
        return row

    async def run(self, connection: Connection, **named: Any) -> int:
        """Run it and return how many rows it touched."""
        tag = await connection.execute(self.sql, *self._arguments(named))
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Touched:
    """The id of a row that a guarded statement changed."""

    id: Any
