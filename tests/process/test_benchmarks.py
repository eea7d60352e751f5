"""A benchmark that is told to end leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import scratch_directory

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", [["benchmarks.import_contacts"], ["benchmarks", "import_contacts"]])
def test_a_benchmark_that_is_terminated_removes_its_directories(command: list[str]) -> None:
    # The path of a socket must be short.
    with scratch_directory() as directory:
        temporary = directory / "t"
        temporary.mkdir(mode=0o711)
        running = subprocess.Popen(
            [sys.executable, "-m", *command, "--rows", "200000"],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not list(temporary.glob("*/contacts.csv")):
                assert running.poll() is None
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 128 + signal.SIGTERM
            assert list(temporary.iterdir()) == []
        finally:
            running.kill()
