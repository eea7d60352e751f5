"""A function that accepts secret keys gets them without listing them; no other function does."""

import ast
from pathlib import Path

import pytest

from outdial.host.deployments.accepted_keys import LARGEST_PARSED, SECRET_KEYS, with_accepted_keys
from outdial.host.deployments.source import read_source_tree
from outdial.host.wire.config import FunctionConfig

IMPORT = "from outdial.functions import with_supabase\n"
HANDLER = "async def fetch(request, ctx): ...\n"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "functions" / "hello" / "index.py"


def write(index: Path, source: str) -> None:
    index.parent.mkdir(parents=True)
    index.write_text(source)


@pytest.mark.parametrize(
    "source",
    [
        f'{IMPORT}@with_supabase(auth="secret")\n{HANDLER}',
        f'{IMPORT}@with_supabase(auth=["user", "secret"], methods=["POST"])\n{HANDLER}',
        f'{IMPORT}@with_supabase(auth=("secret:cron",))\n{HANDLER}',
        f'{IMPORT}MODES = ["user", "secret:*"]\n\n@with_supabase(auth=MODES)\n{HANDLER}',
        f'from outdial import functions\n@functions.with_supabase(auth="secret")\n{HANDLER}',
        f'{IMPORT}async def handle(request, ctx): ...\nfetch = with_supabase(auth=["none", "secret"])(handle)\n',
        f'{IMPORT}a{".b" * 900}()\n@with_supabase(auth="secret")\n{HANDLER}',
    ],
)
def test_a_function_that_accepts_secret_keys_gets_them(index: Path, source: str) -> None:
    write(index, source)

    assert with_accepted_keys(FunctionConfig(secrets=("GREETING",)), index).secrets == ("GREETING", *SECRET_KEYS)


@pytest.mark.parametrize(
    "source",
    [
        f'{IMPORT}@with_supabase(auth=["user", "publishable", "none"])\n{HANDLER}',
        f'{IMPORT}# auth="secret"\nsecret = "secret"\n@with_supabase(auth="user")\n{HANDLER}',
        f"{IMPORT}@with_supabase(auth=modes())\n{HANDLER}",
        "def broken(:\n",
        "\0",
        "",
    ],
)
def test_no_other_function_gets_them(index: Path, source: str) -> None:
    write(index, source)

    assert with_accepted_keys(FunctionConfig(), index) == FunctionConfig()


def test_a_function_that_lists_a_key_does_not_get_it_twice(index: Path) -> None:
    write(index, f'{IMPORT}@with_supabase(auth="secret")\n{HANDLER}')

    listed = with_accepted_keys(FunctionConfig(secrets=("SUPABASE_SECRET_KEYS",)), index).secrets

    assert sorted(listed) == sorted(SECRET_KEYS)


def test_a_source_tree_knows_the_keys_of_its_functions(index: Path) -> None:
    write(index, f'{IMPORT}@with_supabase(auth="secret")\n{HANDLER}')

    source = read_source_tree(index.parents[2])

    assert source.config("hello").secrets == SECRET_KEYS
    assert source.config("other").secrets == ()


def test_a_file_is_parsed_once_until_it_changes(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(index, f'{IMPORT}@with_supabase(auth="user")\n{HANDLER}')
    parsed: list[bytes] = []
    parse = ast.parse

    with monkeypatch.context() as patch:  # ends before pytest itself parses
        patch.setattr(ast, "parse", lambda source: parsed.append(source) or parse(source))
        before = [with_accepted_keys(FunctionConfig(), index).secrets for _ in range(3)]
        index.write_text(f'{IMPORT}@with_supabase(auth="secret")\n{HANDLER}')
        after = [with_accepted_keys(FunctionConfig(), index).secrets for _ in range(3)]

    assert (before, after) == ([()] * 3, [SECRET_KEYS] * 3)
    assert len(parsed) == 2


def test_a_large_file_is_not_parsed(index: Path) -> None:
    source = f'{IMPORT}@with_supabase(auth="secret")\n{HANDLER}'
    write(index, source + "#" * (LARGEST_PARSED - len(source)))
    assert with_accepted_keys(FunctionConfig(), index).secrets == SECRET_KEYS

    index.write_text(source + "#" * (LARGEST_PARSED - len(source) + 1))
    assert with_accepted_keys(FunctionConfig(), index) == FunctionConfig()
