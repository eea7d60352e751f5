"""Invocation records and log lines for tests of the function log."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.domain.ids import new_id
from outdial.host.log.sink import InvocationRecord
from outdial.host.log.writer import LogWriter
from outdial.host.wire.frames import Level, LogLine
from tests.support.factories import NOW
from tests.support.postgres import Scratch

WORKER = "6f2b1c9e-0b1d-4c58-9d0a-2f5c6a7b8c9d"


def request_id(at: datetime = NOW) -> str:
    """Return a new request id for a request at `at`."""
    return str(new_id(at))


def invocation(slug: str = "hello", *, after_s: float = 0.0, **fields: Any) -> InvocationRecord:
    """Return a record of an invocation `after_s` after NOW with status 200."""
    at = NOW + timedelta(seconds=after_s)
    usual: dict[str, Any] = {
        "at": at,
        "request_id": request_id(at),
        "slug": slug,
        "version": 3,
        "execution_id": WORKER,
        "method": "POST",
        "path": f"/{slug}",
        "status": 200,
        "code": "",
        "ms": 2.5,
        "cpu_us": 800,
        "cold": False,
        "request_bytes": 120,
        "response_bytes": 40,
        "region": "local",
    }
    return InvocationRecord(**{**usual, **fields})


def line(text: str = "hi", *, after_s: float = 0.0, level: Level = "info", request_id: str = "") -> LogLine:
    """Return a line logged `after_s` after NOW."""
    return LogLine(int((NOW + timedelta(seconds=after_s)).timestamp() * 1000), level, request_id, text)


async def host_database(database: Scratch) -> Database:
    """Connect as a host does."""
    return await Database.connect(database.dsn_for("outdial_host"), application_name="test", max_size=2)


async def write(
    database: Scratch,
    *,
    invocations: Sequence[InvocationRecord] = (),
    lines: Mapping[str, Sequence[LogLine]] | None = None,
    now: datetime = NOW,
) -> None:
    """Write invocation records, and lines by slug, as a host does."""
    async with await host_database(database) as host:
        writer = LogWriter(host, VirtualClock(now), {})
        for record in invocations:
            writer.invocation(record)
        for slug, found in (lines or {}).items():
            writer.lines(slug, 3, WORKER, found, 0)
        await writer.run_once()


def as_uuid(text: str) -> UUID:
    """Parse a UUID."""
    return UUID(text)
