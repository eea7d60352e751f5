"""What a process logs, as a test looks at it."""

import logging
from typing import Any


class Lines(logging.Handler):
    """Keeps what the process logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line as its fields."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        self.lines.append({"event": record.getMessage(), "level": record.levelname.lower(), **fields})

    def events(self) -> list[str]:
        """The names of the events, in order."""
        return [line["event"] for line in self.lines]
