"""Render objects as readable YAML."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml


def to_yaml(objects: Iterable[dict[str, Any]], head: Sequence[str]) -> str:
    """Return one YAML stream of `objects` in the given key order, with the lines of `head` as comments at the top."""
    comments = "".join(f"# {line}\n" for line in head)
    return comments + yaml.dump_all(
        objects, Dumper=_Readable, sort_keys=False, explicit_start=True, width=120, allow_unicode=True
    )


class _Readable(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        # Repeat values instead of using anchors, which the reader would have to look up.
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        # Indent list items below their key.
        super().increase_indent(flow, False)
