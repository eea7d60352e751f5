"""Log entries and statistics in the columns of Supabase's log endpoints.

`supabase logs` 3.1 reads the rows of `logs`. Rows of `function_edge_logs` and `function_logs` also have the fields that
the documentation unnests (docs: Logging, Querying with the logs explorer) as columns.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from outdial.db.queries.host.function_logs import FunctionStats, LogEntryRow
from outdial.functions.paths import PREFIX

_SOURCE: Final = {True: "function_edge_logs", False: "function_logs"}
_EVENT_TYPE: Final = {"boot": "Boot", "boot_failed": "BootFailure", "shutdown": "Shutdown"}
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
# Paths of records start with a slash.
_PREFIX: Final = PREFIX.removesuffix("/")


def whole_row(entry: LogEntryRow, project_ref: str) -> dict[str, object]:
    """Return an entry as a row of the table `logs`."""
    fields = _fields(entry, project_ref)
    return {
        "id": entry_id(entry),
        "ts_ms": _microseconds(entry) // 1000,
        "source": _SOURCE[entry.kind == "invocation"],
        "severity_text": "",
        "level": _level(entry),
        "event_message": event_message(entry),
        "log_attributes": {
            name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for name, value in fields.items()
            if value is not None
        },
    }


def table_row(entry: LogEntryRow, project_ref: str) -> dict[str, object]:
    """Return an entry as a row of `function_edge_logs` or `function_logs`."""
    fields = _fields(entry, project_ref)
    metadata: dict[str, Any] = {}
    for name, value in fields.items():
        group, _, key = name.rpartition(".")
        if group:
            metadata.setdefault(group, [{}])[0][key] = value
        else:
            metadata[name] = value
    return {
        "id": entry_id(entry),
        "timestamp": _microseconds(entry),
        "event_message": event_message(entry),
        **{name.rpartition(".")[2]: value for name, value in fields.items()},
        "metadata": [metadata],
    }


def stats_row(stats: FunctionStats) -> dict[str, object]:
    """Return a row of `functions.combined-stats`. Memory is None because it is not measured per request."""
    invocations = stats.invocations or 1
    return {
        "timestamp": stats.starts_at.isoformat(),
        "requests_count": stats.invocations,
        "success_count": stats.succeeded,
        "redirect_count": stats.redirected,
        "client_err_count": stats.refused,
        "server_err_count": stats.failed,
        "avg_execution_time": stats.mean_ms,
        "max_execution_time": stats.most_ms,
        "avg_cpu_time_used": stats.cpu_us / 1000 / invocations,
        "max_cpu_time_used": (stats.most_cpu_us or 0) / 1000,
        "avg_memory_used": None,
        "log_count": stats.infos + stats.warnings + stats.errors,
        "log_info_count": stats.infos,
        "log_warn_count": stats.warnings,
        "log_error_count": stats.errors,
    }


def entry_id(entry: LogEntryRow) -> str:
    """Return the id in hexadecimal, which sorts as text in the order of the log."""
    return f"{entry.id:016x}"


def event_message(entry: LogEntryRow) -> str:
    """Return the text that Supabase shows for an entry."""
    if entry.kind == "invocation":
        return f"{entry.method} | {entry.status} | {_PREFIX}{entry.path}"
    return entry.text or ""


def _fields(entry: LogEntryRow, project_ref: str) -> dict[str, object]:
    common: dict[str, object] = {
        "function_id": entry.slug,
        "version": str(entry.version),
        "deployment_id": f"{project_ref}_{entry.slug}_{entry.version}",
        "execution_id": None if entry.execution_id is None else str(entry.execution_id),
        "request_id": None if entry.request_id is None else str(entry.request_id),
        "level": _level(entry),
    }
    if entry.kind == "invocation":
        return common | {
            "execution_time_ms": entry.ms,
            "cpu_time_used": (entry.cpu_us or 0) / 1000,
            "cold": entry.cold,
            "region": entry.region,
            "sb_error_code": entry.code or None,
            "request.method": entry.method,
            "request.pathname": f"{_PREFIX}{entry.path}",
            "request.content_length": entry.request_bytes,
            "response.status_code": entry.status,
            "response.content_length": entry.response_bytes,
        }
    details: Mapping[str, object] = msgspec.json.decode(entry.details) if entry.details else {}
    return {**details, **common, "event_type": _EVENT_TYPE.get(entry.kind, "Log")}


def _level(entry: LogEntryRow) -> str:
    return "warn" if entry.level == "warning" else entry.level


def _microseconds(entry: LogEntryRow) -> int:
    span = entry.at - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
