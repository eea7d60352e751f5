"""The functions that are measured: how each is started, and how it is told where its database is."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.stack import ROOT, Clone
from benchmarks.webhook.events import KEY
from outdial.auth.keys import LOCAL_JWT_SECRET, local_anon_jwt, local_service_role_jwt

PEERS = ("deno", "fastapi")

_BENCHMARKS = ROOT / "benchmarks"
# The binary that the npm package `deno` would choose. 2.8.3 to 2.9.5 close the connection after every body of more
# than some 500 bytes (denoland/deno#36657), so an older one must not be measured.
_DENO = _BENCHMARKS / "node_modules" / "@deno" / "linux-x64-glibc" / "deno"
_DENO_SCRIPT = _BENCHMARKS / "peers" / "deno_webhook.ts"
_INSTALL_S = 300


class NotHere(Exception):
    """A peer cannot be run on this machine; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A server that takes webhooks at `path` below the URL that it announces."""

    name: str
    command: tuple[str | Path, ...]
    path: str = "/"
    settings: Mapping[str, str] = field(default_factory=dict)

    def environment(self, database: Clone) -> dict[str, str]:
        """Return the environment that points the server at `database`, over the Unix socket for each of them."""
        where = parse_qs(urlsplit(database.dsn()).query)
        return {
            "RETELL_WEBHOOK_SECRET": KEY,
            "SUPABASE_DB_URL": database.dsn(),
            "PGHOST": where["host"][0],
            "PGPORT": where["port"][0],
            "PGDATABASE": database.name,
            **self.settings,
        }


OURS = Subject(
    "outdial",
    (sys.executable, "-m", "benchmarks.webhook.serve"),
    "/functions/v1/retell-webhook",
    {
        "SUPABASE_URL": "http://127.0.0.1:54321",
        "SUPABASE_ANON_KEY": local_anon_jwt(),
        "SUPABASE_SERVICE_ROLE_KEY": local_service_role_jwt(),
        "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
    },
)


def peer(name: str) -> Subject:
    """Return one of PEERS, installed if need be; raises NotHere."""
    if name == "fastapi":
        return Subject(name, (sys.executable, "-m", "benchmarks.peers.fastapi_webhook"))
    _install_deno()
    options = ("--no-prompt", "--no-lock", "--allow-net", "--allow-env", "--allow-read", "--allow-write")
    return Subject(name, (_DENO, "run", *options, _DENO_SCRIPT), settings={"DENO_NO_UPDATE_CHECK": "1"})


def _install_deno() -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotHere("Node is not installed")
    if _DENO.exists():
        return
    print("installing Deno with npm ...", file=sys.stderr)
    command = [npm, "ci", "--no-fund", "--no-audit"]
    done = subprocess.run(command, cwd=_BENCHMARKS, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NotHere(f"npm ci failed: {last}")
    if not _DENO.exists():
        raise NotHere("npm has no Deno 2.9.6 for this machine: it is pinned for x86-64 Linux")
