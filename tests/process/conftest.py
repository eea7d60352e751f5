"""Fixtures of the process tests: a port, and a launcher of commands on a database of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Scratch
from tests.support.processes import Launcher, launcher, reserved_port


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
