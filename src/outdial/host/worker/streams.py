"""Leads what a function prints, and what it and its libraries log, into the journal of its worker."""

import io
import logging
import sys
from collections.abc import Iterable
from typing import Any

from outdial.host.wire.frames import Level
from outdial.host.worker.capture import LONGEST_LINE, WorkerLog
from outdial.log import JsonFormatter


def redirect_output(journal: WorkerLog) -> None:
    """Put the journal in the place of the standard streams and of every handler of logging, from info on."""
    sys.stdout = sys.__stdout__ = CapturedStream(journal, "info", 1)  # type: ignore[assignment,misc]
    sys.stderr = sys.__stderr__ = CapturedStream(journal, "error", 2)  # type: ignore[assignment,misc]
    root, own = logging.getLogger(), logging.getLogger("outdial")
    root.handlers[:] = [CapturingHandler(journal, logging.Formatter("%(name)s: %(message)s"))]
    root.setLevel(logging.INFO)
    own.handlers[:] = [CapturingHandler(journal, JsonFormatter(), redacted=True)]
    own.setLevel(logging.INFO)
    own.propagate = False


class CapturedStream(io.TextIOBase):
    """A text stream whose lines are lines of the journal."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, journal: WorkerLog, level: Level, descriptor: int) -> None:
        super().__init__()
        self._journal, self._level, self._descriptor = journal, level, descriptor
        self._begun = ""
        self.buffer = _Bytes(self)

    def write(self, text: str, /) -> int:
        """Keep the lines that `text` completes."""
        if text == "\n":
            begun, self._begun = self._begun, ""
            self._journal.add(self._level, begun)
        elif "\n" in text:
            self._write_lines(text)
        else:
            self._begin(text)
        return len(text)

    def flush(self) -> None:
        """Make a line of what was printed without an end of line."""
        if self._begun:
            begun, self._begun = self._begun, ""
            self._journal.add(self._level, begun)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]
        """Write one after another."""
        for line in lines:
            self.write(line)

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """It is not."""
        return False

    def fileno(self) -> int:
        """Return the descriptor that C code writes to, whose bytes come to the journal another way."""
        return self._descriptor

    def _write_lines(self, text: str) -> None:
        start = 0
        while (end := text.find("\n", start)) >= 0:
            if not self._journal.has_room():
                self._begun = ""
                self._journal.drop(text.count("\n", start))
                start = text.rfind("\n") + 1
                break
            begun, self._begun = self._begun, ""
            self._journal.add(self._level, begun + text[start:end] if begun else text[start:end])
            start = end + 1
        if start < len(text):
            self._begin(text[start:])

    def _begin(self, text: str) -> None:
        # One line more than is kept, so that the journal can say that it was cut.
        if len(self._begun) <= LONGEST_LINE:
            self._begun += text[: LONGEST_LINE + 1]


class CapturingHandler(logging.Handler):
    """Keeps the records of logging."""

    def __init__(self, journal: WorkerLog, formatter: logging.Formatter, *, redacted: bool = False) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._journal, self._redacted = journal, redacted

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record as one line, whatever it holds."""
        if not self._journal.has_room():
            self._journal.drop(1)
            return
        try:
            text = self.format(record)
        except Exception as error:
            text = f"{record.name}: {record.msg!r} could not be written: {error!r}"
        self._journal.add(_level(record.levelno), text, redacted=self._redacted)


class _Bytes(io.RawIOBase):
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


def _level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
