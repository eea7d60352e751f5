"""Import rules for code outside src/, where import-linter does not look."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted((ROOT / "supabase" / "functions").rglob("*.py"))
CLIENT = sorted((ROOT / "clients" / "python").rglob("*.py"))

# A function composes features with the runtime. Database access, the dialer and the host stay behind these packages.
OF_FUNCTIONS = (
    "msgspec",
    "outdial.campaigns",
    "outdial.functions",
    "outdial.domain.limits",
    "outdial.inbox",
    "outdial.net",
    "outdial.provider_keys",
    "outdial.retell.events",
    "outdial.retell.webhooks",
    "outdial.settings",
    "shared",
)
OF_CLIENT = ("httpx", "outdial_client")


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, without the standard library."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "."]
        yield from (name for name in names if name.partition(".")[0] not in sys.stdlib_module_names)


def among(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: "/".join(path.parts[-2:]))
def test_functions_import_features_and_the_runtime_only(path: Path) -> None:
    assert [name for name in imports(path) if not among(name, OF_FUNCTIONS)] == []


@pytest.mark.parametrize("path", CLIENT, ids=lambda path: path.name)
def test_the_python_client_imports_its_http_client_only(path: Path) -> None:
    assert [name for name in imports(path) if not among(name, OF_CLIENT)] == []
