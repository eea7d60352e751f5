"""Statements over the log of the function host (`queries/host_logs.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class LogEntryRow:
    """An invocation or a line.

    `kind` is invocation, log, boot, boot_failed, shutdown or dropped. From `method` on, the fields are an invocation's;
    `text` and `details`, which is JSON, are a line's.
    """

    at: datetime
    id: int
    slug: str
    version: int
    execution_id: UUID | None
    request_id: UUID | None
    level: str
    kind: str
    text: str | None
    details: str | None
    method: str | None
    path: str | None
    status: int | None
    code: str | None
    ms: float | None
    cpu_us: int | None
    cold: bool | None
    request_bytes: int | None
    response_bytes: int | None
    region: str | None


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """What a function was asked and what it logged in a span of time.

    `refused` counts 4xx, `failed` 5xx; `infos`, `warnings` and `errors` count lines and what happened to
    workers; `dropped_...` is what the log lacks. Times in ms are None without invocations.
    """

    slug: str
    starts_at: datetime
    invocations: int
    succeeded: int
    redirected: int
    refused: int
    failed: int
    cold_starts: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float | None
    most_ms: float | None
    cpu_us: int
    most_cpu_us: int | None
    request_bytes: int
    response_bytes: int
    lines: int
    infos: int
    warnings: int
    errors: int
    dropped_lines: int
    dropped_invocations: int


@dataclass(frozen=True, slots=True)
class LockRow:
    """Whether a lock was free."""

    taken: bool


COMMIT_LOOSELY: Statement[Any] = Statement("commit_loosely")
PLAN_FOR_VALUES: Statement[Any] = Statement("plan_for_values")
INSERT_INVOCATIONS: Statement[Any] = Statement("insert_invocations")
INSERT_LOG_LINES: Statement[Any] = Statement("insert_log_lines")
ONLY_RETENTION = Statement("only_retention", LockRow)
REMOVE_OLD_INVOCATIONS: Statement[Any] = Statement("remove_old_invocations")
REMOVE_OLD_LINES: Statement[Any] = Statement("remove_old_lines")
LIST_LOG_ENTRIES = Statement("list_log_entries", LogEntryRow)
LIST_LOG_ENTRIES_AFTER = Statement("list_log_entries_after", LogEntryRow)
LIST_ARRIVED_LOG_ENTRIES = Statement("list_arrived_log_entries", LogEntryRow)
LAST_LOG_ID = Statement("last_log_id", Touched)
FUNCTION_STATS = Statement("function_stats", FunctionStats)
