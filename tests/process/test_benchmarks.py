"""A terminated benchmark leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.postgres import scratch_directory

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", [["benchmarks.import_contacts"], ["benchmarks", "import_contacts"]])
def test_a_terminated_benchmark_removes_its_directories(command: list[str]) -> None:
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
                # A loop without a pause would take the processor that the benchmark starts on.
                time.sleep(0.02)
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 128 + signal.SIGTERM
            assert list(temporary.iterdir()) == []
        finally:
            running.kill()


def test_the_studio_benchmark_requests_every_page_at_every_size(in_memory: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.studio", "--json", "--sizes", "30", "300", "--requests", "1"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(in_memory)},
        capture_output=True,
        check=False,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    pages = {row["page"] for row in told["rows"]}
    assert {(row["page"], row["contacts"]) for row in told["rows"]} == {(p, n) for p in pages for n in (30, 300)}
    assert {"campaigns", "campaign", "contacts", "search: name", "search: number begins", "calls"} <= pages
    assert all(row["p50_ratio"] > 0 for row in told["rows"])
    assert all(row["p50_ratio"] == row["max_ratio"] == 1 for row in told["rows"] if row["contacts"] == 30)


def test_the_fault_benchmark_counts_the_requests_of_the_other_account(in_memory: Path) -> None:
    faults = ["31 account locked", "33 response hangs"]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--json", "--seconds", "2", "--no-recovery", "--faults", *faults],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(in_memory)},
        capture_output=True,
        check=False,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)["rows"]
    assert [row["fault"] for row in rows] == faults
    assert all(row["other_before"] > 0 and row["other_during"] > 0 for row in rows)
