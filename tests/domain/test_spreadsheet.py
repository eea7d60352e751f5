"""Text that passes through a spreadsheet comes back as it was."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outdial.domain.spreadsheet import escape_formula, unescape_formula


@given(st.text(st.sampled_from("='+-@＝ \t\r\nax0\N{NO-BREAK SPACE}\ufeff\u200b")) | st.text())
@example("'=1")
@example("''+1")
def test_an_escaped_cell_comes_back_as_it_was(text: str) -> None:
    assert unescape_formula(escape_formula(text)) == text


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "＋1", " =1", "\N{NO-BREAK SPACE}=1", "\t1", "'=1"])
@pytest.mark.parametrize("before", ["", "\ufeff", "\u200b", "\ufeff\N{NO-BREAK SPACE}", "\x00", "\xad", "\u202e"])
def test_what_a_spreadsheet_would_run_is_escaped(text: str, before: str) -> None:
    if text[0] not in "'\t":
        text = before + text
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["'t Hart", "'", "it's", "O'Hara", "a=1", ""])
def test_ordinary_apostrophes_stay(text: str) -> None:
    assert escape_formula(text) == text
    assert unescape_formula(text) == text
