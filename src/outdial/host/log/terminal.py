"""Print what functions log on a developer's terminal."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from outdial.host.log.sink import EventKind, InvocationRecord, NullSink
from outdial.host.wire.frames import LogLine
from outdial.log import Level, log

_LEVELS: Mapping[EventKind, Level] = {"boot": "debug", "boot_failed": "error", "shutdown": "debug"}
# Parameters of log(), so that fields with these names need a suffix.
_RESERVED_NAMES = {"event", "level", "error"}


class TerminalSink:
    """Prints lines of functions. `write` gets each line with its newline, and may raise OSError or ValueError."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def invocation(self, record: InvocationRecord) -> None:
        """Print nothing: functions log what is worth showing."""

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[LogLine], dropped: int) -> None:
        """Print lines. Those of `ctx.log` are JSON with the function's name; others get it as a prefix."""
        with suppress(OSError, ValueError):  # the terminal is gone
            for line in lines:
                self._write(f"{line.text}\n" if line.text.startswith("{") else f"[{slug}] {line.text}\n")

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Log that a worker started, failed to start, or ended."""
        _log_event(slug, kind, fields)


class BootFailureSink(NullSink):
    """Logs functions that fail to boot, for the terminal of a host in production."""

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Log the failure."""
        if kind == "boot_failed":
            _log_event(slug, kind, fields)


def _log_event(slug: str, kind: EventKind, fields: Mapping[str, object]) -> None:
    renamed = {f"{name}_" if name in _RESERVED_NAMES else name: value for name, value in fields.items()}
    log(f"functions.{kind}", level=_LEVELS[kind], error=None, **{**renamed, "function": slug})
