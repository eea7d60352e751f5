"""Measure how the code is structured: `python tools/structure.py [--at REVISION_OR_DIRECTORY ...]`.

Without `--at` it measures the working tree. Each `--at` adds a column, so that two of them show before and after:
`python tools/structure.py --at 528c413 --at HEAD`. The code that counts is `src/outdial` without generated modules.
"""

import argparse
import ast
import gc
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = PurePosixPath("src/outdial")
GENERATED = re.compile(r"\b(generated|written) by\b|@generated", re.IGNORECASE)

# One word that every file of the change has to name.
CHANGES = {
    "a contact's column": "company",
    "a campaign's limit": "max_concurrency",
    "an action of campaign-trigger": "resume_campaign",
}
# Files that name the words without taking part in the change: this script and its test, the page that prints the
# counts, and benchmarks, which only fill in sample values.
NOT_TOUCHED = (":!tools", ":!tests/docs/test_structure.py", ":!ARCHITECTURE.md", ":!CONTRIBUTING.md", ":!benchmarks")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Measure:
    """One figure: its value, how to print it, and the figure to aim for."""

    value: float
    aim: str
    unit: str = ""

    def __str__(self) -> str:
        number = f"{self.value:.2f}".rstrip("0").rstrip(".")
        return f"{number}{self.unit}"


