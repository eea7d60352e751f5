"""Recognizes JSON lines, and files that cannot be imported, by their first bytes."""

import codecs
import re
from typing import Final

_SAVE_AS_CSV: Final = "save the contacts as XLSX or CSV (UTF-8) and import that file"
_MAGIC: Final = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook of the old kind (.xls), or one with a password"),
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"PAR1\x15", "a Parquet file"),
)
_TEXT_FORMATS: Final = (
    (re.compile(rb"<(?:!doctype\s+html|html|table)\b", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"<\?xml\b", re.IGNORECASE), "an XML file"),
    (re.compile(rb"BEGIN:VCARD", re.IGNORECASE), "a vCard file"),
)
_JSON_LIST: Final = re.compile(rb"\[\s*\{\s*[\"}]")
_JSON_LINES: Final = re.compile(rb"\{\s*[\"}]")
# Control characters that no text editor and no spreadsheet writes. NUL is left out: UTF-16 without a byte order mark is
# full of it, and the header's own message names that.
_CONTROL: Final = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")
_SNIFFED_BYTES: Final = 512


def is_json_lines(beginning: bytes) -> bool:
    """Return whether a file that starts with `beginning` holds JSON objects rather than CSV."""
    return _JSON_LINES.match(beginning.removeprefix(codecs.BOM_UTF8).lstrip()) is not None


def why_not_csv(beginning: bytes) -> str | None:
    """Return why a file that starts with `beginning` is not CSV, or None if it may be."""
    for magic, kind in _MAGIC:
        if beginning.startswith(magic):
            return f"the file is {kind}, neither CSV, XLSX nor JSON lines; {_SAVE_AS_CSV}"
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return None
    text = beginning.removeprefix(codecs.BOM_UTF8).lstrip()
    for pattern, kind in _TEXT_FORMATS:
        if pattern.match(text):
            return f"the file is {kind}, neither CSV, XLSX nor JSON lines; {_SAVE_AS_CSV}"
    if _JSON_LIST.match(text):
        return "the file is a JSON list; write JSON lines, which have one object per line and no brackets around them"
    if _JSON_LINES.match(text):
        return f"the file is JSON; {_SAVE_AS_CSV}"
    # Only the first line: a stray control character in a later row refuses that row at most.
    first_line = re.split(rb"[\r\n]", text[:_SNIFFED_BYTES], maxsplit=1)[0]
    if _CONTROL.search(first_line):
        return f"the file is neither text nor a readable Excel workbook; {_SAVE_AS_CSV}"
    return None
