import asyncio
import os
from pathlib import Path

import pytest

from outdial.host.deployments.watch import HotReload, SourceChanges, SourceScanner
from outdial.host.wire.errors import BadConfig, BootFailed
from tests.support.logged import LogLines
from tests.support.workers import until


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("functions/a/index.py", "functions/b/index.py", "functions/shared/keys.py", "config.toml"):
        write(tmp_path / name, "one")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def settled(sources: SourceScanner) -> SourceChanges:
    assert sources.changes() == SourceChanges()
    return sources.changes()


def changes(*functions: str, listing: bool = False) -> SourceChanges:
    return SourceChanges(frozenset(functions), listing)


def test_reports_nothing_at_first(project: Path) -> None:
    sources = SourceScanner(project)

    assert [sources.changes(), sources.changes()] == [SourceChanges()] * 2


def test_reports_a_changed_function_once(project: Path) -> None:
    sources = SourceScanner(project)
    write(project / "functions/a/index.py", "another")

    assert settled(sources) == changes("a")
    assert sources.changes() == SourceChanges()


def test_reports_nothing_while_files_still_change(project: Path) -> None:
    sources = SourceScanner(project)
    write(project / "functions/a/index.py", "another")
    assert sources.changes() == SourceChanges()
    write(project / "functions/b/index.py", "another")
    assert sources.changes() == SourceChanges()

    assert sources.changes() == changes("a", "b")


def test_a_reverted_change_is_none(project: Path) -> None:
    index, sources = project / "functions/a/index.py", SourceScanner(project)
    before = index.stat()
    index.write_text("two")
    assert sources.changes() == SourceChanges()
    index.write_text("one")
    os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert settled(sources) == SourceChanges()


def test_detects_a_replaced_file_of_the_same_size(project: Path) -> None:
    index, sources = project / "functions/a/index.py", SourceScanner(project)
    status = index.stat()
    write(project / "new", "two")
    os.utime(project / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(project / "new", index)

    assert settled(sources) == changes("a")


@pytest.mark.parametrize("name", ["shared/keys.py", "shared/deep/er/new.py", ".env"])
def test_a_shared_file_affects_all_functions(project: Path, name: str) -> None:
    write(project / "functions" / name, "")
    sources = SourceScanner(project)
    write(project / "functions" / name, "another")

    assert settled(sources) == changes("a", "b")


def test_config_toml_belongs_to_no_function(project: Path) -> None:
    sources = SourceScanner(project)
    write(project / "config.toml", "another")

    assert settled(sources) == changes(listing=True)


def test_added_and_removed_files_change_the_listing(project: Path) -> None:
    sources = SourceScanner(project)
    write(project / "functions/c/index.py", "new")
    assert settled(sources) == changes("c", listing=True)

    (project / "functions/c/index.py").unlink()
    assert settled(sources) == changes("c", listing=True)


@pytest.mark.parametrize(
    "name", ["__pycache__/index.cpython-311.pyc", "index.pyc", ".index.py.swp", "index.py~", "node_modules/x/index.js"]
)
def test_ignores_files_of_editors_and_compilers(project: Path, name: str) -> None:
    sources = SourceScanner(project)
    write(project / "functions/a" / name, "new")

    assert settled(sources) == SourceChanges()


def test_follows_links_and_survives_loops_and_broken_ones(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere / "lib.py", "one")
    (project / "functions/a/lib").symlink_to(elsewhere)
    (project / "functions/a/self").symlink_to(project / "functions")
    (project / "functions/a/broken").symlink_to(project / "nowhere")
    (project / "functions/b/main.py").symlink_to(elsewhere / "lib.py")
    sources = SourceScanner(project)

    write(elsewhere / "lib.py", "another")

    assert settled(sources) == changes("a", "b")


def test_a_missing_directory_has_no_functions(tmp_path: Path) -> None:
    sources = SourceScanner(tmp_path / "nowhere")
    assert settled(sources) == SourceChanges()


class Catalogue:
    """The functions that HotReload restarts. `b` never starts, and `h` hangs. Only `a`, `b` and `h` are in service."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def reload(self, slug: str) -> bool:
        self.asked.append(slug)
        if slug == "b":
            raise BootFailed("Traceback: SyntaxError")
        if slug == "h":
            await asyncio.Event().wait()
        return slug == "a"


async def test_restarts_changed_functions_and_logs_failures(project: Path, lines: LogLines) -> None:
    catalogue, listings = Catalogue(), list[str]()

    async def read_listing() -> None:
        listings.append("read")

    reload = HotReload(SourceScanner(project), catalogue, read_listing)
    for slug in ("a", "b", "c"):
        write(project / f"functions/{slug}/index.py", "another")
    assert [await reload.run_once() for _ in range(3)] == [0, 3, 0]
    await reload.wait()

    assert catalogue.asked == ["a", "b", "c"]
    assert listings == ["read"]
    assert lines.lines == [
        {"event": "functions.reloaded", "level": "info", "function": "a"},
        {"event": "functions.not_reloaded", "level": "error", "function": "b", "reason": "Traceback: SyntaxError"},
    ]


async def test_an_invalid_config_does_not_prevent_a_reload(project: Path) -> None:
    catalogue = Catalogue()

    async def read_listing() -> None:
        raise BadConfig("functions.a.memory_mb must be a number")

    reload = HotReload(SourceScanner(project), catalogue, read_listing)
    write(project / "functions/a/index.py", "another")
    write(project / "config.toml", "another")
    await reload.run_once()

    assert await reload.run_once() == 1
    await reload.wait()
    assert catalogue.asked == ["a"]


async def test_a_function_that_hangs_holds_up_neither_others_nor_its_own_next_change(
    project: Path, monkeypatch: pytest.MonkeyPatch, lines: LogLines
) -> None:
    monkeypatch.setattr("outdial.host.deployments.watch._LISTING_S", 0.01)
    catalogue = Catalogue()
    reload = HotReload(SourceScanner(project), catalogue, asyncio.Event().wait)
    for text in ("hangs", "still hangs"):
        write(project / "functions/h/index.py", text)
        assert [await reload.run_once() for _ in range(2)] == [0, 1]
    write(project / "functions/a/index.py", "another")
    assert [await reload.run_once() for _ in range(2)] == [0, 1]
    await until(lambda: len(lines.lines) == 1)

    assert catalogue.asked == ["h", "h", "a"]
    assert lines.lines == [{"event": "functions.reloaded", "level": "info", "function": "a"}]
    await reload.stop()
