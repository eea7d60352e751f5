"""JSON lines are read as rows: each line by itself, numbers with all their digits, and what an export wrote."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.columns import EMPTY_WORDS, cell_text
from outdial.campaigns.importing.csv_rows import LONGEST_ROW, Row
from outdial.campaigns.importing.file_rows import FileRows, open_rows
from outdial.campaigns.importing.json_rows import MOST_KEYS
from outdial.campaigns.importing.preview import preview
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.campaigns.importing.workbook_reader import write_rows
from outdial.campaigns.results.columns import RESULT_PHONES, result_columns
from outdial.jobs.tables import FileFormat, file_cells, open_table

NOW = datetime(2026, 3, 10, tzinfo=UTC)
PHONE = "+12125550123"


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def read(content: bytes) -> FileRows:
    return open_rows(io.BytesIO(content))


def test_a_key_is_a_column_wherever_it_occurs_first() -> None:
    rows = read(lines({"phone": PHONE}, {"tier": "gold", "phone": "1"}))
    assert rows.header == ["phone", "tier"]
    assert list(rows) == [Row(1, [PHONE, ""]), Row(2, ["1", "gold"])]


def test_values_keep_their_digits_and_lists_are_text() -> None:
    content = b'\xef\xbb\xbf{"n": 123456789012345678901234567890, "f": 1.10, "b": true, "z": null, "l": ["a"], "o": {}}'
    assert list(read(content)) == [Row(1, ["123456789012345678901234567890", "1.10", "true", "", '["a"]', "{}"])]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"phone": "+1', Refusal.UNREADABLE),
        (b"[1]", Refusal.UNREADABLE),
        (b"plain text", Refusal.UNREADABLE),
        (b'{"phone": "\\u0000"}', Refusal.UNREADABLE),
        (b'{"phone": "\\ud800"}', Refusal.UNREADABLE),
        (b'{"phone": "\x81\xff"}', Refusal.UNREADABLE),
        (b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", Refusal.UNREADABLE),
        (b'{"a": "' + b"x" * LONGEST_ROW + b'"}', Refusal.TOO_LONG),
    ],
)
@pytest.mark.parametrize("is_first", [False, True])
def test_a_line_that_is_no_object_is_refused_alone(line: bytes, kind: Refusal, is_first: bool) -> None:
    good = lines({"phone": PHONE})
    if is_first and not line.startswith(b'{"'):
        with pytest.raises(UnusableFile):
            preview_problem(line + b"\n" + good)
        return
    rows = list(read(line + b"\n\n" + good if is_first else good + b"\n" + line))
    refused = next(row for row in rows if isinstance(row, RefusedRow))
    assert (refused.line, refused.kind) == (1 if is_first else 3, kind)
    assert [row.line for row in rows if isinstance(row, Row)] == [3 if is_first else 1]
    assert all("\0" not in cell and cell.encode() for cell in refused.cells)


def preview_problem(content: bytes) -> None:
    problem = preview(content, is_whole=True, mapping=None, default_region=None, now=NOW).problem
    if problem is not None:
        raise UnusableFile(problem)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{\n  "contacts": [\n  ]\n}\n', "no line of the file is a JSON object"),
        (b"{}\n{}\n", "no line of the file is a JSON object"),
        (lines({"phone": "1", "Phone": "2"}), "are read as the same name"),
        (lines({"name": "Ada"}), "no phone column among name"),
        (lines(*({f"k{row}-{key}": 1 for key in range(1_000)} for row in range(11))), f"more than {MOST_KEYS:,}"),
    ],
)
def test_a_file_without_usable_objects_is_refused_whole(content: bytes, problem: str) -> None:
    with pytest.raises(UnusableFile, match=problem):
        preview_problem(content)


def test_a_preview_reads_the_lines_that_are_whole() -> None:
    content = lines({"phone": PHONE, "tier": "gold"}, {"phone": "+12125550124", "": "lost"}) + b'{"phone": "+1212555'
    found = preview(content, is_whole=False, mapping=None, default_region=None, now=NOW)
    assert ([row.line for row in found.contacts], found.variables) == ([1, 2], ["tier"])
    assert found.notices == ("values of empty keys are left out",)


# What spreadsheets run as formulas, what programs write for no value, and numbers that a double would change.
_ODD = ["=1+1", "+1", "-2", "@x", "'=1", "''=1", " '=1", "\t=1", "＝1", "'plain", "", "00123", "1e400", "9" * 40]
_VALUES = st.one_of(
    st.sampled_from([*_ODD, "2026-03-10", "2026-03-10T17:30:00-05:00", "1.0", "Žižek – “x” 😀", 'a,"b";c|d\te']),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=20),
    st.integers(),
    st.booleans(),
    st.none(),
    st.lists(st.text("ab,", max_size=3), max_size=2),
)


@settings(max_examples=25)
@given(values=st.lists(_VALUES, min_size=5, max_size=20))
def test_a_results_file_of_every_format_is_read_as_it_was(
    values: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = {each: round_trip(each, values, tmp_path_factory.getbasetemp()) for each in ("csv", "xlsx", "jsonl")}
    expected = [expected_text(value) for value in values]
    assert found == dict.fromkeys(found, expected)


def round_trip(file_format: FileFormat, values: list[Any], directory: Path) -> list[str]:
    """Write one contact per value as results, read the file as an import does, and return the variable of each."""
    columns = result_columns([], ["due"], with_transcript=False, with_recording=False)
    prepare = file_cells(RESULT_PHONES, ZoneInfo("UTC"))
    path = directory / f"round-trip.{file_format}"
    with open_table(file_format, columns.header) as table, path.open("wb") as target:
        for number, value in enumerate(values):
            cells = [None] * len(columns.header)
            cells[0], cells[-1] = f"+1212555{number:04}", value
            table.add(prepare(cells))
        if table.is_text:
            target.write(table.take())
        table.finish()
        target.writelines(table.pieces())
    content = path.read_bytes()
    if file_format == "xlsx":
        text = io.StringIO(newline="")
        write_rows(CalamineWorkbook.from_path(path).get_sheet_by_index(0).iter_rows(), text)
        content = text.getvalue().encode()
    return [cell_text(row.cells[-1]) for row in read(content) if isinstance(row, Row)]


def expected_text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return "" if value.strip() in EMPTY_WORDS else value.strip()
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
