"""Captures log lines for tests."""

import logging
from typing import Any


class LogLines(logging.Handler):
    """A log handler that keeps every line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line as a dictionary of its fields."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        self.lines.append({"event": record.getMessage(), "level": record.levelname.lower(), **fields})

    def events(self) -> list[str]:
        """Return the event names, in order."""
        return [line["event"] for line in self.lines]
