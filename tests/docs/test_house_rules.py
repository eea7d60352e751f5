"""House rules that no linter checks. Each test lists the violations of its rule; the exceptions may only shrink."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "outdial"
SOURCES = sorted(PACKAGE.rglob("*.py")) + sorted((ROOT / "supabase" / "functions").rglob("*.py"))
QUERIES = sorted((PACKAGE / "db" / "queries").rglob("*.sql"))
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
LONG_FUNCTIONS: set[str] = set()
MAX_FOLDER_MODULES = 25
# One file per table.
LARGE_FOLDERS = {"src/outdial/db/queries"}
VAGUE_NAMES = {"utils", "helpers", "manager", "common", "misc"}

CLOCK_FUNCTIONS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns", "asyncio.sleep",
    "time.sleep",
}  # fmt: skip
TIMER_FUNCTIONS = {"time.monotonic", "time.perf_counter"}
# Where time is real: the clocks, starting a server process, and the pause before reconnecting.
MAY_READ_THE_TIME = ("clock.py", "retell/simulator/", "db/embedded.py", "db/listen.py")
# Durations for logs and metrics, never for decisions about calls.
MAY_MEASURE = (*MAY_READ_THE_TIME, "functions/", "cli/", "host/", "http/", "promises/", "stack/")
# Settings; a file descriptor from the parent process; and a worker, which replaces its whole environment.
MAY_READ_THE_ENVIRONMENT = ("settings.py", "process.py", "host/worker/main.py")
# Besides `db/`, the temporary SQLite file of an import.
MAY_HOLD_SQL = ("db/", "campaigns/importing/first_lines.py")

SQL_TIME = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp)\s*\(|\b(current_timestamp|current_date|localtimestamp)\b",
    re.IGNORECASE,
)
MACHINE_PATH = re.compile(
    r"(?<![\w.:/])/(?:work|tmp|root|home/\w+|opt/pypi)(?:/|\b)|pypi\.org|pythonhosted\.org|registry\.npmjs\.org"
)

# Words that an earlier version of the prose used in place of "log", "report", "a user" or "with this status", and names
# that a test call and a new campaign from contacts had as well: "call again" is the decision about one in review.
OLD_WORDS = re.compile(
    r"\b(whoever|somebody|stands so|(is|are|was|were) told|tells of|says so|call me now|call-again)\b", re.IGNORECASE
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def place(path: Path, node: ast.AST | None = None) -> str:
    line = getattr(node, "lineno", None)
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))


def is_among(path: Path, allowed: tuple[str, ...]) -> bool:
    return path.is_relative_to(PACKAGE) and path.relative_to(PACKAGE).as_posix().startswith(allowed)


def nodes(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[Path, ast.AST]]:
    for path, tree in TREES.items():
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, kind))


def references() -> Iterator[tuple[Path, ast.AST, str]]:
    """Yield every `module.name` in the sources, whether qualified or imported by name."""
    for path, node in nodes((ast.Attribute, ast.ImportFrom)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            yield path, node, f"{owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            yield from ((path, node, f"{node.module}.{alias.name}") for alias in node.names)


def only_yields(path: Path) -> set[ast.expr]:
    """Return the `asyncio.sleep` of each `asyncio.sleep(0)`, which only yields to the loop."""
    calls = (node for node in ast.walk(TREES[path]) if isinstance(node, ast.Call))
    return {call.func for call in calls if [ast.unparse(argument) for argument in call.args] == ["0"]}


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git repository")
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [path for path in paths if (path.is_file() or path.is_symlink()) and path != Path(__file__)]


def blocks(path: Path) -> Iterator[tuple[str, list[str]]]:
    for block in re.split(r"^-- name: *", path.read_text(), flags=re.MULTILINE)[1:]:
        name, *lines = block.splitlines()
        yield name, lines


def test_files_are_short() -> None:
    lengths = {place(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_fit_on_a_screen() -> None:
    lengths = {
        f"{place(path, node)} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef))
        # The generated functions of queries have a line for each parameter.
        if isinstance(node, Function) and node.name not in LONG_FUNCTIONS and "queries" not in path.parts
    }
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


def test_modules_have_specific_names() -> None:
    assert [place(path) for path in SOURCES if VAGUE_NAMES & {path.stem, path.parent.name}] == []


def test_only_the_clocks_read_the_time() -> None:
    assert [
        f"{place(path, node)} {name}"
        for path, node, name in references()
        if (name in CLOCK_FUNCTIONS and not is_among(path, MAY_READ_THE_TIME) and node not in only_yields(path))
        or (name in TIMER_FUNCTIONS and not is_among(path, MAY_MEASURE))
    ] == []


def test_settings_are_read_in_one_place() -> None:
    assert [
        place(path, node)
        for path, node, name in references()
        if name in {"os.environ", "os.getenv"} and not is_among(path, MAY_READ_THE_ENVIRONMENT)
    ] == []


def test_sql_outside_the_db_package_comes_from_files() -> None:
    runs_sql = re.compile(r"execute(many)?|fetch\w*")
    assert [
        f"{place(path, node)} {node.func.attr}"
        for path, node in nodes(ast.Call)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and runs_sql.fullmatch(node.func.attr)
        if node.args and isinstance(node.args[0], ast.JoinedStr | ast.Constant)
        if not is_among(path, MAY_HOLD_SQL)
    ] == []


def test_queries_get_the_time_as_a_parameter() -> None:
    # The one that reads the database's clock, which the dialer's clock follows.
    expected = ["src/outdial/db/queries/batches.sql: select clock_timestamp() as now;"]
    assert [
        f"{place(path)}: {line.strip()}"
        for path in QUERIES
        for line in path.read_text().splitlines()
        if SQL_TIME.search(line.partition("--")[0])
    ] == expected


def test_each_query_has_a_description() -> None:
    assert QUERIES
    assert [
        f"{place(path)} {name}" for path in QUERIES for name, lines in blocks(path) if not lines[0].startswith("-- ")
    ] == []


def test_no_two_public_classes_share_a_name() -> None:
    written = [*SOURCES, *sorted((ROOT / "clients").rglob("*.py"))]
    places: dict[str, list[str]] = {}
    for path in written:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(place(path, node))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_folders_hold_few_modules() -> None:
    modules = Counter(path.parent for path in SOURCES if path.name != "__init__.py")
    assert {
        place(folder): count
        for folder, count in modules.items()
        if count > MAX_FOLDER_MODULES and place(folder) not in LARGE_FOLDERS
    } == {}


def test_every_module_has_a_docstring() -> None:
    assert [place(path) for path, tree in TREES.items() if tree.body and not ast.get_docstring(tree)] == []


def test_prose_uses_the_standard_words() -> None:
    written = [path for folder in ("src", "docs", "supabase", "clients") for path in (ROOT / folder).rglob("*")]
    pages = [path for path in (*written, *ROOT.glob("*.md")) if path.suffix in {".md", ".py", ".sql", ".html", ".ts"}]
    assert [
        f"{place(path)}:{number} {line.strip()[:100]}"
        for path in pages
        if "node_modules" not in path.parts
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if OLD_WORDS.search(line)
    ] == []


def test_no_file_names_a_path_of_one_machine_or_a_package_registry() -> None:
    found = []
    for path in tracked_files():
        try:
            lines = [str(path.readlink())] if path.is_symlink() else path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{place(path)}:{n} {line[:100]}" for n, line in enumerate(lines, 1) if MACHINE_PATH.search(line)]
    assert found == []
