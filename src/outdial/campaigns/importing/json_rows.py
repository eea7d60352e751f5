"""Reads JSON lines, one object per line, as rows of cells. A line that is no object is refused alone."""

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

import msgspec

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.csv_lines import TextLines, is_readable
from outdial.campaigns.importing.csv_rows import EXCERPT, LONGEST_ROW, Row, storable
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.domain.spreadsheet import protect_apostrophe

MOST_KEYS: Final = 10_000

_TEXT: Final = msgspec.json.Decoder(str)
# Values stay as they are written: a number keeps all its digits.
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class JsonRows:
    """The objects of a file of JSON lines, whose columns are all keys, in the order in which they first occur.

    The constructor reads the whole file for its keys, and the file is read again from there for the rows, so it must
    be seekable. It raises UnusableFile if no line is an object. A line has at most LONGEST_ROW characters. Empty lines
    are skipped and counted in `blank`. A missing key and `null` are empty cells; lists and objects are JSON text.
    """

    def __init__(self, file: BinaryIO) -> None:
        start = file.tell()
        self._positions: dict[str, int] = {}
        for line in TextLines(file, LONGEST_ROW, is_json=True):
            found = _read(line)
            if isinstance(found, Mapping):
                for key in found:
                    self._positions.setdefault(key, len(self._positions))
                if len(self._positions) > MOST_KEYS:
                    raise UnusableFile(f"the objects have more than {MOST_KEYS:,} different keys")
        if not self._positions:
            raise UnusableFile(
                "no line of the file is a JSON object with a key; JSON lines have one object per line, such as"
                ' {"phone": "+14155550100"}'
            )
        file.seek(start)
        self._lines = TextLines(file, LONGEST_ROW, is_json=True)
        self.header = [protect_apostrophe(key) for key in self._positions]
        self._nameless = [position for key, position in self._positions.items() if not key.strip()]
        self._has_nameless_value = False
        self.blank = 0

    @property
    def bytes_read(self) -> int:
        """The number of bytes of the rows read so far."""
        return self._lines.bytes_read

    @property
    def notices(self) -> tuple[str, ...]:
        """Remarks about how the file was read so far."""
        empty_keys = ("values of empty keys are left out",) if self._has_nameless_value else ()
        return (*self._lines.notices, *empty_keys)

    def __iter__(self) -> Iterator[Row | RefusedRow]:
        for number, line in enumerate(self._lines, start=1):
            if not line.strip():
                self.blank += 1
                continue
            found = _read(line)
            if isinstance(found, Mapping):
                cells = [""] * len(self._positions)
                for key, value in found.items():
                    cells[self._positions[key]] = protect_apostrophe(value)
                self._has_nameless_value |= any(cells[position].strip() for position in self._nameless)
                yield Row(number, cells)
                continue
            kind = Refusal.TOO_LONG if len(line) > LONGEST_ROW else Refusal.UNREADABLE
            text = storable(line.strip())
            yield RefusedRow(number, text[:EXCERPT], kind, found, [] if kind is Refusal.TOO_LONG else [text])


def _read(line: str) -> Mapping[str, str] | str:
    """Return the values of a line as text by key, or why it cannot be read."""
    if len(line) > LONGEST_ROW:
        return f"is longer than {LONGEST_ROW:,} characters"
    if not is_readable(line):
        return "is neither UTF-8 nor Windows-1252 text"
    try:
        values = {key: _text(bytes(value)) for key, value in _OBJECT.decode(line.strip()).items()}
    except (msgspec.DecodeError, RecursionError):
        return "is not a JSON object"
    if any("\0" in text for text in (*values, *values.values())):
        return "contains a NUL character"
    return values


def _text(value: bytes) -> str:
    match value[:1]:
        case b'"':
            return _TEXT.decode(value)
        case b"n":
            return ""
        case _:
            return value.decode()
