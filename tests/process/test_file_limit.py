"""Servers open as many files as they may: shells and systemd set a soft limit of 1024, and a connection is a file."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from outdial.process import raise_file_limit

ROOT = Path(__file__).parents[2]
RAISED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from outdial.process import raise_file_limit
from outdial.http import ServerLimits
from outdial.http.encoding import plain_error
from outdial.http.server import HttpServer
raise_file_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), HttpServer(None, ServerLimits(), plain_error)._max_connections)
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [((256, 2048), (2048, 2048, 1920)), ((2048, 2048), (2048, 2048, 1920)), ((200, 200), (200, 200, 72))],
)
def test_the_soft_limit_is_raised_to_the_hard_one_and_connections_fit_below(
    before: tuple[int, int], after: tuple[int, int, int]
) -> None:
    command = [sys.executable, "-c", RAISED, *map(str, before)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert tuple(map(int, printed.split())) == after


def test_a_system_that_refuses_the_limit_stops_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: int, limits: tuple[int, int]) -> None:  # like macOS above kern.maxfilesperproc
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_file_limit()


def test_every_unit_sets_the_limit() -> None:
    units = re.findall(r"```ini\n(\[Unit\].*?)```", (ROOT / "docs" / "deploying.md").read_text(), re.DOTALL)
    assert len(units) >= 2
    assert [unit for unit in units if "LimitNOFILE=" not in unit] == []
