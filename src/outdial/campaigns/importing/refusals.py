"""Rows of a file that do not go in: where, what and why."""

from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """Why a row was refused, in one word that counts are kept by."""

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
    """One refused row: the physical line on which it begins, the phone (or the row's beginning) as written, the reason.

    The phone is not masked: whoever imports must find the row. Keep it out of logs.
    """

    line: int
    value: str
    kind: Refusal
    reason: str
