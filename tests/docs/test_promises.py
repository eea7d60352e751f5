"""The code, the tests and the docs name promises by the numbers and the names of one list."""

import re
from pathlib import Path

from outdial.promises.promise import Promise

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
CODE = [path for folder in ("src", "tests", "benchmarks", "tools") for path in (ROOT / folder).rglob("*.py")]
# "promise 6", "promises 1, 3 and 14".
NUMBERS = re.compile(r"\bpromises? (\d+(?:(?:, | and |, and | to )\d+)*)", re.IGNORECASE)
NAMED = re.compile(r"\bPromise (\d+): ([^.]+)\.")


def test_the_readme_lists_each_promise_with_its_number() -> None:
    section = (ROOT / "README.md").read_text().split("## What it promises\n")[1].split("\n## ")[0]
    listed = re.findall(r"^(\d+)\. (.+?)\n(?=\d+\. |\n)", section, re.MULTILINE | re.DOTALL)

    assert [(int(number), " ".join(text.split())) for number, text in listed] == [
        (each.value, each.text) for each in Promise
    ]


def test_the_docs_name_promises_as_the_reports_do() -> None:
    named = [found for page in PAGES for found in NAMED.findall(page.read_text())]

    assert ("1", Promise.ONE_REQUEST.short) in named
    for number, name in named:
        assert " ".join(name.split()) == Promise(int(number)).short


def test_every_number_of_a_promise_is_in_the_list() -> None:
    known = {each.value for each in Promise}
    unknown = [
        f"{path.relative_to(ROOT)}: {found}"
        for path in (*PAGES, *CODE)
        for found in NUMBERS.findall(path.read_text())
        if not {int(number) for number in re.findall(r"\d+", found)} <= known
    ]

    assert sorted(known) == list(range(1, len(Promise) + 1))
    assert unknown == []


def test_checks_take_promises_from_the_list() -> None:
    numbered = re.compile(r"\bpromise=\d|\.note\(\s*\d|promised=")
    checks = [*(ROOT / "src" / "outdial" / "promises").rglob("*.py"), *(ROOT / "tests" / "simulation").rglob("*.py")]

    assert [str(path) for path in checks if numbered.search(path.read_text())] == []
