"""Serves the real functions as `outdial functions serve` does, on a free port: the URL is the first line printed."""

import sys

from benchmarks.stack import ROOT
from outdial.functions.server import run


def _announce(url: str) -> None:
    print(url, flush=True)


if __name__ == "__main__":
    sys.exit(run(ROOT / "supabase" / "functions", port=0, on_ready=_announce))
