"""The template of a file to import: the columns that an import knows, and two contacts as examples."""

import tempfile
from pathlib import Path
from typing import Final

from outdial.jobs.csv_cells import CsvBuffer, CsvCell, PlainPhone
from outdial.jobs.tables import WorkbookTable

_COLUMNS: Final = (
    "phone", "name", "email", "company", "external_id", "country", "state", "postal_code", "time_zone", "due_date",
)  # fmt: skip
# The numbers are of the range that is kept for fiction, so a forgotten example calls no one.
_EXAMPLES: Final[tuple[tuple[CsvCell, ...], ...]] = (
    (
        PlainPhone("+12125550143"), "Ada Hopper", "ada@example.com", "Example Inc.", "A-1001", "US", "NY", "10001",
        "America/New_York", "2026-12-01",
    ),
    (
        PlainPhone("+12065550178"), "Grace Lovelace", "grace@example.com", "Example Ltd.", "A-1002", "US", "WA",
        "98101", "", "2026-12-15",
    ),
)  # fmt: skip


def csv_template() -> bytes:
    """Return the template as CSV."""
    text = CsvBuffer(list(_COLUMNS))
    for row in _EXAMPLES:
        text.add(list(row))
    return text.take()


def workbook_template() -> bytes:
    """Return the template as an XLSX workbook."""
    with tempfile.TemporaryDirectory() as directory:
        table = WorkbookTable(_COLUMNS, Path(directory))
        for row in _EXAMPLES:
            table.add(row)
        table.finish()
        return b"".join(table.pieces())
