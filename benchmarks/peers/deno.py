"""Finds Deno, and installs it with npm if it is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.stack import ROOT

_BENCHMARKS = ROOT / "benchmarks"
# The binary that the npm package `deno` would choose. 2.8.3 to 2.9.5 close the connection after every body of more
# than some 500 bytes (denoland/deno#36657), so an older one must not be measured.
_DENO = _BENCHMARKS / "node_modules" / "@deno" / "linux-x64-glibc" / "deno"
_INSTALL_S = 300


class PeerUnavailable(Exception):
    """A peer cannot run on this machine; the message is the reason."""


def deno() -> Path:
    """Return the path of Deno. Raises PeerUnavailable."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise PeerUnavailable("Node is not installed")
    if not _DENO.exists():
        _install(npm)
    return _DENO


def _install(npm: str) -> None:
    print("installing Deno with npm ...", file=sys.stderr)
    command = [npm, "ci", "--no-fund", "--no-audit"]
    done = subprocess.run(command, cwd=_BENCHMARKS, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PeerUnavailable(f"npm ci failed: {last}")
    if not _DENO.exists():
        raise PeerUnavailable("npm has no Deno 2.9.6 for this machine: it is pinned for x86-64 Linux")
