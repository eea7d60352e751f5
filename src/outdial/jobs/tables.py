"""Files of rows as CSV, JSON lines and XLSX, in memory that does not grow with their length."""

import fcntl
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, Protocol, assert_never
from zoneinfo import ZoneInfo

import msgspec
import xlsxwriter

from outdial.jobs.csv_cells import CsvBuffer, PlainPhone, plain_text

FileFormat = Literal["csv", "xlsx", "jsonl"]
MEDIA_TYPES: Final = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
PIECE_BYTES: Final = 256 * 1024
SHEET_ROWS: Final = 1_048_576
LONGEST_CELL: Final = 32_767
"""Characters that a cell of Excel can hold."""

_CUT: Final = " [cut]"
# Excel stores numbers as doubles.
_WHOLE_NUMBERS: Final = 2**53
_DIRECTORY: Final = "outdial-export-"


class Table(Protocol):
    """A file that is written row by row.

    `length` grows with each row until `take` is called, which returns what has been written since. For a text format
    that is the next part of the file, which ends with a row. For XLSX it is the phones in those rows, one a line, and
    the whole file is in `pieces`. `finish` comes before `pieces` and may take a while: call it in a thread.
    """

    is_text: bool

    @property
    def length(self) -> int: ...

    def add(self, cells: Sequence[Any]) -> None: ...

    def take(self) -> bytes: ...

    def finish(self) -> None: ...

    def pieces(self) -> Iterator[bytes]: ...


class CsvTable(CsvBuffer):
    """A CSV file."""

    is_text = True

    def finish(self) -> None:
        """Do nothing."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the rest of the file."""
        yield self.take()


class JsonLinesTable:
    """A file with one JSON object per row and line. Its keys are the columns."""

    is_text = True

    def __init__(self, header: Sequence[str]) -> None:
        self._header = header
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._content = bytearray()

    @property
    def length(self) -> int:
        """The number of buffered bytes."""
        return len(self._content)

    def add(self, cells: Sequence[Any]) -> None:
        """Append a row."""
        self._content += self._encoder.encode(
            {
                name: str(cell) if isinstance(cell, PlainPhone) else cell
                for name, cell in zip(self._header, cells, strict=True)
            }
        )
        self._content += b"\n"

    def take(self) -> bytes:
        """Return the buffered rows, and empty the buffer."""
        content = bytes(self._content)
        self._content.clear()
        return content

    def finish(self) -> None:
        """Do nothing."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the rest of the file."""
        yield self.take()


class WorkbookTable:
    """An XLSX workbook. Each row goes to a temporary file in `directory`; a full sheet is followed by another one.

    Text is never a formula, and a longer one than a cell holds is cut. Times are text with their offset, because Excel
    has no time zones.
    """

    is_text = False

    def __init__(self, header: Sequence[str], directory: Path, *, sheet_rows: int = SHEET_ROWS) -> None:
        self._header = header
        self._path = directory / "export.xlsx"
        self._sheet_rows = sheet_rows
        self._book = xlsxwriter.Workbook(
            str(self._path),
            {
                "constant_memory": True,
                "tmpdir": str(directory),
                "strings_to_numbers": False,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "use_zip64": True,
            },
        )
        self._bold = self._book.add_format({"bold": True})
        self._phones = io.StringIO()
        self._written = 0
        self._begin_sheet()

    @property
    def length(self) -> int:
        """Characters written since the last call of `take`."""
        return self._written

    def add(self, cells: Sequence[Any]) -> None:
        """Append a row."""
        if self._row == self._sheet_rows:
            self._begin_sheet()
        for column, cell in enumerate(cells):
            self._write(column, cell)
        self._row += 1

    def take(self) -> bytes:
        """Return the phones of the rows since the last call, one a line."""
        content = self._phones.getvalue().encode()
        self._phones.seek(0)
        self._phones.truncate()
        self._written = 0
        return content

    def finish(self) -> None:
        """Write the file."""
        self._book.close()

    def pieces(self) -> Iterator[bytes]:
        """Yield the file."""
        with self._path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def discard(self) -> None:
        """Close the temporary files of a workbook that was not finished."""
        for sheet in self._book.worksheets():
            if sheet.row_data_fh is not None:
                sheet.row_data_fh.close()

    def _begin_sheet(self) -> None:
        self._sheet = self._book.add_worksheet()
        self._sheet.freeze_panes(1, 0)
        for column, name in enumerate(self._header):
            self._sheet.write_string(0, column, name[:LONGEST_CELL], self._bold)
        self._row = 1

    def _write(self, column: int, cell: Any) -> None:
        match cell:
            case None:
                return
            case bool():
                self._sheet.write_boolean(self._row, column, cell)
            case int() if abs(cell) <= _WHOLE_NUMBERS:
                self._sheet.write_number(self._row, column, cell)
            case float() | Decimal():
                self._sheet.write_number(self._row, column, float(cell))
            case _:
                if isinstance(cell, PlainPhone):
                    self._phones.write(f"{cell}\n")
                text = plain_text(cell)
                if len(text) > LONGEST_CELL:
                    text = text[: LONGEST_CELL - len(_CUT)] + _CUT
                self._sheet.write_string(self._row, column, text)
                self._written += len(text)


def file_cells(phones: Collection[int], zone: ZoneInfo) -> Callable[[list[Any]], list[Any]]:
    """Return a function that makes a row ready for a file: times in `zone`, and phones that are not escaped.

    `phones` are the positions of columns that hold only E.164. A variable may have the name of such a column, but its
    values may be formulas.
    """

    def prepare(cells: list[Any]) -> list[Any]:
        for index, cell in enumerate(cells):
            if isinstance(cell, datetime):
                cells[index] = cell.astimezone(zone)
        for index in phones:
            if cells[index] is not None:
                cells[index] = PlainPhone(cells[index])
        return cells

    return prepare


@contextmanager
def open_table(file_format: FileFormat, header: Sequence[str]) -> Iterator[Table]:
    """Yield a new file with these columns. Its temporary files are deleted at the end."""
    match file_format:
        case "csv":
            yield CsvTable(header)
        case "jsonl":
            yield JsonLinesTable(header)
        case "xlsx":
            delete_abandoned()
            with tempfile.TemporaryDirectory(prefix=_DIRECTORY) as directory, _locked(Path(directory)):
                table = WorkbookTable(header, Path(directory))
                try:
                    yield table
                finally:
                    table.discard()
        case never:
            assert_never(never)


def delete_abandoned() -> None:
    """Delete the temporary files of processes that were killed: they hold what contacts said."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_DIRECTORY}*"):
        with suppress(OSError), _locked(directory):
            shutil.rmtree(directory)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, which ends with the process; raises OSError when another process has it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
