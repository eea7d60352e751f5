"""Plants each bug of planted_bugs.toml in a copy of the repository, and runs the test that must find it.

`python -m tools.plant_bugs [WORD...]` plants the bugs whose titles contain all the words. It fails if a test passes
with its bug, or fails without it. `--table` prints the table of docs/planted_bugs.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUGS = Path(__file__).with_name("planted_bugs.toml")
COPIED = ("src", "tests", "supabase", "tools", "benchmarks", "docs", "clients", "pyproject.toml")
FAILED = 1
"""The exit status of pytest when tests ran and some failed; others mean that it could not run them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedBug:
    """A change of one place in one file, and the test that finds it."""

    title: str
    file: str
    before: str
    after: str
    test: str

    def plant(self, root: Path) -> None:
        """Change the file in the copy at `root`; raises ValueError if the place is not there exactly once."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.before) != 1:
            raise ValueError(f"{self.file} has {text.count(self.before)} places for {self.title!r}")
        path.write_text(text.replace(self.before, self.after))


def read_bugs() -> list[PlantedBug]:
    """Return all planted bugs."""
    return [PlantedBug(**bug) for bug in tomllib.loads(BUGS.read_text())["bug"]]


def table(bugs: Sequence[PlantedBug]) -> str:
    """Return the bugs as the table of docs/planted_bugs.md."""
    rows = [f"| {bug.title} | `{bug.file}` | `{bug.test}` |" for bug in bugs]
    return "\n".join(["| bug | planted in | found by |", "|---|---|---|", *rows])


def run_tests(root: Path, tests: Sequence[str]) -> int:
    """Run tests of the copy at `root` with its own sources; return the exit status of pytest."""
    env = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=root, env=env, capture_output=True, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant the bugs that the arguments name, by default all; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="plant only bugs whose titles contain these words")
    parser.add_argument("--table", action="store_true", help="print the table of the docs, and plant nothing")
    options = parser.parse_args(arguments)
    bugs = [bug for bug in read_bugs() if all(word.lower() in bug.title.lower() for word in options.words)]
    if options.table:
        print(table(bugs))  # noqa: T201
        return 0
    missed = 0
    with tempfile.TemporaryDirectory(prefix="outdial-plants-") as directory:
        root = Path(directory)
        root.chmod(0o755)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, root / name)
        if run_tests(root, sorted({bug.test for bug in bugs})) != 0:
            print("a test fails without its bug", file=sys.stderr)  # noqa: T201
            return 1
        for bug in bugs:
            clean = (root / bug.file).read_text()
            bug.plant(root)
            found = run_tests(root, [bug.test]) == FAILED
            (root / bug.file).write_text(clean)
            print(f"{'found' if found else 'MISSED'}  {bug.title}", flush=True)  # noqa: T201
            missed += not found
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
