"""What asyncpg asks of every new connection about the types of Postgres itself, asked once per test process."""

from collections.abc import Sequence
from functools import wraps
from typing import Any

import asyncpg

_FIRST_NORMAL_OID = 16384
"""Postgres has the same types with the same ids below this in every database."""


def introspect_system_types_once() -> None:
    """Keep what asyncpg reads about system types such as int8[]. Each test opens connections, and each reads them.

    The recursive query of four such types takes as long as the clone of a database. Types of our own are read by each
    connection, because their ids belong to one database.
    """
    connection_class: Any = asyncpg.Connection  # its method is private
    introspect = connection_class._introspect_types
    known: dict[frozenset[int], Any] = {}

    @wraps(introspect)
    async def introspect_unknown(self: asyncpg.Connection, typeoids: Sequence[int], timeout: float | None) -> Any:
        oids = frozenset(typeoids)
        if max(oids) >= _FIRST_NORMAL_OID:
            return await introspect(self, typeoids, timeout)
        if oids not in known:
            known[oids] = await introspect(self, typeoids, timeout)
        return known[oids]

    connection_class._introspect_types = introspect_unknown
