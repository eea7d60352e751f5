"""One line of JSON per thing worth telling: stable name, ids as fields, never a secret, phones masked by the caller."""

import logging
import sys
from datetime import datetime
from typing import Literal

import msgspec

Level = Literal["debug", "info", "warning", "error"]
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_logger = logging.getLogger("outdial")


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line: moment, level, name of the event, its fields, and the traceback where there is one."""
        fields = getattr(record, "fields", {})
        moment = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        line = {"at": moment, "level": record.levelname.lower(), "event": record.getMessage(), **fields}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def log(event: str, *, level: Level = "info", error: BaseException | None = None, **fields: object) -> None:
    """Tell that `event` has happened; `error` adds its traceback."""
    _logger.log(_LEVELS[level], event, extra={"fields": fields}, exc_info=error)


def log_to_stderr(level: Level = "info") -> None:
    """Write the process's lines to standard error, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    _logger.handlers[:] = [handler]
    _logger.setLevel(_LEVELS[level])
    _logger.propagate = False
