"""Reads an XLSX workbook from standard input and writes its first visible sheet as CSV: a program, run as a child.

The reader holds the whole sheet, from its first cell to its last, so a small file can ask for any amount of memory. The
limits of this process end it before they end the machine. `workbooks.py` starts it.
"""

import csv
import io
import resource
import sys
import zipfile
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Final, TextIO

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

from outdial.domain.spreadsheet import protect_apostrophe

MEMORY_BYTES: Final = 2 << 30
CPU_S: Final = 120
OUTPUT_BYTES: Final = 1 << 30
UNPACKED_BYTES: Final = 2 << 30
MOST_PARTS: Final = 10_000
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
            if not shown:
                return _refuse("the workbook has no visible sheet")
            del content
            sheet = book.get_sheet_by_index(shown[0])
            if sheet.start is None:
                return _refuse(f"the sheet {sheet.name!r} is empty; the contacts belong on the first visible sheet")
            # With the blank rows above the first cell.
            write_rows(sheet.iter_rows(), sys.stdout)
    except PasswordError:
        return _refuse("the workbook has a password; save it without one")
    except (CalamineError, ValueError) as error:
        return _refuse(f"the workbook cannot be read ({str(error)[:200]}); save the contacts as CSV")
    return 0


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


def write_rows(rows: Iterable[Iterable[Cell]], target: TextIO) -> None:
    """Write CSV in which each row of the sheet has its own line, so that line numbers are row numbers.

    Every cell is quoted, so that the only delimiter that the import can find in the header is the comma.
    """
    csv.writer(target, quoting=csv.QUOTE_ALL).writerows(map(cell_text, row) for row in rows)


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
