"""Rows come out of files as programs write them, with the line on which each begins; broken ones harm no other."""

import csv
import io
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.csv_rows import LONGEST_ROW, CsvRows, Row
from outdial.campaigns.importing.refusals import Refusal, RefusedRow


def read(content: bytes) -> list[Row | RefusedRow]:
    return list(CsvRows(io.BytesIO(content)))


def good(rows: list[Row | RefusedRow]) -> list[tuple[int, list[str]]]:
    return [(row.line, row.cells) for row in rows if isinstance(row, Row)]


def refused(rows: list[Row | RefusedRow]) -> list[tuple[int, Refusal]]:
    return [(row.line, row.kind) for row in rows if isinstance(row, RefusedRow)]


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
lines_of_cells = st.lists(st.tuples(st.text("0123456789", min_size=1), cells, cells).map(list), max_size=8)


@given(
    table=lines_of_cells,
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_a_program_writes_comes_back_with_the_line_of_each_row(
    table: list[list[str]], delimiter: str, encoding: str, end: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    starts = []
    for row in [["phone", "name", "notes"], *table]:
        starts.append(1 + len(io.StringIO(out.getvalue(), newline="").readlines()))
        writer.writerow(row)
    rows = CsvRows(io.BytesIO(out.getvalue().encode(encoding)))
    assert rows.header == ["phone", "name", "notes"]
    assert good(list(rows)) == list(zip(starts[1:], table, strict=True))
    assert rows.notices == ()


@given(before=st.integers(0, 5), after=st.integers(0, 5), broken=st.sampled_from(['5,"oops', '5,"a"b', '"5,x', '5,"']))
def test_a_row_with_a_broken_quote_takes_no_other_row_with_it(before: int, after: int, broken: str) -> None:
    ordinary = [f'{n},"Smith, {n}"' if n % 2 else f"{n},Ada" for n in range(before + after)]
    lines = ["phone,name", *ordinary[:before], broken, *ordinary[before:]]
    rows = read("\n".join(lines).encode())
    expected = [(line, text.split(",")[0]) for line, text in enumerate(lines, 1) if line > 1 and text != broken]
    assert [(line, row[0]) for line, row in good(rows)] == expected
    assert refused(rows) == [(before + 2, Refusal.BROKEN_QUOTES)]


@given(st.binary(max_size=300))
def test_no_content_does_harm(content: bytes) -> None:
    for row in read(b"phone,name\n" + content):
        assert row.line > 1


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_windows_1252_is_told_from_utf_8_line_by_line(encoding: str) -> None:
    rows = CsvRows(io.BytesIO(b"phone,name\n1,Ada\n" + "2,Zoë\n3,Žižek – “x”\n".encode(encoding)))
    assert good(list(rows)) == [(2, ["1", "Ada"]), (3, ["2", "Zoë"]), (4, ["3", "Žižek – “x”"])]
    told = ("Line 3 is not UTF-8. It and similar lines were read as Windows-1252.",)
    assert rows.notices == (told if encoding == "cp1252" else ())


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        (b"1", None, ""),
        (b"1,Ada,", None, ""),
        (b"1,Ada,x", Refusal.WRONG_COLUMNS, "has 3 columns, the header has 2"),
        (b"1,A\0da", Refusal.UNREADABLE, "contains a NUL character; if the file is UTF-16, save it as UTF-8"),
        (b"1,A\x81da", Refusal.UNREADABLE, "is neither UTF-8 nor Windows-1252 text"),
        (b"1," + b"x" * LONGEST_ROW, Refusal.TOO_LONG, "is longer than 65,536 characters"),
        (b"1," + b"x" * 5 * LONGEST_ROW, Refusal.TOO_LONG, "is longer than 65,536 characters"),
        (b'1,"Ada', Refusal.BROKEN_QUOTES, "a quote is never closed, or text follows a closing quote"),
    ],
)
def test_a_broken_row_is_told_and_the_next_one_read(row: bytes, kind: Refusal | None, reason: str) -> None:
    rows = read(b"phone,name\n" + row + b"\n2,Bob\n")
    assert good(rows)[-1] == (3, ["2", "Bob"])
    told = [(found.line, found.kind, found.reason) for found in rows if isinstance(found, RefusedRow)]
    assert told == ([] if kind is None else [(2, kind, reason)])


