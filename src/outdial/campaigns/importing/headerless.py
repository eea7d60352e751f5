"""Names for the columns of a file that has no header row."""

import re
from collections.abc import Sequence
from typing import Final

_PHONE_NUMBER: Final = re.compile(r"(?=(?:\D*\d){7})\+?[\d\s().\-/]+")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def looks_like_data(names: Sequence[str]) -> bool:
    """Return whether the first line of a file seems to be a contact rather than the names of columns."""
    return any(_PHONE_NUMBER.fullmatch(name.strip()) for name in names)


def name_columns(cells: Sequence[str]) -> list[str]:
    """Return a name for each column by its cell in the first row: phone, email, or its number, such as Column 3."""
    names = [f"Column {number}" for number in range(1, len(cells) + 1)]
    for name, pattern in (("phone", _PHONE_NUMBER), ("email", _EMAIL)):
        found = next((index for index, cell in enumerate(cells) if pattern.fullmatch(cell.strip())), None)
        if found is not None:
            names[found] = name
    return names