class Checkout:
    """The files of one revision in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @cached_property
    def trees(self) -> Mapping[PurePosixPath, ast.Module]:
        """The parsed modules of `src/outdial` by their path, generated ones left out."""
        return self._parsed(str(PACKAGE))

    @cached_property
    def nodes(self) -> Mapping[PurePosixPath, list[ast.AST]]:
        """All nodes of `trees` by the path of their module: walking them for each figure takes ten seconds."""
        return {path: list(ast.walk(tree)) for path, tree in self.trees.items()}

    def _parsed(self, folder: str) -> dict[PurePosixPath, ast.Module]:
        found = {}
        for path in sorted((self.directory / folder).rglob("*.py")):
            text = path.read_text()
            if not GENERATED.search(text[:400].split("\nimport ", 1)[0]):
                found[PurePosixPath(path.relative_to(self.directory).as_posix())] = _parse(text)
        return found

    def private_with_one_caller(self) -> list[str]:
        """Name the private functions and methods that the package refers to exactly once outside their own body."""
        return [place for place, callers in self._callers() if callers == 1]

    def functions(self) -> int:
        """Count all functions and methods, nested ones included."""
        return sum(isinstance(node, Function) for nodes in self.nodes.values() for node in nodes)

    def _callers(self) -> Iterator[tuple[str, int]]:
        """Yield each private function of a module or class, and how many times the code refers to it.

        A method is looked for in its own class, and through any receiver but `self` and `cls` in every module.
        """
        imported = Counter(
            alias.name
            for nodes in self.nodes.values()
            for node in nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        )
        foreign = Counter(
            node.attr
            for nodes in self.nodes.values()
            for node in nodes
            if isinstance(node, ast.Attribute) and not _is_own(node)
        )
        for path, tree in self.trees.items():
            named = Counter(node.id for node in self.nodes[path] if isinstance(node, ast.Name))
            for function in _private_functions(tree.body):
                itself = _names(function)[function.name]
                yield (
                    f"{path}:{function.lineno} {function.name}",
                    named[function.name] + imported[function.name] - itself,
                )
            for owner in (node for node in self.nodes[path] if isinstance(node, ast.ClassDef)):
                own = Counter(
                    node.attr for node in ast.walk(owner) if isinstance(node, ast.Attribute) and _is_own(node)
                )
                for method in _private_functions(owner.body):
                    itself = _names(method)[method.name]
                    callers = own[method.name] + foreign[method.name] - itself
                    yield f"{path}:{method.lineno} {owner.name}.{method.name}", callers

    def class_names_used_twice(self) -> dict[str, list[str]]:
        """Map each public class name that several modules define to those modules: functions and clients included."""
        found = defaultdict(list)
        for path, tree in {**self.trees, **self._parsed("supabase/functions"), **self._parsed("clients")}.items():
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(path))
        return {name: paths for name, paths in sorted(found.items()) if len(paths) > 1}

    def modules_per_folder(self) -> Counter[str]:
        """Count the modules that lie flat in each folder, `__init__.py` left out."""
        return Counter(str(path.parent) for path in self.trees if path.name != "__init__.py")

    def longest_chain(self) -> list[str]:
        """Return the longest chain of folders in which each imports the next, from the top down.

        All imports count: at the top of a module, inside functions, and for type checking. The modules beside the
        packages count as one folder, `outdial`. Folders that import each other in a circle enter as one link, whose
        length is the number of folders in the circle; the length of the chain is the number of folders it names.
        """
        imports = self._folder_imports()
        circles = _circles(imports)
        best: dict[frozenset[str], list[str]] = {}

        def chain_from(circle: frozenset[str]) -> list[str]:
            if circle not in best:
                below = {circles[target] for folder in circle for target in imports[folder]} - {circle}
                best[circle] = sorted(circle) + max((chain_from(each) for each in below), key=len, default=[])
            return best[circle]

        return max((chain_from(circle) for circle in set(circles.values())), key=len, default=[])

    def _folder_imports(self) -> dict[str, set[str]]:
        """Map each folder to the other folders that its modules import."""
        modules = {_module(path): str(path.parent) for path in self.trees}
        found: dict[str, set[str]] = {str(path.parent): set() for path in self.trees}
        for path, nodes in self.nodes.items():
            for target in _imported_modules(nodes, modules):
                found[str(path.parent)].add(modules[target])
        return {folder: targets - {folder} for folder, targets in found.items()}

    def calls(self) -> list[ast.Call]:
        """List all calls; a starred argument counts as one."""
        return [node for nodes in self.nodes.values() for node in nodes if isinstance(node, ast.Call)]

    def files_naming(self, word: str) -> list[str]:
        """List the files that `git grep -lw` finds for a word, generated ones left out."""
        command = ["git", "grep", "--no-index", "--exclude-standard", "-lw", word, "--", ".", *NOT_TOUCHED]
        listing = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, check=False).stdout
        return [name for name in listing.splitlines() if not self._is_generated(name)]

    def _is_generated(self, name: str) -> bool:
        start = (self.directory / name).read_text()[:400]
        return name == "docs/cli.md" or (
            name.endswith((".py", ".json")) and bool(GENERATED.search(start.split("\nimport ", 1)[0]))
        )

    def prose(self) -> Iterator[str]:
        """Yield the docstrings and comments of the package and the functions, and every page of documentation."""
        functions = sorted((self.directory / "supabase" / "functions").rglob("*.py"))
        for path in [*sorted((self.directory / PACKAGE).rglob("*.py")), *functions]:
            text = path.read_text()
            yield from (ast.get_docstring(node) or "" for node in _definitions(_parse(text)))
            tokens = tokenize.generate_tokens(io.StringIO(text).readline)
            yield from (token.string for token in tokens if token.type == tokenize.COMMENT)
        for path in [*(self.directory / "src").rglob("*.sql"), *(self.directory / "supabase").rglob("*.sql")]:
            yield from re.findall(r"--(.*)", path.read_text())
        for path in [*self.directory.glob("*.md"), *(self.directory / "docs").rglob("*.md")]:
            yield path.read_text()


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}


def _names(node: ast.AST) -> Counter[str]:
    """Count the names and attributes that the body of a function refers to."""
    found = Counter(each.id for each in ast.walk(node) if isinstance(each, ast.Name))
    found.update(each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute))
    return found


def _private_functions(body: list[ast.stmt]) -> Iterator[Function]:
    for node in body:
        if isinstance(node, Function) and node.name.startswith("_") and not node.name.startswith("__"):
            yield node


def _definitions(tree: ast.Module) -> Iterator[Function | ast.ClassDef | ast.Module]:
    """Yield a module and what it defines. Expressions, which define nothing, are most of its nodes."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function | ast.ClassDef | ast.Module):
            yield node
        waiting += (each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.expr))


