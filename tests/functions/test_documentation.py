"""docs/EDGE_FUNCTIONS.md matches the code: its first example loads, and it lists every error code."""

import ast
import re
from pathlib import Path

import pytest

from outdial.functions.loading import load_functions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "EDGE_FUNCTIONS.md").read_text()
SOURCES = [
    *(ROOT / "src" / "outdial" / "auth").glob("*.py"),
    *(ROOT / "src" / "outdial" / "functions").glob("*.py"),
    *(ROOT / "supabase" / "functions").rglob("*.py"),
]
CARRIES_A_CODE = {"HttpError", "AccessDenied", "BadToken", "VerifierMisconfigured"}


def codes_of(path: Path) -> set[str]:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {
        str(argument.value)
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in CARRIES_A_CODE
        for argument in call.args[:2]
        if isinstance(argument, ast.Constant) and re.fullmatch(r"[A-Z]+(_[A-Z]+)+", str(argument.value))
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_error_code_is_documented(path: Path) -> None:
    assert {code for code in codes_of(path) if f"`{code}`" not in PAGE} == set()


def test_the_first_example_loads(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "index.py").write_text(example[1])

    assert load_functions(tmp_path)["hello"].endpoint.methods == {"POST"}


def test_every_internal_link_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
