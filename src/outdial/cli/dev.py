"""Prints the output of `outdial dev`: each line after the name of its process, in color."""

import contextlib
from collections.abc import Mapping, Sequence

import msgspec
from rich.text import Text

from outdial.cli.database import print_applied
from outdial.cli.output import console, print_pairs
from outdial.db.migrate import AppliedFile

COLORS = {
    "database": "blue",
    "functions": "green",
    "studio": "yellow",
    "jobs": "bright_black",
    "simulator": "magenta",
    "dialer": "cyan",
}
NAME_WIDTH = 10


class TerminalConsole:
    """Standard output, as `outdial.stack.dev.StackConsole`. Closed output is ignored: the stack must still stop."""

    def line(self, process: str, text: str) -> None:
        """Print a line of a process's output, after the name of the process."""
        name = Text(f"{process:<{NAME_WIDTH}}", style=COLORS.get(process.partition(" ")[0], "default"))
        with contextlib.suppress(OSError):
            console.print(name.append("| ", style="dim").append(readable(text), style="default"), soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line."""
        with contextlib.suppress(OSError):
            console.print(text, soft_wrap=True, markup=False)

    def migrated(self, applied: Sequence[AppliedFile]) -> None:
        """Print the migrations that were applied."""
        print_applied(applied)

    def pairs(self, pairs: Mapping[str, object]) -> None:
        """Print names and values."""
        with contextlib.suppress(OSError):
            print_pairs(pairs)


def readable(line: str) -> str:
    """Format a JSON log line as time, level, event and fields; return any other line unchanged."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, object])
        head = [f"{fields.pop('at')}"[11:19], str(fields.pop("level")).upper(), str(fields.pop("event"))]
    except (msgspec.MsgspecError, KeyError):
        return line
    trace = str(fields.pop("traceback", ""))
    return " ".join([*head, *(f"{name}={value}" for name, value in fields.items())]) + (f"\n{trace}" if trace else "")