def _module(path: PurePosixPath) -> str:
    parts = path.relative_to("src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported_modules(nodes: list[ast.AST], modules: Mapping[str, str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names = (f"{node.module}.{alias.name}", node.module)
                yield from [name for name in names if name in modules][:1]


def _circles(imports: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    """Map each folder to the folders that it imports and that import it, directly or through others."""
    reached: dict[str, set[str]] = {}
    for folder in imports:
        seen, waiting = {folder}, [folder]
        while waiting:
            new = imports[waiting.pop()] - seen
            seen |= new
            waiting += new
        reached[folder] = seen
    return {folder: frozenset(each for each in seen if folder in reached[each]) for folder, seen in reached.items()}


def measure(checkout: Checkout) -> dict[str, Measure]:
    """Return all figures of a checkout by what they count."""
    calls = checkout.calls()
    positional = sum(len(call.args) >= 5 for call in calls)
    words = re.findall(r"[A-Za-z']+", " ".join(checkout.prose()).lower())
    figures = {
        "private functions with one caller": Measure(
            100 * len(checkout.private_with_one_caller()) / checkout.functions(), "10 %", " %"
        ),
        "public class names defined twice": Measure(len(checkout.class_names_used_twice()), "0"),
        "most modules flat in one folder": Measure(max(checkout.modules_per_folder().values()), "20"),
        "longest chain of folders": Measure(len(checkout.longest_chain()), "short"),
        "calls with five positional arguments or more, per 1,000": Measure(1000 * positional / len(calls), "3"),
    }
    for change, word in CHANGES.items():
        figures[f"files of {change} (`{word}`)"] = Measure(len(checkout.files_naming(word)), "9")
    for stem in ("answer", "response"):
        said = sum(word.startswith(stem) for word in words)
        figures[f"{stem}* per 1,000 words of prose"] = Measure(1000 * said / len(words), "")
    return figures


def details(checkout: Checkout) -> Iterator[str]:
    """Yield the places behind each figure."""
    yield from (f"one caller: {place}" for place in checkout.private_with_one_caller())
    yield from (f"class twice: {name}: {' '.join(paths)}" for name, paths in checkout.class_names_used_twice().items())
    yield from (f"flat: {count} {folder}" for folder, count in checkout.modules_per_folder().most_common(5))
    yield "chain: " + " > ".join(folder.removeprefix("src/outdial/") for folder in checkout.longest_chain())
    for path, nodes in checkout.nodes.items():
        for node in nodes:
            if isinstance(node, ast.Call) and len(node.args) >= 5:
                yield f"positional: {path}:{node.lineno} {ast.unparse(node.func)}"
    for word in CHANGES.values():
        yield from (f"names {word}: {name}" for name in checkout.files_naming(word))


def extract(revision: str, into: Path) -> None:
    """Unpack the files of a git revision into a directory."""
    packed = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(into, filter="data")


def table(columns: Mapping[str, Mapping[str, Measure]]) -> str:
    """Lay the figures out as a Markdown table with one column per checkout."""
    first = next(iter(columns.values()))
    lines = [f"| | {' | '.join(columns)} | aim |", "|---" * (len(columns) + 2) + "|"]
    for name, figure in first.items():
        cells = [str(column[name]) for column in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {figure.aim} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Print the table, and with `--list` the places behind the figures of the last checkout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--at", action="append", metavar="REVISION_OR_DIRECTORY", help="what to measure (repeatable)")
    parser.add_argument("--list", action="store_true", help="name the places behind the figures")
    options = parser.parse_args(arguments)
    gc.disable()  # The trees stay until the end: looking for garbage among their nodes takes three seconds.
    columns: dict[str, dict[str, Measure]] = {}
    places: list[str] = []
    for name in options.at or ["."]:
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch)
            if name == ".":
                directory = ROOT
            elif Path(name).is_dir():
                directory = Path(name)
            else:
                extract(name, directory)
            checkout = Checkout(directory)
            columns["working tree" if name == "." else name] = measure(checkout)
            places = list(details(checkout)) if options.list else []
    print("\n".join([table(columns), *places]))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
