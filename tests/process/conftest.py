"""Fixtures of the process tests: a port, a launcher of commands on a database of their own, and a fast directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import reserved_port
from tests.support.postgres import Scratch, scratch_directory
from tests.support.processes import Launcher, launcher


@pytest.fixture
def port() -> Iterator[int]:
    """A reserved port."""
    with reserved_port() as reserved:
        yield reserved


@pytest.fixture
def launch(tmp_path: Path, database: Scratch, port: int) -> Iterator[Launcher]:
    """A launcher whose functions listen on `port`; no process outlives the test."""
    with launcher(tmp_path, database, port=port) as running:
        yield running


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A directory for TMPDIR, in memory where there is room, for commands that start a server of their own."""
    with scratch_directory() as directory:
        yield directory
