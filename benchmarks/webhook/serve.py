"""Serves the real functions like `outdial functions serve` on a free port, and prints the URL first."""

import sys

from benchmarks.stack import ROOT
from outdial.functions.server import run


def _announce(url: str) -> None:
    print(url, flush=True)


if __name__ == "__main__":
    sys.exit(run(ROOT / "supabase" / "functions", port=0, on_ready=_announce))
