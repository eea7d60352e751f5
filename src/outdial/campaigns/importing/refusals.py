"""Rows of a file that are refused, and why."""

from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """Why a row was refused, in one word. Counts are kept by it."""

    UNREADABLE = "unreadable"
    TOO_LONG = "too_long"
    BROKEN_QUOTES = "broken_quotes"
    WRONG_COLUMNS = "wrong_columns"
    BAD_PHONE = "bad_phone"
    NO_TIME_ZONE = "no_time_zone"
    DUPLICATE = "duplicate"
    DO_NOT_CALL = "do_not_call"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A refused row: the physical line on which it starts, the phone or start of the row as written, and the reason.

    The phone is not masked, so that users can find the row in their file. Keep it out of logs.
    """

    line: int
    value: str
    kind: Refusal
    reason: str
