"""Generates the command-line reference: `python -m outdial.cli.reference > docs/cli.md`."""

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

import typer

from outdial.cli.main import whole_command

_HEAD = """# The command line

This page is generated from the commands: `python -m outdial.cli.reference > docs/cli.md`.

Without `SUPABASE_DB_URL`, commands use the local stack in `OUTDIAL_HOME`. If `outdial dev` is not running, each command
starts the embedded Postgres and stops it at the end. `--json` prints results as JSON. Errors go to standard error; the
exit status is then 1, or 2 for invalid arguments. `outdial --version` prints the version.
"""


def render() -> str:
    """Return the page."""
    root = whole_command()
    return _HEAD + "".join(f"\n{section}\n" for section in _sections(root, "outdial", None))


def _sections(command: Any, name: str, parent: Any) -> Iterator[str]:
    context = typer.Context(command, info_name=name, parent=parent)
    children = getattr(command, "commands", None)
    if children is None:
        yield _section(command, context)
        return
    if parent is not None:
        yield f"## {context.command_path}\n\n{_text(command.help)}"
    for child_name, child in children.items():
        if not child.hidden:
            yield from _sections(child, child_name, context)


def _section(command: Any, context: Any) -> str:
    depth = "##" if context.parent.parent is None else "###"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    rows = []
    for param in command.params:
        record = param.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            name, meaning = (re.sub(r"\s+", " ", part).strip().replace("|", r"\|") for part in record)
            rows.append(f"| `{name}` | {meaning} |")
    table = "\n".join(["| | |", "|---|---|", *rows])
    body = [f"{depth} {context.command_path}", _text(command.help), f"```\n{usage}\n```"]
    return "\n\n".join([*body, table] if rows else body)


def _text(text: str | None) -> str:
    return inspect.cleandoc(text or "")


if __name__ == "__main__":
    sys.stdout.write(render())
