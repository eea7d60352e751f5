"""Cells of an exported CSV file (RFC 4180, UTF-8 with a byte order mark).

Excel reads a CSV file as UTF-8 only if it begins with a byte order mark. An import skips the mark.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from outdial.domain.spreadsheet import escape_formula


class PlainPhone(str):
    """A phone number in E.164, written unchanged so that the file can be imported again.

    A leading `+` is harmless here: the database allows only `+` and digits in phone columns.
    """


CsvCell = str | bool | int | float | Decimal | datetime | UUID | Sequence[Any] | Mapping[str, Any] | None


def format_cell(cell: CsvCell) -> str:
    """Format a cell. Text that a spreadsheet would run as a formula gets a leading apostrophe."""
    text = plain_text(cell)
    return escape_formula(text) if isinstance(cell, str) and not isinstance(cell, PlainPhone) else text


def plain_text(cell: CsvCell) -> str:
    """Return a cell as text: empty for None, JSON for lists, objects and booleans."""
    match cell:
        case None:
            return ""
        case datetime():
            return cell.isoformat()
        case bool() | list() | dict():
            return msgspec.json.encode(cell).decode()
        case _:
            return str(cell)


class CsvBuffer:
    """A buffer of CSV rows, emptied chunk by chunk. The first chunk begins with a byte order mark."""

    def __init__(self, header: Sequence[str]) -> None:
        self._text = io.StringIO(newline="")
        self._text.write("\ufeff")
        self._writer = csv.writer(self._text)
        self.add(header)

    @property
    def length(self) -> int:
        """The number of buffered characters."""
        return self._text.tell()

    def add(self, cells: Iterable[CsvCell]) -> None:
        """Append a row."""
        self._writer.writerow([format_cell(cell) for cell in cells])

    def take(self) -> bytes:
        """Return the buffered rows as UTF-8, and empty the buffer."""
        content = self._text.getvalue().encode(errors="replace")
        self._text.seek(0)
        self._text.truncate()
        return content
