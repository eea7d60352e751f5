"""Output: tables for people, JSON for programs, and one line on standard error for an error."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_WIDE = 240


# Lines in a file or pipe are not wrapped.
console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
notes = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _WIDE)


def print_json(value: Any) -> None:
    """Print `value` as indented JSON. Rows may be dataclasses; bytes are decoded as UTF-8."""
    plain = [_plain(item) for item in value] if isinstance(value, list | tuple) else _plain(value)
    text = msgspec.json.encode(plain, enc_hook=str)
    sys.stdout.write(msgspec.json.format(text, indent=2).decode() + "\n")


def print_rows(columns: Mapping[str, Callable[[Any], Any]], rows: Sequence[Any], *, empty: str) -> None:
    """Print a table; `columns` maps each heading to a function from a row to its cell. Print `empty` without rows."""
    if not rows:
        notes.print(empty)
        return
    console.print(table_of(columns, rows))


def table_of(columns: Mapping[str, Callable[[Any], Any]], rows: Sequence[Any]) -> Table:
    """Return a table; `columns` maps each heading to a function from a row to its cell."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns:
        table.add_column(heading, overflow="fold", no_wrap=heading == "ID")
    for row in rows:
        cells = [cell(show(row)) for show in columns.values()]
        # As Text, because a string is parsed for markup.
        table.add_row(*(shown if isinstance(shown, Text) else Text(shown) for shown in cells))
    return table


def print_pairs(pairs: Mapping[str, Any]) -> None:
    """Print one name and value a line; None values are left out."""
    width = max(map(len, pairs), default=0) + 2
    for name, value in pairs.items():
        if value is not None:
            console.print(
                Text(f"{name:<{width}}", style="bold").append(str(cell(value)), style="not bold"), soft_wrap=True
            )


def cell(value: Any) -> str | Text:
    """Format a value for a table; times are in the local zone, to the second."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return value if isinstance(value, Text) else str(value)


def fail(message: str) -> None:
    """Print an error message to standard error."""
    sys.stderr.write(f"Error: {message}\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(item) for name, item in asdict(value).items()}
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
