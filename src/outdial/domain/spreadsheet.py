"""Cells that pass through a spreadsheet: formulas are escaped on the way out and restored on the way in."""

import re
from typing import Final

# Prefixes that make a spreadsheet run a cell as a formula (OWASP, CSV injection), with their full-width forms. Blanks
# before them, no-break ones included, do not stop it. Leading apostrophes belong to the pattern so that text which
# already looks escaped is escaped once more, and comes back as it was.
_FORMULA: Final = re.compile(r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])")


def escape_formula(text: str) -> str:
    """Return `text` with a leading apostrophe if a spreadsheet would run it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """Return `text` without the apostrophe of `escape_formula`."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text
