"""Cells of an exported CSV file (RFC 4180, UTF-8, no byte order mark)."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

# What makes a spreadsheet take a cell for a formula (OWASP, CSV injection), with the full-width forms of the signs.
_BEGINS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class PlainPhone(str):
    """A number in E.164, which is written as it is: `+` and digits are a number at the worst, and can be imported.

    The database holds nothing else in its columns of phones.
    """


Cell = str | int | float | Decimal | datetime | UUID | None


def text_of(cell: Cell) -> str:
    """Return a cell as it is written; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    match cell:
        case None:
            return ""
        case datetime():
            return cell.isoformat()
        case PlainPhone():
            return cell
        case str() if cell.lstrip(" ").startswith(_BEGINS_A_FORMULA):
            return f"'{cell}"
    return str(cell)


class CsvText:
    """Collects rows as the bytes of a file, which are taken from it piece by piece."""

    def __init__(self, header: Sequence[str]) -> None:
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text)
        self._writer.writerow(header)

    @property
    def length(self) -> int:
        """How many characters wait to be taken."""
        return self._text.tell()

    def add(self, cells: Iterable[Cell]) -> None:
        """Add a row."""
        self._writer.writerow([text_of(cell) for cell in cells])

    def take(self) -> bytes:
        """Return what has been collected since the last time."""
        content = self._text.getvalue().encode(errors="replace")
        self._text.seek(0)
        self._text.truncate()
        return content
