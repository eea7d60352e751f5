"""The guides name only files, tests and commands that exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from outdial.cli.main import whole_command

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
PAGES = [*GUIDES, *sorted((ROOT / "docs").rglob("*.md"))]
# A path in backticks, from the root of the repository or of the package; `<noun>` stands for any name.
PATH = re.compile(r"`((?:[\w.<>-]+/)+(?:[\w<>-]+\.[a-z]+)?|[a-z_]+\.py|Makefile|pyproject\.toml|\.ci/run)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# The file names that every noun of the studio has.
OF_EVERY_NOUN = {"service.py", "api.py", "pages.py"}


def by_name(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def exists(path: str) -> bool:
    pattern = re.sub(r"<[^>]+>", "*", path).rstrip("/")
    return path in OF_EVERY_NOUN or any(list(base.glob(pattern)) for base in (ROOT, ROOT / "src" / "outdial"))


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command in the blocks of shell, without comments and environment variables."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                yield words


def problem_of(words: list[str]) -> str | None:
    """Return what is wrong with a command, None for one that this repository can run."""
    program, rest = words[0].removeprefix(".venv/bin/"), words[1:]
    match program:
        case "make":
            return None if set(rest) <= TARGETS else f"make has no target {rest}"
        case "pytest":
            missing = [each for each in rest if each.startswith("tests/") and not exists(each.partition("::")[0])]
            return f"there is no {missing}" if missing else None
        case "python" | "python3":
            script = rest[0]
            return None if script == "-m" or exists(script) else f"there is no {script}"
        case "outdial":
            return problem_of_command_line(rest)
        case "npm" | "git" | "curl" | "export" | "printf":
            return None
        case _:
            return f"{program} is not known here"


def problem_of_command_line(words: list[str]) -> str | None:
    """Return what the command line parser says of `outdial` with these words."""
    command, name = whole_command(), "outdial"
    while (children := getattr(command, "commands", None)) is not None:
        if not words or words[0] not in children:
            return f"{name} has no command {words[:1]}"
        command, name, words = children[words[0]], f"{name} {words[0]}", words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    return f"{name} has no option {unknown}" if unknown else None


@pytest.mark.parametrize("page", GUIDES, ids=by_name(GUIDES))
def test_every_path_exists(page: Path) -> None:
    named = PATH.findall(page.read_text())

    assert [path for path in named if not exists(path)] == []


@pytest.mark.parametrize("page", PAGES, ids=by_name(PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text()):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        aim = (page.parent / target).resolve() if target else page
        if not aim.exists() or (anchor and anchor not in anchors(aim)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", GUIDES, ids=by_name(GUIDES))
def test_every_command_can_be_run(page: Path) -> None:
    assert [(words, problem) for words in commands(page) if (problem := problem_of(words))] == []


def test_the_guide_to_tests_names_every_folder_of_tests() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    folders = {path.parent.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}

    assert {folder for folder in folders if f"`tests/{folder}/`" not in guide} == set()
