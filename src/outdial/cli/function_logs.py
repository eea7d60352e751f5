"""`outdial functions logs` and `outdial functions stats`: what functions were asked, and what they said."""

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
from rich.text import Text

from outdial.cli.errors import BadInput
from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.host_logs import FunctionStats, LogEntryRow
from outdial.db.session import Database
from outdial.stack.local import as_service

if TYPE_CHECKING:
    from outdial.host.api.log_query import LogFilter

clock = SystemClock()

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LEVELS: tuple[Literal["debug", "info", "warning", "error"], ...] = ("debug", "info", "warning", "error")
_STYLES = {"debug": "dim", "info": "", "warning": "yellow", "error": "red"}
# The first digits of a request id: the time to the millisecond, and enough to ask for it.
_SHOWN_OF_A_REQUEST = 13
# What a terminal would obey: the text is a function's, or a caller's.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WORDS_OF_A_LINE = {"at", "level", "event", "function", "request_id", "traceback"}

Slug = Annotated[str | None, typer.Argument(help="Name of a function; all of them without it.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `outdial functions`."""
    app.command()(logs)
    app.command()(stats)


def logs(
    slug: Slug = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes in, until Ctrl-C.")] = False,
    level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(help="This level and above. 4xx answers are warnings, 5xx answers errors."),
    ] = None,
    since: Annotated[str | None, typer.Option(help="A span such as 10m, 2h or 3d, or a time in ISO 8601.")] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only what failed: the same as --level error.")] = False,
    request_id: Annotated[str | None, typer.Option(help="A request's id, or its beginning as it is listed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show invocations and what functions logged or printed, in the order of time.

    The columns are: the time, the level, the function, the beginning of the request's id, and the answer or the text.
    """
    from outdial.host.api.log_query import BadRequest, LogFilter, read_request_id

    try:
        requests = None if request_id is None else read_request_id(request_id)
    except BadRequest as error:
        raise BadInput(f"--request-id: {error}") from error
    least = "error" if errors else level
    wanted = LogFilter(
        slug=slug,
        levels=None if least is None else frozenset(_LEVELS[_LEVELS.index(least) :]),
        since=None if since is None else read_since("--since", since, clock.now()),
        requests=requests,
    )
    try:
        as_service(lambda database: _show(database, wanted, limit, follow=follow, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def stats(
    slug: Slug = None,
    since: Annotated[str, typer.Option(help="A span such as 10m, 2h or 3d, or a time in ISO 8601.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Show how often each function was invoked, how long it took, what failed, and what the log could not keep.

    Requests that name no function are in the line without a name.
    """
    from outdial.host.api.logs import LogReader

    now = clock.now()
    begin = read_since("--since", since, now)
    if begin >= now:
        raise BadInput(f"--since: {since} lies ahead")
    rows = as_service(lambda database: LogReader(database.as_service, clock).stats(begin, now, slug=slug))
    if as_json:
        print_json(rows)
        return
    print_rows(_STATS_COLUMNS, rows, empty="Nothing was invoked or logged in that time.")


def read_since(option: str, text: str, now: datetime) -> datetime:
    """Return the time that `text` names: a span before `now`, or ISO 8601, local when it has no zone."""
    span = _SPAN.fullmatch(text.strip().lower())
    try:
        if span is not None:
            return now - timedelta(**{_UNITS[span[2]]: float(span[1])})
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(f"{option}: {text!r} is no span such as 10m, 2h or 3d, and no time in ISO 8601") from None


async def _show(database: Database, wanted: "LogFilter", limit: int, *, follow: bool, as_json: bool) -> None:
    from outdial.host.api.logs import LogReader

    reader = LogReader(database.as_service, clock)
    last_id = await reader.last_id()
    entries = await reader.newest(wanted, limit)
    _print(reversed(entries), as_json)
    if not follow:
        if not entries and not as_json:
            notes.print("Nothing in the log fits.")
        return
    shown = {entry.id for entry in entries}
    async for arrived in reader.follow(wanted, last_id):
        _print((entry for entry in arrived if entry.id not in shown), as_json)


def _print(entries: Iterable[LogEntryRow], as_json: bool) -> None:
    for entry in entries:
        if as_json:
            sys.stdout.write(msgspec.json.encode(_as_dict(entry), enc_hook=str).decode() + "\n")
        else:
            console.print(line_of(entry), soft_wrap=True)
    sys.stdout.flush()


def _as_dict(entry: LogEntryRow) -> dict[str, Any]:
    fields = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
    if entry.details is not None:
        fields["details"] = msgspec.json.decode(entry.details)
    return {name: value for name, value in fields.items() if value is not None}


def line_of(entry: LogEntryRow) -> Text:
    """Return an entry as people read it; where its text has several lines, those after the first are indented."""
    style = _STYLES[entry.level]
    moment = entry.at.astimezone().isoformat(" ", "milliseconds")[: len("2026-01-01 00:00:00.000")]
    request = "" if entry.request_id is None else str(entry.request_id)[:_SHOWN_OF_A_REQUEST]
    line = Text(f"{moment}  ", "dim").append(f"{entry.level:<7}  ", style)
    line.append(f"{entry.slug or '-'}  ", "cyan").append(f"{request or '-':<{_SHOWN_OF_A_REQUEST}}  ", "dim")
    told = _of_invocation(entry) if entry.kind == "invocation" else _of_line(entry.text or "")
    return line.append(_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", told).replace("\n", "\n    "), style)


def _of_invocation(entry: LogEntryRow) -> str:
    told = [f"{entry.method} {entry.path} {entry.status} in {entry.ms:.1f} ms"]
    if entry.code:
        told.append(entry.code)
    if entry.cold:
        told.append("cold")
    told.append(f"{entry.request_bytes} B in, {entry.response_bytes} B out")
    return ", ".join(told)


def _of_line(text: str) -> str:
    """Return a line of `ctx.log`, which is JSON, as its event and fields; any other as it is."""
    if not text.startswith("{"):
        return text
    try:
        line = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    if not isinstance(line, dict) or not isinstance(line.get("event"), str):
        return text
    told = [line["event"]]
    told += [f"{name}={_plain(value)}" for name, value in line.items() if name not in _WORDS_OF_A_LINE]
    return " ".join(told) + (f"\n{line['traceback']}" if line.get("traceback") else "")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _cpu_ms(row: FunctionStats) -> str | None:
    return _ms(row.cpu_us / 1000 / row.invocations) if row.invocations else None


_STATS_COLUMNS: dict[str, Any] = {
    "FUNCTION": lambda row: row.slug or "-",
    "INVOCATIONS": lambda row: row.invocations,
    "4XX": lambda row: row.refused,
    "5XX": lambda row: Text(str(row.failed), "red" if row.failed else ""),
    "P50 MS": lambda row: _ms(row.p50_ms),
    "P95 MS": lambda row: _ms(row.p95_ms),
    "P99 MS": lambda row: _ms(row.p99_ms),
    "COLD": lambda row: row.cold_starts,
    "CPU MS EACH": _cpu_ms,
    "BYTES IN": lambda row: row.request_bytes,
    "BYTES OUT": lambda row: row.response_bytes,
    "LINES": lambda row: row.lines,
    "NOT KEPT": lambda row: row.dropped_lines + row.dropped_invocations,
}
