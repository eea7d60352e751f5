"""A refused row comes back with the cells that its file had, whatever they hold."""

import csv
import io
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from outdial.campaigns.importing.columns import cell_text, find_columns
from outdial.campaigns.importing.contact_rows import ContactReader
from outdial.campaigns.importing.csv_rows import CsvRows, Row
from outdial.campaigns.importing.refusals import REFUSED_COLUMNS, RefusedRow, unescape_cell
from outdial.jobs.csv_cells import CsvBuffer
from tests.support.factories import NOW

HEADER = ["phone", "name", "Account Tier", "=odd"]
CELLS = st.text(st.sampled_from([*"=+-@'\",;\t|\n\r ab1", "é", "＝", "\u00a0"]), max_size=12)


def refused_rows(content: bytes) -> list[Sequence[str]]:
    """Return the cells of the rows of a file, each of which is refused for its phone."""
    rows = CsvRows(io.BytesIO(content))
    reader = ContactReader(find_columns(rows.header), None, NOW)
    found = []
    for row in rows:
        assert isinstance(row, Row)
        refused = reader.read(row)
        assert isinstance(refused, RefusedRow)
        found.append(refused.cells)
    return found


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5))
@example([("=1+1", "'=1", "''=1")])
@example([("a\r\nb", '"', ",")])
def test_a_file_of_refused_rows_holds_the_cells_of_the_first_file(rows: list[tuple[str, str, str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER, *(["nonsense", *cells] for cells in rows)])
    first = refused_rows(text.getvalue().encode())

    again = CsvBuffer([*REFUSED_COLUMNS, *map(unescape_cell, HEADER)])
    for line, cells in enumerate(first, start=2):
        again.add([line, "bad_phone", "holds letters", *map(unescape_cell, cells)])
    second = refused_rows(again.take())

    assert [tuple(map(cell_text, cells[-3:])) for cells in second] == [tuple(map(cell_text, cells)) for cells in rows]
