"""A file that is not CSV is refused as what it is."""

import gzip
import io
import zipfile

import pytest

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.csv_rows import CsvRows


def workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (workbook(), "the file is a ZIP archive, neither CSV, XLSX nor JSON lines; save the contacts as XLSX or CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "an Excel workbook of the old kind"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "the file is a PNG picture, neither CSV, XLSX nor JSON lines"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (gzip.compress(b"phone,name\n", mtime=0), "a gzip archive"),
        (b"<!DOCTYPE html>\n<html><body><table>", "an HTML page"),
        (b'<?xml version="1.0"?><Workbook>', "an XML file"),
        (b"BEGIN:VCARD\r\nVERSION:3.0\r\nTEL:+14155550101\r\n", "a vCard file"),
        (b'[{"phone": "+14155550101"}]', "the file is a JSON list; write JSON lines"),
        (b'{"phone": "+14155550101"}', "the file is JSON"),
        (b"\x7fELF\x02\x01\x01\x00", "the file is neither text nor a readable Excel workbook; save the contacts"),
        (b"\x01\x02\x03\x04", "the file is neither text nor a readable Excel workbook; save the contacts"),
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
    ],
)
def test_the_reason_names_the_kind_of_file(content: bytes, message: str) -> None:
    with pytest.raises(UnusableFile, match=message):
        CsvRows(io.BytesIO(content))


@pytest.mark.parametrize(
    "content",
    [
        "phone,name\n1,Ж\n".encode("utf-16"),
        b"phone,name\n1,A\x01da\n",
        b"PK,phone\n1,2\n",
        b"\xef\xbb\xbfphone\n1\n",
        b"[phone],name\n1,Ada\n",
    ],
)
def test_csv_with_odd_bytes_is_still_read(content: bytes) -> None:
    assert len(list(CsvRows(io.BytesIO(content)))) == 1
