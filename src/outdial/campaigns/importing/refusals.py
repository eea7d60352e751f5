"""Rows of a file that are refused, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from outdial.domain.spreadsheet import unescape_formula

REFUSED_COLUMNS: Final = ("refused_line", "refused_kind", "refused_reason")
"""The columns before the cells of a row in a file of refused rows. An import of such a file leaves them out."""


def unescape_cell(cell: str) -> str:
    """Return a cell trimmed, without the apostrophe that exports put before formulas.

    A file of refused rows holds these cells, escaped again. An import reads them as it read the first file.
    """
    # A line break at the end may be what was escaped, so it is trimmed afterwards.
    return unescape_formula(cell).strip()


class Refusal(StrEnum):
    """Why a row of a file, or an item of a request, was refused, in one word. Counts are kept by it."""

    UNREADABLE = "unreadable"
    TOO_LONG = "too_long"
    BROKEN_QUOTES = "broken_quotes"
    WRONG_COLUMNS = "wrong_columns"
    BAD_PHONE = "bad_phone"
    NO_COUNTRY_CODE = "no_country_code"
    BAD_PLACE = "bad_place"
    UNKNOWN_TIME_ZONE = "unknown_time_zone"
    NO_TIME_ZONE = "no_time_zone"
    BAD_CONSENT = "bad_consent"
    BAD_PRIORITY = "bad_priority"
    BAD_ITEM = "bad_item"
    BAD_TIME = "bad_time"
    DUPLICATE = "duplicate"
    DO_NOT_CALL = "do_not_call"
    ERASED = "erased"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A refused row: the physical line on which it starts, the cell that is wrong as written, and the reason.

    `value` is the text of the wrong cell: the phone if no other cell is wrong, or the start of a row that cannot be
    read. `field` is the field of that cell. `cells` are those of the row, so that it can be corrected and imported
    again: one cell with its first line if its quotes are broken, and none if it is too long. `phone` is the number, if
    it could be read. Nothing is masked, so that users can find the row in their file. Keep it out of logs.
    """

    line: int
    value: str
    kind: Refusal
    reason: str
    cells: Sequence[str] = ()
    phone: str | None = None
    field: str | None = None
