"""Parses the lines of a CSV file into rows. A broken row is reported and does not affect the next one."""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.csv_lines import TextLines, is_readable
from outdial.campaigns.importing.headerless import name_columns
from outdial.campaigns.importing.refusals import Refusal, RefusedRow

LONGEST_ROW = 64 * 1024
"""Maximum characters of a row, including quotes and line ends."""

EXCERPT = 80
"""Characters of a refused row that are shown."""

_DELIMITERS = ",;\t|"
# The line that Excel writes before the header in locales whose list separator is not a comma.
_DIRECTIVE = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"?')


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row, as many as the header has, and the physical line on which the row starts."""

    line: int
    cells: list[str]


class CsvRows:
    """The rows of a CSV file. The constructor raises UnusableFile if its header cannot be read.

    Without `has_header`, the first row is the first contact, and the columns get the names of `name_columns`.
    The delimiter is the most frequent of `,` `;` tab and `|` in the header. Blank rows are skipped and counted in
    `blank`. Rows that are shorter than the header are filled with empty cells, and empty cells beyond its last column
    are ignored. A notice names the columns without a name that have cells with text.
    """

    def __init__(self, file: BinaryIO, *, has_header: bool = True) -> None:
        self._lines = TextLines(file, LONGEST_ROW)
        self._feed = _Feed(iter(self._lines))
        self.blank = 0
        try:
            delimiter = self._find_delimiter()
        except _TooLong:
            raise UnusableFile(f"the header row is longer than {LONGEST_ROW:,} characters") from None
        self._reader = csv.reader(self._feed, delimiter=delimiter, strict=True)
        header = self._next()
        if header is None:
            raise UnusableFile("the file has no header row; it needs one, such as phone,name")
        if isinstance(header, RefusedRow):
            raise UnusableFile(f"the header row cannot be read: {header.reason}")
        self._first = None if has_header else header
        self.header = header.cells if has_header else name_columns(header.cells)
        self._nameless = [index for index, name in enumerate(self.header) if not name.strip()]
        self._left_out: list[int] = []

    @property
    def bytes_read(self) -> int:
        """The number of bytes read so far."""
        return self._lines.bytes_read

    @property
    def notices(self) -> tuple[str, ...]:
        """Remarks about how the file was read so far."""
        notices = tuple(self._lines.notices)
        if not self._left_out:
            return notices
        *rest, last = [str(index + 1) for index in sorted(self._left_out)]
        if rest:
            return (*notices, f"columns {', '.join(rest)} and {last} have no name in the header and are left out")
        return (*notices, f"column {last} has no name in the header and is left out")

    def __iter__(self) -> Iterator[Row | RefusedRow]:
        columns = len(self.header)
        while (row := self._first or self._next()) is not None:
            self._first = None
            if isinstance(row, RefusedRow):
                yield row
                continue
            cells = row.cells
            while len(cells) > columns and not cells[-1].strip():
                cells.pop()
            if len(cells) > columns:
                reason = f"has {len(cells)} columns, the header has {columns}"
                yield self._refuse(row.line, Refusal.WRONG_COLUMNS, reason, cells)
                continue
            cells.extend([""] * (columns - len(cells)))
            for index in self._nameless:
                if cells[index].strip():
                    self._nameless = [other for other in self._nameless if other != index]
                    self._left_out.append(index)
            yield row

    def _find_delimiter(self) -> str:
        for line in self._feed:
            if directive := _DIRECTIVE.fullmatch(line):
                return directive[1]
            if line.strip():
                self._feed.rewind(0)
                names = _QUOTED.sub("", line)
                return max(_DELIMITERS, key=names.count)
            self._feed.begin()
        raise UnusableFile("the file is empty; it needs a header row, such as phone,name")

    def _next(self) -> Row | RefusedRow | None:
        while True:
            self._feed.begin()
            line = self._feed.number + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return None
            except (csv.Error, _TooLong) as error:
                # The unclosed quote may have swallowed good rows: read them again.
                several = len(self._feed.taken) > 1
                self._feed.rewind(1)
                kind, reason = _broken(error, several)
                return self._refuse(line, kind, reason, [] if kind is Refusal.TOO_LONG else self._feed.taken)
            if flaw := _flaw(self._feed.taken):
                return self._refuse(line, Refusal.UNREADABLE, flaw, cells)
            if any(cell.strip() for cell in cells):
                return Row(line, cells)
            self.blank += 1

    def _refuse(self, line: int, kind: Refusal, reason: str, cells: Sequence[str]) -> RefusedRow:
        excerpt = self._feed.taken[0].strip()[:EXCERPT]
        whole = [storable(cell.rstrip("\r\n")) for cell in cells]
        return RefusedRow(line, storable(excerpt), kind, reason, cells=whole)


class _TooLong(Exception):
    """The row exceeds LONGEST_ROW."""


class _Feed:
    # Feeds lines to the parser. It keeps the lines of the current row, to read them again if the row is broken.
    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._waiting: deque[str] = deque()
        self._length = 0
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self.number += 1
        self.taken.append(line)
        self._length += len(line)
        if self._length > LONGEST_ROW:
            raise _TooLong
        return line

    def begin(self) -> None:
        self.taken.clear()
        self._length = 0

    def rewind(self, keep: int) -> None:
        self._waiting.extendleft(reversed(self.taken[keep:]))
        self.number -= len(self.taken) - keep
        del self.taken[keep:]


def _broken(error: Exception, several_lines: bool) -> tuple[Refusal, str]:
    if isinstance(error, csv.Error):
        return Refusal.BROKEN_QUOTES, "a quote is never closed, or text follows a closing quote"
    if several_lines:
        return Refusal.BROKEN_QUOTES, f"a quote is not closed within {LONGEST_ROW:,} characters"
    return Refusal.TOO_LONG, f"is longer than {LONGEST_ROW:,} characters"


def storable(text: str) -> str:
    """Return `text` with `?` for bytes that could not be decoded."""
    return text.encode(errors="replace").decode()


def _flaw(lines: list[str]) -> str | None:
    if any("\0" in line for line in lines):
        return "contains a NUL character; if the file is UTF-16, save it as UTF-8"
    if not all(map(is_readable, lines)):
        return "is neither UTF-8 nor Windows-1252 text"
    return None
