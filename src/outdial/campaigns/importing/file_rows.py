"""Opens a file of rows as CSV or JSON lines, whichever it is by its content."""

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from outdial.campaigns.importing.csv_rows import CsvRows, Row
from outdial.campaigns.importing.file_kinds import is_json_lines
from outdial.campaigns.importing.json_rows import JsonRows
from outdial.campaigns.importing.refusals import RefusedRow

_SNIFFED_BYTES = 512


class FileRows(Protocol):
    """The rows of a file with the names of their columns, and the number of the line on which each starts."""

    header: list[str]
    blank: int

    @property
    def bytes_read(self) -> int: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    def __iter__(self) -> Iterator[Row | RefusedRow]: ...


def open_rows(file: BinaryIO, *, has_header: bool = True) -> FileRows:
    """Return the rows of a seekable file from its current position on; raises UnusableFile.

    `has_header` says whether the first line of a CSV file has the names of the columns. JSON lines name them anyway.
    """
    start = file.tell()
    beginning = file.read(_SNIFFED_BYTES)
    file.seek(start)
    return JsonRows(file) if is_json_lines(beginning) else CsvRows(file, has_header=has_header)
