"""Cells that pass through a spreadsheet: formulas are escaped on the way out and restored on the way in."""

import re
from typing import Final

# Prefixes that make a spreadsheet run a cell as a formula (OWASP, CSV injection), with their full-width forms. Neither
# blanks nor invisible characters before them stop it: spreadsheets trim no-break spaces, byte order marks, zero-width
# characters and marks of direction. Leading apostrophes belong to the pattern so that text which already
# looks escaped is escaped once more, and comes back as it was.
_INVISIBLE: Final = (
    r"\s\x00-\x1f\x7f-\xa0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufe00-\ufe0f\ufeff"
)
_FORMULA: Final = re.compile(rf"'*(?:[{_INVISIBLE}]*[=+\-@＝＋－＠]|[\t\r\n])")


def escape_formula(text: str) -> str:
    """Return `text` with a leading apostrophe if a spreadsheet would run it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def protect_apostrophe(text: str) -> str:
    """Return plain `text` as a cell that `unescape_formula` restores."""
    return f"'{text}" if unescape_formula(text) != text else text


def unescape_formula(text: str) -> str:
    """Return `text` without the apostrophe of `escape_formula`."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text
