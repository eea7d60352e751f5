"""Reads files of phone numbers block by block: one number per line, or a column of a CSV file."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.columns import PHONE_HEADERS
from outdial.campaigns.importing.contact_rows import check_region
from outdial.campaigns.importing.file_kinds import why_not_csv
from outdial.campaigns.results.names import normalise
from outdial.domain.phone import InvalidPhone, parse_phone

LONGEST_LINE: Final = 10_000
LONGEST_VALUE: Final = 80

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_AREA_CODE_HEADERS: Final = ("area_code", "areacode", "npa")
_LOCAL_HEADERS: Final = ("number", "local_number", "phone", "phone_number", "telephone_number", "last_seven")
_DELIMITERS: Final = (",", ";", "\t", "|")
# libphonenumber takes 50 to 90 us for a number, which is minutes for a national list. North American numbers are read
# without it: one that does not exist does no harm in a list of numbers that must not be called.
_NORTH_AMERICAN: Final = re.compile(r"(?:\+?1)?([2-9]\d{2}[2-9]\d{6})")
_PUNCTUATION: Final = str.maketrans("", "", " ().-")


@dataclass(frozen=True, slots=True)
class RefusedNumber:
    """A line of a file whose number cannot be read. Keep `value` out of logs."""

    line: int
    value: str
    reason: str
    lacks_country_code: bool = False


@dataclass(frozen=True, slots=True)
class ReadNumbers:
    """The numbers of some lines in E.164, and the lines that were refused."""

    phones: list[str]
    refused: list[RefusedNumber]


class NumberFile:
    """Reads the numbers of a file from its blocks, in bounded memory.

    A file has a header with a phone column, or with an area code and a local number; or no header, and the number
    first. Without a header, the two cells `212` and `5550123` are one number, as in the files of the FTC's registry.
    Numbers without a country code belong to `default_region`. The constructor raises UnknownRegion. Reading raises
    UnusableFile for a file that is not text and for a header without a number.
    """

    def __init__(self, default_region: str | None) -> None:
        check_region(default_region)
        self._region = default_region.upper() if default_region else None
        self._is_north_american = self._region is not None and not isinstance(
            parse_phone("4155552671", self._region), InvalidPhone
        )
        self._rest = b""
        self._line = 0
        self._delimiter: str | None = None
        self._columns: Sequence[int] | None = None
        self._is_started = False

    def read(self, block: bytes) -> ReadNumbers:
        """Read the lines that end in `block`."""
        if not self._is_started and block:
            self._is_started = True
            if reason := why_not_csv(block):
                raise UnusableFile(reason)
            if block.startswith(_UTF_16):
                raise UnusableFile("the file is UTF-16: save it as UTF-8 and upload that file")
            block = block.removeprefix(codecs.BOM_UTF8)
        lines = (self._rest + block).splitlines(keepends=True)
        # A carriage return at the end may be half of a line end.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if len(self._rest) > LONGEST_LINE:
            raise UnusableFile(f"line {self._line + len(lines) + 1} is longer than {LONGEST_LINE:,} characters")
        return self._read_lines(lines)

    def end(self) -> ReadNumbers:
        """Read the last line, which may have no line end."""
        rest, self._rest = self._rest, b""
        return self._read_lines(rest.splitlines())

    def _read_lines(self, lines: Sequence[bytes]) -> ReadNumbers:
        read = ReadNumbers([], [])
        for raw in lines:
            self._line += 1
            text = raw.decode(errors="replace").strip()
            if not text or (self._columns is None and self._read_header(text)):
                continue
            written = self._number(text)
            phone = self._parse(written)
            if isinstance(phone, str):
                read.phones.append(phone)
            else:
                value = text[:LONGEST_VALUE].replace("\0", "\ufffd")
                read.refused.append(RefusedNumber(self._line, value, phone.reason, phone.lacks_country_code))
        return read

    def _read_header(self, text: str) -> bool:
        """Choose the delimiter and the columns by the first line; return whether that line is a header."""
        self._delimiter = next((each for each in _DELIMITERS if each in text), None)
        cells = list(self._cells(text))
        self._columns = (0,)
        if any(character.isdigit() for character in cells[0]):
            is_split = len(cells) > 1 and re.fullmatch(r"\d{3}", cells[0]) and re.fullmatch(r"\d{7}", cells[1])
            self._columns = (0, 1) if is_split else (0,)
            return False
        names = [normalise(cell) for cell in cells]
        area = next((names.index(name) for name in _AREA_CODE_HEADERS if name in names), None)
        local = next((names.index(name) for name in _LOCAL_HEADERS if name in names), None)
        if area is not None and local is not None:
            self._columns = (area, local)
        elif phone := [names.index(name) for name in PHONE_HEADERS if name in names]:
            self._columns = (phone[0],)
        elif len(names) > 1:
            raise UnusableFile(f"no phone column among {', '.join(cells)[:200]}; name one of them phone")
        return True

    def _cells(self, text: str) -> Iterator[str]:
        if self._delimiter is None:
            yield text.strip('"')
        elif '"' in text:
            yield from next(csv.reader([text], delimiter=self._delimiter))
        else:
            yield from map(str.strip, text.split(self._delimiter))

    def _number(self, text: str) -> str:
        cells = list(self._cells(text))
        columns = self._columns or (0,)
        return "".join(cells[column] for column in columns if column < len(cells))

    def _parse(self, written: str) -> str | InvalidPhone:
        plain = written.translate(_PUNCTUATION)
        match = _NORTH_AMERICAN.fullmatch(plain)
        if match is not None and (self._is_north_american or plain.startswith("+1")):
            return f"+1{match[1]}"
        phone = parse_phone(written, self._region)
        return phone if isinstance(phone, InvalidPhone) else phone.e164
