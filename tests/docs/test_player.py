"""The player of live calls: what a build takes from npm's packages."""

import json
from pathlib import Path

import pytest

import hatch_build


def write_package(root: Path, name: str, license_file: str, **needs: str) -> Path:
    package = root / name
    package.mkdir(parents=True)
    about = {"name": name, "version": "1.2.3", "license": "MIT", "dependencies": needs}
    (package / "package.json").write_text(json.dumps(about))
    (package / license_file).write_text(f"License text of {name}\n")
    return package


def test_a_build_copies_the_player_with_the_licenses_of_all_that_it_contains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "built"
    built.mkdir()
    for name in ("inter.woff2", "icons.svg"):
        (built / name).write_text("made before")
    monkeypatch.setattr(hatch_build, "FOLDER", built)
    monkeypatch.setattr(hatch_build, "NODE_MODULES", tmp_path / "node_modules")
    hatch_build.make_assets()
    assert sorted(each.name for each in built.iterdir()) == ["icons.svg", "inter.woff2"]

    root = tmp_path / "node_modules"
    player = write_package(root, "livekit-client", "LICENSE", **{"@x/proto": "^1", "loglevel": "1"})
    write_package(root, "@x/proto", "LICENSE.md", loglevel="1")
    write_package(root, "loglevel", "LICENSE-MIT")
    write_package(root, "unrelated", "LICENSE")
    (player / "dist").mkdir()
    (player / "dist" / "livekit-client.umd.js").write_text("play();\n//# sourceMappingURL=livekit-client.umd.js.map")
    hatch_build.make_assets()

    assert (built / "livekit-client.js").read_text() == "play();\n"
    licenses = (built / "livekit-client.LICENSE.txt").read_text()
    assert [licenses.count(f"License text of {name}\n") for name in ("livekit-client", "@x/proto", "loglevel")] == [
        1
    ] * 3
    assert "unrelated" not in licenses
