"""Shows on a developer's terminal what functions log and print."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from outdial.host.log.sink import EventKind, InvocationRecord
from outdial.host.wire.frames import LogLine
from outdial.log import Level, log

_LEVELS: Mapping[EventKind, Level] = {"boot": "debug", "boot_failed": "error", "shutdown": "debug"}
# Words of the log itself, that no field may have.
_TAKEN = {"event", "level", "error"}


class TerminalSink:
    """A sink that shows; `write` is given each line with its end, and may fail."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def invocation(self, record: InvocationRecord) -> None:
        """Show nothing: the functions say what is worth it."""

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[LogLine], dropped: int) -> None:
        """Show lines; those of `ctx.log` are JSON and name their function themselves."""
        with suppress(OSError, ValueError):  # the terminal is gone
            for line in lines:
                self._write(f"{line.text}\n" if line.text.startswith("{") else f"[{slug}] {line.text}\n")

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Show that a worker started, failed to start, or ended."""
        told = {f"{name}_" if name in _TAKEN else name: value for name, value in fields.items()}
        log(f"functions.{kind}", level=_LEVELS[kind], error=None, **{**told, "function": slug})
