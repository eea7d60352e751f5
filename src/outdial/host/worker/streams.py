"""Redirects what a function and its libraries print and log to the worker's log."""

import io
import logging
import sys
from collections.abc import Iterable
from typing import Any

from outdial.host.wire.frames import MAX_LINE, Level
from outdial.host.worker.capture import WorkerLog
from outdial.log import JsonFormatter

_LEVELS: tuple[tuple[int, Level], ...] = (
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)


def redirect_output(worker_log: WorkerLog) -> None:
    """Replace the standard streams and all logging handlers; log from level info."""
    sys.stdout = sys.__stdout__ = CapturedStream(worker_log, "info", 1)  # type: ignore[assignment,misc]
    sys.stderr = sys.__stderr__ = CapturedStream(worker_log, "error", 2)  # type: ignore[assignment,misc]
    root, own = logging.getLogger(), logging.getLogger("outdial")
    root.handlers[:] = [CapturingHandler(worker_log, logging.Formatter("%(name)s: %(message)s"))]
    root.setLevel(logging.INFO)
    own.handlers[:] = [CapturingHandler(worker_log, JsonFormatter(), redacted=True)]
    own.setLevel(logging.INFO)
    own.propagate = False


class CapturedStream(io.TextIOBase):
    """A text stream that adds its lines to the worker's log."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, worker_log: WorkerLog, level: Level, descriptor: int) -> None:
        super().__init__()
        self._worker_log = worker_log
        self._level = level
        self._descriptor = descriptor
        self._partial = ""
        self.buffer = _BinaryBuffer(self)

    def write(self, text: str, /) -> int:
        """Add the lines that `text` completes."""
        if text == "\n":
            line, self._partial = self._partial, ""
            self._worker_log.add(self._level, line)
            return 1
        start = 0
        while (end := text.find("\n", start)) >= 0:
            if not self._worker_log.has_room():
                self._partial = ""
                self._worker_log.drop(text.count("\n", start))
                start = text.rfind("\n") + 1
                break
            partial, self._partial = self._partial, ""
            self._worker_log.add(self._level, partial + text[start:end] if partial else text[start:end])
            start = end + 1
        # One character more than is kept, so that the log cuts the line visibly.
        if start < len(text) and len(self._partial) <= MAX_LINE:
            self._partial += text[start : start + MAX_LINE + 1]
        return len(text)

    def flush(self) -> None:
        """Add the unfinished line."""
        if self._partial:
            line, self._partial = self._partial, ""
            self._worker_log.add(self._level, line)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        """Return the file descriptor. C code writes to it; the gateway reads those bytes from a pipe."""
        return self._descriptor


class CapturingHandler(logging.Handler):
    """Adds logging records to the worker's log."""

    def __init__(self, worker_log: WorkerLog, formatter: logging.Formatter, *, redacted: bool = False) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._worker_log = worker_log
        self._redacted = redacted

    def emit(self, record: logging.LogRecord) -> None:
        """Add `record` as one line, even when it cannot be formatted."""
        if not self._worker_log.has_room():
            self._worker_log.drop(1)
            return
        try:
            text = self.format(record)
        except Exception as error:
            text = f"{record.name}: {record.msg!r} could not be formatted: {error!r}"
        level: Level = next((name for least, name in _LEVELS if record.levelno >= least), "debug")
        self._worker_log.add(level, text, redacted=self._redacted)


class _BinaryBuffer(io.RawIOBase):
    def __init__(self, text: CapturedStream) -> None:
        super().__init__()
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        content = bytes(data)
        self._text.write(content.decode("utf-8", "replace"))
        return len(content)

    def flush(self) -> None:
        self._text.flush()
