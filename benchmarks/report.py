"""Prints benchmark results as a table or as one JSON object."""

import json
import platform
from collections.abc import Mapping, Sequence
from os import cpu_count

from rich.console import Console
from rich.table import Table

Row = Mapping[str, object]


def report(title: str, rows: Sequence[Row], ratios: Sequence[Row], *, as_json: bool) -> None:
    """Print `rows`, which have the same keys, and `ratios`: our figures divided by those of the reference.

    With `as_json`, print one object with `rows`, `ratios` and a description of the machine.
    """
    if as_json:
        print(json.dumps({"benchmark": title, "machine": _machine(), "rows": rows, "ratios": ratios}))
        return
    console = Console()
    table = Table(title=f"{title} ({_machine()})", title_justify="left", min_width=len(title) + 30)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right" if _is_number(rows[0][name]) else "left")
    for row in rows:
        table.add_row(*map(_text, row.values()))
    console.print(table)
    for ratio in ratios:
        console.print("  ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in ratio.items()))


def _machine() -> str:
    return f"{cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _text(value: object) -> str:
    match value:
        case float() if abs(value) < 100:
            return f"{value:,.2f}"
        case int() | float():
            return f"{value:,.0f}"
        case _:
            return str(value)
