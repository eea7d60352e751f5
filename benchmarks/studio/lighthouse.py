"""`python -m benchmarks.studio.lighthouse`: Lighthouse's scores of the studio's pages, in Chromium.

Needs Node and Chromium, and `npm ci` in benchmarks/. Exits with 1 when a score is below 95.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.report import report
from benchmarks.stack import clone, make_template, postgres, process
from benchmarks.studio.__main__ import organization_of, page_paths
from benchmarks.studio.campaign import cookie, seed, settings
from outdial.db.embedded import EmbeddedPostgres

_PROGRAM = Path(__file__).parents[1] / "node_modules" / ".bin" / "lighthouse"
_CHROMIUM = os.environ.get("OUTDIAL_CHROMIUM", "/usr/bin/chromium")
_CATEGORIES = ("performance", "accessibility", "best-practices")
_PAGES = ("campaigns", "campaign", "contacts", "calls", "all contacts")
_LOWEST = 95
_LIMIT_S = 180


class LighthouseFailed(Exception):
    """Lighthouse is not installed, or could not measure a page."""


def main() -> int:
    """Measure the pages, and return 1 when a score is too low."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studio.lighthouse", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--contacts", type=int, default=1_000, help="contacts of the campaign")
    asked = parser.parse_args()
    if not _PROGRAM.exists() or not shutil.which(_CHROMIUM):
        raise LighthouseFailed(f"run npm ci in {_PROGRAM.parents[2]}, and install Chromium")
    with postgres() as server:
        rows = uvloop.run(_measure(server, asked.contacts))
    report("Lighthouse, as on a desktop", rows, [], as_json=asked.json)
    return int(any(isinstance(score, int) and score < _LOWEST for row in rows for score in row.values()))


async def _measure(server: EmbeddedPostgres, contacts: int) -> list[dict[str, object]]:
    await make_template(server, partial(seed, contacts=contacts), name="lighthouse")
    async with (
        clone(server, "run", template="lighthouse") as database,
        process([sys.executable, "-m", "benchmarks.studio.serve"], settings(database.dsn())) as (url, _),
    ):
        paths = page_paths(await organization_of(database))
        return [{"page": page, **dict(_scores(url + paths[page]))} for page in _PAGES]


def _scores(url: str) -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "report.json"
        command = [
            str(_PROGRAM), url, "--quiet", "--preset=desktop", "--output=json", f"--output-path={out}",
            f"--only-categories={','.join(_CATEGORIES)}", f"--extra-headers={json.dumps({'cookie': cookie()})}",
            "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
        ]  # fmt: skip
        environment: Mapping[str, str] = {**os.environ, "CHROME_PATH": _CHROMIUM}
        ran = subprocess.run(command, env=environment, timeout=_LIMIT_S, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise LighthouseFailed(f"{url}: {ran.stderr[-500:]}")
        found = json.loads(out.read_text())
    for category in _CATEGORIES:
        yield category, round(100 * found["categories"][category]["score"])
    for audit in found["audits"].values():
        if audit["score"] is not None and audit["score"] < 0.9 and audit["scoreDisplayMode"] in ("binary", "numeric"):
            print(f"{url}: {audit['id']}: {audit.get('displayValue') or audit['title']}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
