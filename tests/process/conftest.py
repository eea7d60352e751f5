"""What the tests of processes share: a port, and what starts commands on a database of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Scratch
from tests.support.processes import Launcher, launcher, reserved_port


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody else is given."""
    with reserved_port() as reserved:
        yield reserved


@pytest.fixture
def launch(tmp_path: Path, database: Scratch, port: int) -> Iterator[Launcher]:
    """Start commands whose functions are at `port`; none outlives the test."""
    with launcher(tmp_path, database, port=port) as running:
        yield running
