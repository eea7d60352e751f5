"""Each planted bug still has its place in the code, and the test that finds it exists."""

import ast

import pytest

from tools.plant_bugs import ROOT, PlantedBug, read_bugs, table

PAGE = ROOT / "docs" / "planted_bugs.md"
BUGS = read_bugs()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.title)
def test_a_planted_bug_has_one_place_and_a_test(bug: PlantedBug) -> None:
    assert (ROOT / bug.file).read_text().count(bug.before) == 1
    assert bug.before != bug.after
    file, _, name = bug.test.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_page_lists_every_planted_bug() -> None:
    assert table(BUGS) in PAGE.read_text(), "print the table with `python -m tools.plant_bugs --table`"
    assert len({bug.title for bug in BUGS}) == len(BUGS)
