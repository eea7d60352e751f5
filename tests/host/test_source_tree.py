"""The source tree: a project's functions and settings laid over Outdial's own."""

from pathlib import Path

import pytest

from outdial.host.deployments.local_function import NoSuchFunction, local_functions
from outdial.host.deployments.source import read_source_tree
from outdial.host.wire.errors import BadConfig


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory with the functions hook and trigger."""
    directory = tmp_path / "own"
    for slug in ("hook", "trigger"):
        add_function(directory, slug)
    (directory / "config.toml").write_text("[functions.hook]\nverify_jwt = false\nrate_limit = 5000\n")
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with the function hello."""
    directory = tmp_path / "project"
    add_function(directory, "hello")
    return directory


def add_function(directory: Path, slug: str) -> None:
    index = directory / "functions" / slug / "index.py"
    index.parent.mkdir(parents=True)
    index.write_text(f"# {directory.name}")


def test_functions_of_both_are_served_each_from_its_own_directory(own: Path, project: Path) -> None:
    source = read_source_tree(own, project)

    roots = {slug: bundle.root for slug, bundle in source.bundles.items()}
    assert roots == {"hello": project, "hook": own, "trigger": own}


def test_a_directory_whose_name_is_no_slug_is_ignored(own: Path, project: Path) -> None:
    before = read_source_tree(own, project)
    add_function(project, "_drafts")

    assert read_source_tree(own, project) == before


def test_a_missing_project_changes_nothing(own: Path, tmp_path: Path) -> None:
    assert read_source_tree(own, tmp_path / "nowhere") == read_source_tree(own)


def test_a_project_changes_single_settings_of_our_functions(own: Path, project: Path) -> None:
    (project / "config.toml").write_text("[functions.hook]\nrate_limit = 10\n[functions.trigger]\nenabled = false\n")

    source = read_source_tree(own, project)

    assert (source.config("hook").rate_limit, source.config("hook").verify_jwt) == (10, False)
    assert source.bundles["hook"].root == own
    assert "trigger" not in source.bundles


def test_code_of_the_project_replaces_ours_and_keeps_our_settings(own: Path, project: Path) -> None:
    add_function(project, "hook")

    source = read_source_tree(own, project)

    assert source.bundles["hook"].root == project
    assert not source.config("hook").verify_jwt


@pytest.mark.parametrize("entrypoint", ["./functions/hook/index.ts", "./functions/hook/index.py"])
def test_ours_serves_where_the_project_has_no_python_code(own: Path, project: Path, entrypoint: str) -> None:
    (project / "config.toml").write_text(f'[functions.hook]\nentrypoint = "{entrypoint}"\n')

    assert read_source_tree(own, project).bundles["hook"].index == own / "functions/hook/index.py"


def test_a_named_entrypoint_that_is_missing_is_not_replaced_by_ours(own: Path, project: Path) -> None:
    (project / "config.toml").write_text('[functions.hook]\nentrypoint = "./functions/moved.py"\n')

    assert "hook" not in read_source_tree(own, project).bundles


@pytest.mark.parametrize("depth", [5_000, 100_000])
def test_a_deeply_nested_config_is_an_error_in_one_line(own: Path, depth: int) -> None:
    (own / "config.toml").write_text(f"a = {'[' * depth}{']' * depth}\n")

    with pytest.raises(BadConfig, match=r"config\.toml is nested too deeply"):
        read_source_tree(own)


def test_all_functions_to_deploy_are_those_of_the_project(own: Path, project: Path, tmp_path: Path) -> None:
    layers = [own, project]

    assert [function.slug for function in local_functions(layers, [])] == ["hello"]
    assert [function.slug for function in local_functions([own, tmp_path / "nowhere"], [])] == ["hook", "trigger"]
    with pytest.raises(NoSuchFunction, match="known functions: hello, hook, trigger"):
        local_functions(layers, ["moon"])


def test_one_of_ours_deploys_with_the_settings_of_both(own: Path, project: Path) -> None:
    (project / "config.toml").write_text("[functions.hook]\nrate_limit = 10\n")

    [function] = local_functions([own, project], ["hook"])

    assert function.table == {"verify_jwt": False, "rate_limit": 10}
    assert function.files == {"supabase/functions/hook/index.py": b"# own"}
    assert not function.verify_jwt
