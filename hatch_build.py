"""Makes the studio's font, icons and player of calls when Outdial is installed or built, from their packages.

The repository contains no third-party file: Inter comes from `fontpkg-inter` (SIL Open Font License 1.1) and the icons
from `lucide` (ISC license); the licenses of both are written beside them. Run `python hatch_build.py` after adding an
icon to static/icons.txt. After `npm ci`, LiveKit's client (Apache License 2.0) is there, too: it plays live calls.
Without it, the studio says how to install it.
"""

import json
import re
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC: Final = Path(__file__).parent / "src" / "outdial" / "studio" / "static"
FOLDER: Final = STATIC / "built"
PLAYER: Final = "livekit-client"
NODE_MODULES: Final = Path(__file__).parent / "node_modules"
# Latin with its extensions, Greek and Cyrillic, punctuation, currency signs and arrows.
_RANGES: Final = (
    "0000-024F,0259,02BB-02DD,0300-036F,0370-03FF,0400-045F,1E00-1EFF,2000-206F,20A0-20BF,2122,2190-2193,2212,2215,"
    "2248,2260,2264,2265"
)
_FEATURES: Final = ["kern", "calt", "ccmp", "locl", "mark", "mkmk", "tnum", "case"]


class StudioAssets(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook: runs before every build, that of an editable installation included."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the files, and have the wheel include them although git ignores them."""
        make_assets()
        build_data["artifacts"].append("src/outdial/studio/static/built/*")


def make_assets() -> None:
    """Write `inter.woff2`, `icons.svg` and their licenses, unless they are newer than what they are made from."""
    FOLDER.mkdir(exist_ok=True)
    if _is_older(FOLDER / "inter.woff2"):
        _make_font()  # 7 s
    if _is_older(FOLDER / "icons.svg"):
        _make_icons()
    if (NODE_MODULES / PLAYER).exists():
        _copy_player()


def _copy_player() -> None:
    package = NODE_MODULES / PLAYER
    script = (package / "dist" / f"{PLAYER}.umd.js").read_text()
    # The map is not served.
    (FOLDER / f"{PLAYER}.js").write_text(re.sub(r"\n//# sourceMappingURL=\S+\s*$", "\n", script))
    (FOLDER / f"{PLAYER}.LICENSE.txt").write_text("\n\n".join(_licenses_of(PLAYER, set())))


def _licenses_of(name: str, seen: set[str]) -> list[str]:
    """Return the licenses of a package of npm and of those that its bundle contains."""
    package = NODE_MODULES / name
    if name in seen or not package.exists():
        return []
    seen.add(name)
    about = json.loads((package / "package.json").read_text())
    texts = [file.read_text() for file in sorted(package.iterdir()) if re.match("(licen[cs]e|notice)", file.name, re.I)]
    own = "\n".join([f"{name} {about['version']} ({about.get('license')})", *texts])
    return [own, *(text for other in about.get("dependencies", {}) for text in _licenses_of(other, seen))]


def _is_older(file: Path) -> bool:
    changed_at = max(source.stat().st_mtime for source in (Path(__file__), STATIC / "icons.txt"))
    return not file.exists() or file.stat().st_mtime < changed_at


def _make_font() -> None:
    from fontTools import subset  # type: ignore[import-untyped]
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
    from fontTools.varLib.instancer import instantiateVariableFont  # type: ignore[import-untyped]

    package = files("fontpkg_inter")
    options = subset.Options(flavor="woff2", layout_features=_FEATURES)
    with (package / "files" / "Inter[opsz,wght].ttf").open("rb") as source:
        font = TTFont(source)
        _keep_width_of_punctuation(font)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=subset.parse_unicodes(_RANGES))
        subsetter.subset(font)
        subset.save_font(
            instantiateVariableFont(font, {"opsz": 14, "wght": (400, 700)}), FOLDER / "inter.woff2", options
        )
    (FOLDER / "inter.LICENSE.txt").write_text((package / "LICENSE").read_text())


def _keep_width_of_punctuation(font: Any) -> None:
    # Inter's tabular figures widen spaces, hyphens and brackets too, and the studio uses them in all text: with those,
    # sentences look loose, and phone numbers fall apart.
    table = font["GSUB"].table
    figures = {i for r in table.FeatureList.FeatureRecord if r.FeatureTag == "tnum" for i in r.Feature.LookupListIndex}
    digits = {name for character, name in font.getBestCmap().items() if chr(character).isdecimal()}
    for index in figures:
        for part in table.LookupList.Lookup[index].SubTable:
            substitution = getattr(part, "ExtSubTable", part)
            substitution.mapping = {old: new for old, new in substitution.mapping.items() if old in digits}


def _make_icons() -> None:
    symbols = []
    with (files("lucide") / "lucide.zip").open("rb") as packed, ZipFile(packed) as icons:
        for name in (STATIC / "icons.txt").read_text().split():
            drawing = icons.read(f"{name}.svg").decode()
            shapes = re.sub(r"\s*\n\s*", "", drawing[drawing.index(">") + 1 : drawing.rindex("</svg>")])
            symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>')
    text = "\n".join(symbols)
    (FOLDER / "icons.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg">\n{text}\n</svg>\n')
    (FOLDER / "icons.LICENSE.txt").write_text(distribution("lucide").read_text("licenses/LICENSE") or "")


if __name__ == "__main__":
    make_assets()
