"""Structured logs: one JSON object a line, with a stable event name and ids as fields.

Fields never contain secrets; callers mask phone numbers.
"""

import logging
import sys
from datetime import datetime
from typing import Literal

import msgspec

Level = Literal["debug", "info", "warning", "error"]
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_logger = logging.getLogger("outdial")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line: time, level, event, fields and, if present, the traceback."""
        fields = getattr(record, "fields", {})
        timestamp = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        line = {"at": timestamp, "level": record.levelname.lower(), "event": record.getMessage(), **fields}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def log(event: str, *, level: Level = "info", error: BaseException | None = None, **fields: object) -> None:
    """Log `event`; `error` adds its traceback."""
    _logger.log(_LEVELS[level], event, extra={"fields": fields}, exc_info=error)


def log_to_stderr(level: Level = "info") -> None:
    """Write the logs of this process to standard error, from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    _logger.handlers[:] = [handler]
    _logger.setLevel(_LEVELS[level])
    _logger.propagate = False
