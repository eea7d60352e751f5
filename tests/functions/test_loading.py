"""Functions are found in a directory and imported from their paths."""

from pathlib import Path

import pytest

from outdial.functions.errors import FunctionNotLoaded
from outdial.functions.loading import load_functions

GOOD = """
from outdial.functions import Response, with_supabase
{imports}
WORD = {word}

@with_supabase(auth="none")
async def fetch(request, ctx):
    return Response(WORD)
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def good(imports: str = "", word: str = "'hello'") -> str:
    return GOOD.format(imports=imports, word=word)


def word_of(directory: Path, slug: str) -> str:
    handler = load_functions(directory)[slug].endpoint.handler
    return str(handler.__globals__["WORD"])


def test_each_directory_with_an_index_is_a_function(tmp_path: Path) -> None:
    for slug in ("hello", "retell-webhook", "A_1"):
        write(tmp_path / slug / "index.py", good())
    for name in ("1st", "_shared", ".hidden", "with space", "shared"):
        write(tmp_path / name / "index.py", "raise RuntimeError('this is no function')")
    write(tmp_path / "empty" / "notes.txt", "")
    write(tmp_path / "index.py", "raise RuntimeError('nor is this')")

    assert set(load_functions(tmp_path)) == {"hello", "retell-webhook", "A_1"}


def test_hooks_are_loaded_if_present(tmp_path: Path) -> None:
    write(tmp_path / "plain" / "index.py", good())
    write(tmp_path / "hooked" / "index.py", good("async def start(runtime): ...\nasync def stop(): ..."))

    functions = load_functions(tmp_path)

    assert (functions["plain"].start, functions["plain"].stop) == (None, None)
    assert functions["hooked"].start is not None
    assert functions["hooked"].stop is not None


@pytest.mark.parametrize("is_package", [True, False])
def test_shared_is_importable_by_all(is_package: bool, tmp_path: Path) -> None:
    write(tmp_path / "shared" / "words.py", "GREETING = 'shared hello'")
    if is_package:
        write(tmp_path / "shared" / "__init__.py", "")
    write(tmp_path / "hello" / "index.py", good("from shared.words import GREETING", "GREETING"))

    assert word_of(tmp_path, "hello") == "shared hello"


def test_two_directories_do_not_see_each_others_modules(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "shared" / "words.py", f"GREETING = 'hello from {name}'")
        write(tmp_path / name / "hello" / "index.py", good("from shared.words import GREETING", "GREETING"))

    assert [word_of(tmp_path / name, "hello") for name in ("one", "two", "one")] == [
        "hello from one",
        "hello from two",
        "hello from one",
    ]


def test_a_function_imports_the_files_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "hello" / "words.py", "GREETING = 'from beside'")
    write(tmp_path / "hello" / "index.py", good("from .words import GREETING", "GREETING"))

    assert word_of(tmp_path, "hello") == "from beside"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module", r"ModuleNotFoundError.*index\.py:1"),
        ("\n\ndef broken(:", "SyntaxError"),
        ("fetch = None", "must expose `fetch`"),
        ("async def fetch(request, ctx): ...", "under @with_supabase"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_named_with_the_reason(text: str, reason: str, tmp_path: Path) -> None:
    write(tmp_path / "hello" / "index.py", text)

    with pytest.raises(FunctionNotLoaded, match=rf"hello/index\.py: .*{reason}"):
        load_functions(tmp_path)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(FunctionNotLoaded, match="nowhere"):
        load_functions(tmp_path / "nowhere")
