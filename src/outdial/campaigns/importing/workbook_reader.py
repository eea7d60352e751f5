"""Reads an XLSX workbook from standard input and writes its visible sheets as CSV: a program, run as a child.

Standard error gets the list of sheets as JSON, each with its name, its rows and where its CSV starts and ends.

The reader holds a whole sheet, from its first cell to its last, so a small file can ask for any amount of memory. The
limits of this process end it before they end the machine. `workbooks.py` starts it.
"""

import csv
import io
import json
import resource
import sys
import zipfile
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Final, TextIO

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from outdial.domain.spreadsheet import protect_apostrophe

MEMORY_BYTES: Final = 2 << 30
CPU_S: Final = 120
OUTPUT_BYTES: Final = 1 << 30
UNPACKED_BYTES: Final = 2 << 30
MOST_PARTS: Final = 10_000
MOST_SHEETS: Final = 100
LONGEST_NAME: Final = 100
UNUSABLE: Final = 3
"""Exit status of a file that cannot be imported; the reason is on standard error."""

Cell = int | float | str | bool | time | date | datetime | timedelta


def main() -> int:
    """Convert the workbook; return the exit status."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_BYTES, OUTPUT_BYTES))
    content = sys.stdin.buffer.read()
    if reason := why_not_workbook(content):
        return _refuse(reason)
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
            sheets = book.sheets_metadata
            shown = [
                index
                for index, sheet in enumerate(sheets)
                if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
            ]
            del content
            written = [each for index in shown if (each := _write_sheet(book.get_sheet_by_index(index))) is not None]
        if not written:
            return _refuse("the workbook is empty: no visible sheet has a row")
        if len(written) > MOST_SHEETS:
            return _refuse(f"the workbook has more than {MOST_SHEETS} sheets with rows; save one of them as CSV")
        json.dump(written, sys.stderr)
    except PasswordError:
        return _refuse("the workbook has a password; save it without one")
    except (CalamineError, ValueError) as error:
        return _refuse(f"the workbook cannot be read ({str(error)[:200]}); save the contacts as CSV")
    return 0


def _write_sheet(sheet: CalamineSheet) -> dict[str, object] | None:
    """Write a sheet to standard output, and return its entry in the list; None for one without rows."""
    if sheet.start is None:
        return None
    sys.stdout.flush()
    start = sys.stdout.buffer.tell()
    # With the blank rows above the first cell.
    rows = write_rows(sheet.iter_rows(), sys.stdout)
    sys.stdout.flush()
    return {
        "name": sheet.name[:LONGEST_NAME],
        "rows": max(rows - 1, 0),
        "start": start,
        "end": sys.stdout.buffer.tell(),
    }


def why_not_workbook(content: bytes) -> str | None:
    """Return why a ZIP archive is not an XLSX workbook that can be unpacked, or None."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = {part.filename: part.file_size for part in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "the workbook is damaged; save it again, or save the contacts as CSV"
    if "[Content_Types].xml" not in parts or "xl/workbook.xml" not in parts:
        return "the file is a ZIP archive, but not an XLSX workbook; save the contacts as XLSX or CSV"
    if len(parts) > MOST_PARTS or sum(parts.values()) > UNPACKED_BYTES:
        return f"the workbook is larger than {UNPACKED_BYTES >> 30} GiB when it is unpacked; save the contacts as CSV"
    return None


def write_rows(rows: Iterable[Iterable[Cell]], target: TextIO) -> int:
    """Write CSV in which each row of the sheet has its own line, so that line numbers are row numbers.

    Every cell is quoted, so that the only delimiter that the import can find in the header is the comma. Returns the
    number of rows that are not blank.
    """
    writer, filled = csv.writer(target, quoting=csv.QUOTE_ALL), 0
    for row in rows:
        cells = [cell_text(cell) for cell in row]
        filled += any(cells)
        writer.writerow(cells)
    return filled


def cell_text(cell: Cell) -> str:
    """Return a cell as its text in a CSV file."""
    match cell:
        case str():
            return protect_apostrophe(" ".join(cell.splitlines()) if "\n" in cell or "\r" in cell else cell)
        case bool():
            return "true" if cell else "false"
        case float() if cell.is_integer() and abs(cell) < 2**53:
            return str(int(cell))
        case datetime() if cell.time() == time():
            return cell.date().isoformat()
        case datetime() | date() | time():
            return cell.isoformat()
        case _:
            return str(cell)


def _refuse(reason: str) -> int:
    sys.stderr.write(reason)
    return UNUSABLE


if __name__ == "__main__":
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", newline="", closefd=False)  # noqa: SIM115
    sys.exit(main())
