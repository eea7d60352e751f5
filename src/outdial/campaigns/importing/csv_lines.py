"""Splits the bytes of a text file into physical lines, in bounded memory."""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.file_kinds import is_json_lines, why_not_csv

_BLOCK_BYTES = 64 * 1024
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TextLines:
    """The lines of a file with their line ends (LF, CRLF or CR): UTF-8, UTF-16 with a BOM, or Windows-1252.

    Windows-1252 is detected per line: a line that is not UTF-8 is read as Windows-1252, and a notice gives the first
    one. A line that is neither keeps a lone surrogate. A line of more than `longest` characters may be cut, but to a
    length that is still too long. Raises UnusableFile for workbooks, pictures and other files that are not text;
    `is_json` says that the file is expected to be JSON lines.
    """

    def __init__(self, file: BinaryIO, longest: int, *, is_json: bool = False) -> None:
        self._file, self._longest, self._is_json = file, longest, is_json
        self._utf_16 = False
        self.bytes_read = 0
        self.notices: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._split(), start=1):
            if self._utf_16 or is_readable(line):
                yield line
                continue
            try:
                text = line.encode("utf-8", "surrogateescape").decode("cp1252")
            except UnicodeError:
                yield line
                continue
            if not self.notices:
                self.notices.append(f"Line {number} is not UTF-8. It and similar lines were read as Windows-1252.")
            yield text

    def _split(self) -> Iterator[str]:
        block = self._read()
        if not (self._is_json and is_json_lines(block)) and (reason := why_not_csv(block)):
            raise UnusableFile(reason)
        self._utf_16 = block.startswith(_UTF_16)
        name, errors = ("utf-16", "surrogatepass") if self._utf_16 else ("utf-8-sig", "surrogateescape")
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(name)(errors), translate=False)
        rest = ""
        while block:
            lines = io.StringIO(rest + decoder.decode(block), newline="").readlines()
            rest = "" if not lines or lines[-1].endswith("\n") else lines.pop()[: self._longest + 1]
            yield from lines
            block = self._read()
        try:
            rest += decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            # UTF-16 that ends in the middle of a character.
            rest += "\udcff"
        yield from io.StringIO(rest, newline="")

    def _read(self) -> bytes:
        block = self._file.read(_BLOCK_BYTES)
        self.bytes_read += len(block)
        return block


def is_readable(text: str) -> bool:
    """Return whether `text` has no lone surrogates, which stand for bytes that could not be decoded."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
