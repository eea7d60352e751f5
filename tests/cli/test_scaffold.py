"""`outdial init` and `outdial functions new`."""

import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Outdial


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    directory = tmp_path / "shop"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def test_a_project_begins_with_a_config_a_function_a_test_and_a_ci_file(outdial: Outdial, empty: Path) -> None:
    outdial("init")

    files = {str(path.relative_to(empty)) for path in empty.rglob("*") if path.is_file()}
    assert files == {
        ".github/workflows/functions.yml",
        "supabase/config.toml",
        "supabase/functions/hello/index.py",
        "tests/test_hello.py",
    }
    config = tomllib.loads((empty / "supabase/config.toml").read_text())
    assert (config["project_id"], config["functions"]["hello"]["verify_jwt"]) == ("shop", False)
    assert [row["slug"] for row in outdial.json("functions", "list")] == ["campaign-trigger", "hello", "retell-webhook"]


@pytest.mark.parametrize("name", ['the "shop"', r"c:\users", "a\x7fb\nc", "café 📞", "not utf-8 \udcff"])
def test_any_name_of_the_directory_makes_a_valid_config(
    outdial: Outdial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    directory = tmp_path / name
    directory.mkdir()
    monkeypatch.chdir(directory)

    outdial("init")

    config = tomllib.loads((directory / "supabase/config.toml").read_text())
    assert config["project_id"] == name.replace("\udcff", "?")


def test_existing_files_are_kept(outdial: Outdial, empty: Path) -> None:
    (empty / "supabase").mkdir()
    (empty / "supabase/config.toml").write_text("[api]\nport = 6000\n")

    assert "Kept supabase/config.toml" in outdial("init")
    assert outdial("init").count("Kept") == 4

    config = tomllib.loads((empty / "supabase/config.toml").read_text())
    assert config["api"] == {"port": 6000}
    assert list(config["functions"]) == ["hello"]


def test_a_new_function_gets_its_section(outdial: Outdial, empty: Path) -> None:
    outdial("functions", "new", "first")
    outdial("functions", "new", "second")

    config = tomllib.loads((empty / "supabase/config.toml").read_text())
    assert list(config["functions"]) == ["first", "second"]
    rows = {row["slug"]: row for row in outdial.json("functions", "list")}
    assert rows["second"]["entrypoint"] == "supabase/functions/second/index.py"


def test_a_name_that_is_taken_or_invalid_is_refused(outdial: Outdial, empty: Path) -> None:
    outdial("functions", "new", "first")

    assert outdial.error("functions", "new", "first").endswith("index.py exists: choose another name")
    assert "is one of Outdial's own functions" in outdial.error("functions", "new", "retell-webhook")
    assert "Invalid Function name" in outdial.error("functions", "new", "../first")
    assert not (empty / "supabase/functions/retell-webhook").exists()


def test_a_config_that_cannot_take_the_section_is_left_alone(outdial: Outdial, empty: Path) -> None:
    (empty / "supabase").mkdir()
    config = empty / "supabase/config.toml"
    config.write_text("functions = {}\n")

    result = outdial.run("functions", "new", "first")

    assert result.exit_code == 0
    assert "[functions.first]" in result.stderr
    assert config.read_text() == "functions = {}\n"
