"""Objects as YAML that people read."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml


def to_yaml(objects: Iterable[dict[str, Any]], head: Sequence[str]) -> str:
    """Return one YAML stream of `objects`, keys in their own order, with the lines of `head` as comments above."""
    comments = "".join(f"# {line}\n" for line in head)
    return comments + yaml.dump_all(
        objects, Dumper=_Readable, sort_keys=False, explicit_start=True, width=120, allow_unicode=True
    )


class _Readable(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        # Repeated in full: an anchor is one thing more to look up.
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        # Items of a list stand under its key.
        super().increase_indent(flow, False)
