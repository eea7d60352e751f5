"""The command that photographs the pages fails when it finds faults, and lists them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.screenshots import __main__ as command
from tests.screenshots.camera import Camera, PageState, Picture


@pytest.mark.parametrize(("faults", "status"), [((), 0), (("wider than the window by 12 px",), 1)])
def test_a_page_with_a_fault_fails_the_command(
    faults: Sequence[str],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def photograph(camera: Camera, states: list[PageState]) -> list[Picture]:
        return [Picture(page_name=states[0].page_name, title="x", shape="phone", file="calls.png", faults=faults)]

    monkeypatch.setattr(command, "photograph", photograph)
    monkeypatch.setattr(command, "CHROMIUM", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["screenshots", str(tmp_path), "--only", "calls"])
    assert command.main() == status
    printed = capsys.readouterr().out
    assert f"1 pictures, {len(faults)} faults" in printed
    assert all(f"calls.png: {fault}\n" in printed for fault in faults)

    monkeypatch.setattr("sys.argv", ["screenshots", str(tmp_path), "--only", "no such page"])
    assert command.main() == 2