def test_a_short_row_is_filled_with_empty_cells() -> None:
    assert good(read(b"phone,name,city\n1\n2,Ada\n3,,\n")) == [
        (2, ["1", "", ""]),
        (3, ["2", "Ada", ""]),
        (4, ["3", "", ""]),
    ]


@pytest.mark.parametrize(
    ("content", "notices"),
    [
        (b"phone,name,,\n1,Ada,,\n2,Bob\n", ()),
        (b",phone\n0,1\n1,2\n", ("column 1 has no name in the header and is left out",)),
        (b",phone,,\n0,1,x,\n,2,,y\n", ("columns 1, 3 and 4 have no name in the header and are left out",)),
    ],
)
def test_columns_without_a_name_that_have_values_are_reported(content: bytes, notices: tuple[str, ...]) -> None:
    rows = CsvRows(io.BytesIO(content))
    assert len(good(list(rows))) == 2
    assert rows.notices == notices


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (b"1,Ada,x", ["1", "Ada", "x"]),
        (b"1,A\x81da", ["1", "A?da"]),
        (b'1,"Ada', ['1,"Ada']),
        (b"1," + b"x" * LONGEST_ROW, []),
    ],
)
def test_a_broken_row_keeps_its_cells(row: bytes, cells: list[str]) -> None:
    (broken,) = [found for found in read(b"phone,name\n" + row + b"\n2,Bob\n") if isinstance(found, RefusedRow)]
    assert list(broken.cells) == cells


def test_a_quote_that_is_not_closed_for_long_is_refused_alone() -> None:
    lines = [f"{n},Ada" for n in range(20_000)]
    lines[7] = '7,"Ada'
    rows = read("\n".join(["phone,name", *lines]).encode())
    assert refused(rows) == [(9, Refusal.BROKEN_QUOTES)]
    assert len(good(rows)) == 19_999


def test_utf_16_that_ends_within_a_character_is_told() -> None:
    content = "phone,name\n1,Ada\n2,Bob".encode("utf-16") + b"x"
    rows = read(content)
    assert good(rows) == [(2, ["1", "Ada"])]
    assert refused(rows) == [(3, Refusal.UNREADABLE)]


def test_what_is_told_of_a_row_can_always_be_printed() -> None:
    (row,) = read(b"phone,name\n1,A\x81da,\n")
    assert isinstance(row, RefusedRow)
    assert row.value.encode() == b"1,A?da,"


def test_blank_rows_are_counted_and_left_out() -> None:
    rows = CsvRows(io.BytesIO(b"\n  \nphone,name\n\n1,Ada\n,\n  , \n2,Bob\n\n"))
    assert good(list(rows)) == [(5, ["1", "Ada"]), (8, ["2", "Bob"])]
    assert rows.blank == 4


def test_the_line_with_which_excel_names_its_delimiter_is_obeyed() -> None:
    rows = CsvRows(io.BytesIO(b"sep=;\r\nphone,with comma;name,a,b\r\n1;Ada\r\n"))
    assert rows.header == ["phone,with comma", "name,a,b"]
    assert good(list(rows)) == [(3, ["1", "Ada"])]


def test_delimiters_within_quoted_names_do_not_count() -> None:
    assert CsvRows(io.BytesIO(b'"phone, or, mobile";name\n')).header == ["phone, or, mobile", "name"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf\r\n\r\n", "the file is empty"),
        (b"sep=;\n", "no header row"),
        (b'phone,"name\n1,Ada\n', "the header row cannot be read: a quote is never closed"),
        ("phone,name\n".encode("utf-16-le"), "the header row cannot be read: contains a NUL character"),
        (b"phone," + b"x" * 100_000, "the header row is longer than 65,536 characters"),
    ],
)
def test_a_file_without_a_header_that_can_be_read_is_unusable(content: bytes, message: str) -> None:
    with pytest.raises(UnusableFile, match=message):
        CsvRows(io.BytesIO(content))


class Endless(io.BytesIO):
    """A file of `rows` rows that are made as they are read; every other one is refused."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._blocks = iter([b"phone,name\n", *itertools.repeat(b"1,Ada\n1,2,3\n" * 500, rows // 1_000)])

    def read(self, size: int | None = -1) -> bytes:
        return next(self._blocks, b"")


def peak_of(rows: int) -> int:
    tracemalloc.start()
    try:
        assert sum(row.line > 1 for row in CsvRows(Endless(rows))) == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_rows() -> None:
    peak_of(1_000)
    assert peak_of(40_000) < 1.5 * peak_of(4_000)
