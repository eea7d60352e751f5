"""Workbooks become CSV files, and those that ask for too much are refused before anything is stored."""

import io
import os
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing import workbooks
from outdial.campaigns.importing.csv_rows import CsvRows, Row
from outdial.campaigns.importing.file_rows import open_rows
from outdial.campaigns.importing.workbooks import open_readable, unread_sheets

PHONE = "+14155550101"


def workbook(path: Path, fill: Callable[[Any], None]) -> Path:
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as book:
        fill(book)
    return path


def with_rows(*rows: list[Any]) -> Callable[[Any], None]:
    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if isinstance(cell, datetime):
                    sheet.write_datetime(number, column, cell, book.add_format({"num_format": "yyyy-mm-dd hh:mm"}))
                else:
                    sheet.write(number, column, cell)

    return fill


async def read(path: Path, sheet: str | None = None) -> CsvRows:
    with path.open("rb") as file, await open_readable(file) as converted:
        converted.select(sheet)
        return CsvRows(io.BytesIO(converted.file.read()))


async def refusal(path: Path) -> str:
    with path.open("rb") as file, pytest.raises(UnusableFile) as refused:
        await open_readable(file)
    return str(refused.value)


async def test_cells_become_the_text_that_a_csv_file_would_have(tmp_path: Path) -> None:
    day, moment = datetime(2026, 3, 10), datetime(2026, 3, 10, 17, 30)  # noqa: DTZ001  # Excel has no zones
    found = await read(
        workbook(
            tmp_path / "a.xlsx",
            with_rows(
                ["phone", "a;b|c", "amount", "day", "at", "is_vip", "note"],
                [PHONE, "=1+1", 12.5, day, moment, True, 'two\nlines, "quoted"'],
                [14155550102, "'=1", 1e15, None, None, False, "'plain"],
            ),
        )
    )
    rows = list(found)

    assert found.header == ["phone", "a;b|c", "amount", "day", "at", "is_vip", "note"]
    assert rows == [
        Row(2, [PHONE, "=1+1", "12.5", "2026-03-10", "2026-03-10T17:30:00", "true", 'two lines, "quoted"']),
        Row(3, ["14155550102", "''=1", "1000000000000000", "", "", "false", "'plain"]),
    ]


async def test_a_line_is_a_row_of_the_first_visible_sheet(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        hidden = book.add_worksheet("Notes")
        hidden.write(0, 0, "not this one")
        shown = book.add_worksheet("Contacts")
        shown.activate()
        shown.set_first_sheet()
        hidden.hide()
        for number, text in ((2, "phone"), (4, PHONE), (7, "+14155550102")):
            shown.write(number, 1, text)

    rows = await read(workbook(tmp_path / "a.xlsx", fill))
    assert rows.header == ["phone"]
    assert [(row.line, row.cells) for row in rows if isinstance(row, Row)] == [(5, [PHONE]), (8, ["+14155550102"])]


async def test_each_visible_sheet_with_rows_can_be_chosen(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        for name, rows in (("Empty", []), ("May", ["phone", PHONE]), ("June", ["phone", "2", "3"]), ("Old", ["x"])):
            sheet = book.add_worksheet(name)
            for number, text in enumerate(rows):
                sheet.write(number, 0, text)
        sheet.hide()

    path = workbook(tmp_path / "a.xlsx", fill)
    assert [row.cells for row in await read(path) if isinstance(row, Row)] == [[PHONE]]
    assert [(row.line, row.cells) for row in await read(path, "June") if isinstance(row, Row)] == [
        (2, ["2"]),
        (3, ["3"]),
    ]
    with path.open("rb") as file, await open_readable(file) as converted:
        assert unread_sheets(converted.sheets, "May") == "the sheet 'May' is read; 'June' (2 rows) is not"
        for name in ("Old", "Empty", "june"):
            with pytest.raises(UnusableFile, match=r"has no sheet .*'May' \(1 row\) and 'June' \(2 rows\)"):
                converted.select(name)
    (tmp_path / "a.csv").write_text("phone\n")
    with (tmp_path / "a.csv").open("rb") as file, pytest.raises(UnusableFile, match="has no sheets"):
        (await open_readable(file)).select("May")


async def test_a_csv_file_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"phone\n1\n")
    with (tmp_path / "a.csv").open("rb") as file:
        file.read()
        assert (await open_readable(file)).file is file
        assert file.read() == b"phone\n1\n"


@pytest.mark.parametrize("is_workbook", [False, True])
async def test_a_pipe_is_read_like_a_file(tmp_path: Path, is_workbook: bool) -> None:
    content = f"phone\n{PHONE}\n".encode()
    if is_workbook:
        content = workbook(tmp_path / "a.xlsx", with_rows(["phone"], [PHONE])).read_bytes()
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as target:
        target.write(content)
    with os.fdopen(reading, "rb") as file, await open_readable(file) as converted:
        assert list(open_rows(converted.file)) == [Row(2, [PHONE])]


@pytest.mark.parametrize("damage", ["cut", "no_sheet", "empty", "another"])
async def test_a_workbook_that_cannot_be_read_says_what_to_do(tmp_path: Path, damage: str) -> None:
    path = workbook(tmp_path / "a.xlsx", with_rows(*([["phone"], [PHONE]] if damage != "empty" else [])))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage in ("no_sheet", "another"):
        with zipfile.ZipFile(path) as archive:
            kept = {name: archive.read(name) for name in archive.namelist() if name != "xl/worksheets/sheet1.xml"}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in kept.items():
                archive.writestr(name if damage == "no_sheet" else f"word/{name}", content)
    reason = await refusal(path)
    words = {"cut": "damaged", "no_sheet": "cannot be read", "empty": "is empty", "another": "not an XLSX workbook"}
    assert words[damage] in reason


async def test_two_cells_at_opposite_corners_do_not_fill_the_memory(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "phone")
        sheet.write(1_048_575, 16_383, "far")

    path = workbook(tmp_path / "a.xlsx", fill)
    assert path.stat().st_size < 10_000
    assert "too much memory" in await refusal(path)


async def test_a_workbook_that_unpacks_to_gigabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", with_rows(["phone"], [PHONE]))
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content) as archive:
        places = [part.header_offset for part in archive.infolist() if part.filename == "xl/workbook.xml"]
    raw = bytearray(content.getvalue())
    # The size in the central directory, which is what an archive claims before anything is unpacked.
    entry = raw.rfind(b"xl/workbook.xml") - 46
    assert places
    assert raw[entry : entry + 4] == b"PK\x01\x02"
    raw[entry + 24 : entry + 28] = (3 << 30).to_bytes(4, "little")
    path.write_bytes(raw)
    assert "larger than 2 GiB" in await refusal(path)


async def test_a_workbook_may_not_be_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MOST_WORKBOOK_BYTES", 1_000)
    path = workbook(tmp_path / "a.xlsx", with_rows(["phone"], [PHONE]))
    assert "at most" in await refusal(path)
