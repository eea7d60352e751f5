"""`outdial functions logs` and `outdial functions stats`: invocations, log lines and statistics."""

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar

import msgspec
import typer
from rich.text import Text

from outdial.cli.errors import InvalidArgument
from outdial.cli.functions.management import manage
from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries.host.function_logs import FunctionStats, LogEntryRow
from outdial.stack.local import as_service

if TYPE_CHECKING:
    from outdial.host.api.log_query import LogFilter

clock = SystemClock()

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LEVELS: tuple[Literal["debug", "info", "warning", "error"], ...] = ("debug", "info", "warning", "error")
_STYLES = {"debug": "dim", "info": "", "warning": "yellow", "error": "red"}
# The first characters of a request id: its time to the millisecond, and enough to look it up.
_SHOWN_OF_A_REQUEST = 13
# Control characters that a terminal would act on: functions and callers write the text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WORDS_OF_A_LINE = {"at", "level", "event", "function", "request_id", "traceback"}

Result = TypeVar("Result")
Slug = Annotated[str | None, typer.Argument(help="Name of a function (default: all).")]
LogEnvironment = Annotated[
    str | None,
    typer.Option("--env", help="local, or an environment in supabase/config.toml (default: this command's database)."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `outdial functions`."""
    app.command()(logs)
    app.command()(stats)


def logs(
    slug: Slug = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new entries until Ctrl-C.")] = False,
    level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(help="Minimum level. 4xx responses are warnings, 5xx responses errors."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Start: a duration such as 10m, 2h or 3d, or an ISO 8601 time.")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Errors only; same as --level error.")] = False,
    request_id: Annotated[str | None, typer.Option(help="A request id, or its start as listed.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Maximum number of entries; the newest are shown.")
    ] = 100,
    env: LogEnvironment = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Show invocations and log lines, oldest first.

    The columns are time, level, function, start of the request id, and the response or the log line. With --env they
    come from the management API of an environment, whose access token needs the scope logs.
    """
    from outdial.host.api.log_query import BadRequest, LogFilter, read_request_id

    try:
        requests = None if request_id is None else read_request_id(request_id)
    except BadRequest as error:
        raise InvalidArgument(f"--request-id: {error}") from error
    least = "error" if errors else level
    log_filter = LogFilter(
        slug=slug,
        levels=None if least is None else frozenset(_LEVELS[_LEVELS.index(least) :]),
        since=None if since is None else read_since("--since", since, clock.now()),
        requests=requests,
    )
    try:
        read_log(env, lambda log: _show(log, log_filter, limit, follow=follow, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def stats(
    slug: Slug = None,
    since: Annotated[str, typer.Option(help="Start: a duration such as 10m, 2h or 3d, or an ISO 8601 time.")] = "24h",
    env: LogEnvironment = None,
    as_json: AsJson = False,
) -> None:
    """Show statistics for each function: invocations, durations, errors, and lost log lines.

    The row without a name counts requests to unknown functions.
    """
    now = clock.now()
    start = read_since("--since", since, now)
    if start >= now:
        raise InvalidArgument(f"--since: {since} is in the future")
    rows = read_log(env, lambda log: log.stats(start, now, slug=slug))
    if as_json:
        print_json(rows)
        return
    print_rows(_STATS_COLUMNS, rows, empty="No invocations or log lines in this period.")


def read_since(option: str, text: str, now: datetime) -> datetime:
    """Parse a duration before `now`, or an ISO 8601 time, which is local without a zone."""
    span = _SPAN.fullmatch(text.strip().lower())
    try:
        if span is not None:
            return now - timedelta(**{_UNITS[span[2]]: float(span[1])})
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidArgument(
            f"{option}: {text!r} is neither a duration such as 10m, 2h or 3d nor an ISO 8601 time"
        ) from None


class FunctionLog(Protocol):
    """The log of an environment: in this command's database, or behind a management API."""

    async def newest(self, filter: "LogFilter", limit: int) -> list[LogEntryRow]:
        """Return up to `limit` entries, newest first."""
        ...

    async def last_id(self) -> int:
        """Return the id of the last entry, 0 for an empty log."""
        ...

    def follow(self, filter: "LogFilter", after_id: int) -> AsyncIterator[list[LogEntryRow]]:
        """Yield new entries after the entry `after_id`."""
        ...

    async def stats(self, since: datetime, until: datetime, *, slug: str | None = None) -> list[FunctionStats]:
        """Return the statistics of each function."""
        ...


def read_log(env: str | None, work: Callable[[FunctionLog], Awaitable[Result]]) -> Result:
    """Run `work` with the log of the environment `env`, or with that in this command's database."""
    if env is not None:
        return manage(env, work)
    from outdial.host.api.logs import LogReader

    return as_service(lambda database: work(LogReader(database.as_service, clock)))


async def _show(reader: FunctionLog, log_filter: "LogFilter", limit: int, *, follow: bool, as_json: bool) -> None:
    last_id = await reader.last_id()
    entries = await reader.newest(log_filter, limit)
    _print(reversed(entries), as_json)
    if not follow:
        if not entries and not as_json:
            notes.print("No matching log entries.")
        return
    shown = {entry.id for entry in entries}
    async for arrived in reader.follow(log_filter, last_id):
        _print((entry for entry in arrived if entry.id not in shown), as_json)


def _print(entries: Iterable[LogEntryRow], as_json: bool) -> None:
    for entry in entries:
        if not as_json:
            console.print(line_of(entry), soft_wrap=True)
            continue
        fields = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
        if entry.details is not None:
            fields["details"] = msgspec.json.decode(entry.details)
        known = {name: value for name, value in fields.items() if value is not None}
        sys.stdout.write(msgspec.json.encode(known, enc_hook=str).decode() + "\n")
    sys.stdout.flush()


def line_of(entry: LogEntryRow) -> Text:
    """Format an entry for a terminal; continuation lines are indented."""
    style = _STYLES[entry.level]
    moment = entry.at.astimezone().isoformat(" ", "milliseconds")[: len("2026-01-01 00:00:00.000")]
    request = "" if entry.request_id is None else str(entry.request_id)[:_SHOWN_OF_A_REQUEST]
    line = Text(f"{moment}  ", "dim").append(f"{entry.level:<7}  ", style)
    line.append(f"{entry.slug or '-'}  ", "cyan").append(f"{request or '-':<{_SHOWN_OF_A_REQUEST}}  ", "dim")
    if entry.kind == "invocation":
        parts = [f"{entry.method} {entry.path} {entry.status} in {entry.ms:.1f} ms"]
        if entry.code:
            parts.append(entry.code)
        if entry.cold:
            parts.append("cold")
        text = ", ".join([*parts, f"{entry.request_bytes} B in, {entry.response_bytes} B out"])
    else:
        text = _of_line(entry.text or "")
    return line.append(_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text).replace("\n", "\n    "), style)


def _of_line(text: str) -> str:
    """Format a JSON line of `ctx.log` as event and fields; return any other line unchanged."""
    if not text.startswith("{"):
        return text
    try:
        line = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    if not isinstance(line, dict) or not isinstance(line.get("event"), str):
        return text
    parts = [line["event"]]
    for name, value in line.items():
        if name not in _WORDS_OF_A_LINE:
            parts.append(f"{name}={value if isinstance(value, str) else msgspec.json.encode(value).decode()}")
    return " ".join(parts) + (f"\n{line['traceback']}" if line.get("traceback") else "")


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


_STATS_COLUMNS: dict[str, Any] = {
    "FUNCTION": lambda row: row.slug or "-",
    "INVOCATIONS": lambda row: row.invocations,
    "4XX": lambda row: row.refused,
    "5XX": lambda row: Text(str(row.failed), "red" if row.failed else ""),
    "P50 MS": lambda row: _ms(row.p50_ms),
    "P95 MS": lambda row: _ms(row.p95_ms),
    "P99 MS": lambda row: _ms(row.p99_ms),
    "COLD": lambda row: row.cold_starts,
    "CPU MS AVG": lambda row: _ms(row.cpu_us / 1000 / row.invocations) if row.invocations else None,
    "BYTES IN": lambda row: row.request_bytes,
    "BYTES OUT": lambda row: row.response_bytes,
    "LINES": lambda row: row.lines,
    "LOST": lambda row: row.dropped_lines + row.dropped_invocations,
}
