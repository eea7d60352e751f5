"""The servers under test: how to start each, and how to configure its database."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.peers.deno import deno
from benchmarks.stack import ROOT, Clone
from benchmarks.webhook.events import KEY
from outdial.auth.keys import LOCAL_JWT_SECRET, local_anon_jwt, local_service_role_jwt

PEERS = ("deno", "fastapi")

_DENO_SCRIPT = ROOT / "benchmarks" / "peers" / "deno_webhook.ts"


@dataclass(frozen=True, slots=True)
class Subject:
    """A server that receives webhooks at `path` below the URL it prints."""

    name: str
    command: tuple[str | Path, ...]
    path: str = "/"
    settings: Mapping[str, str] = field(default_factory=dict)
    on_host: bool = False

    async def environment(self, database: Clone) -> dict[str, str]:
        """Return the environment that points the server at `database`.

        All use the Unix socket except functions on the host, which use a password over TCP.
        """
        where = parse_qs(urlsplit(database.dsn()).query)
        return {
            "RETELL_WEBHOOK_SECRET": KEY,
            "SUPABASE_DB_URL": database.dsn(),
            "PGHOST": where["host"][0],
            "PGPORT": where["port"][0],
            "PGDATABASE": database.name,
            **self.settings,
            **(await database.logins() if self.on_host else {}),
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


# The same function on the function host: a gateway before it, and a worker around it.
GATEWAY = replace(
    OURS,
    name="gateway",
    command=(sys.executable, "-m", "benchmarks.host.serve", ROOT / "supabase"),
    on_host=True,
)


def peer(name: str) -> Subject:
    """Return one of PEERS, installing it if necessary. Raises PeerUnavailable."""
    if name == "fastapi":
        return Subject(name, (sys.executable, "-m", "benchmarks.peers.fastapi_webhook"))
    options = ("--no-prompt", "--no-lock", "--allow-net", "--allow-env", "--allow-read", "--allow-write")
    return Subject(name, (deno(), "run", *options, _DENO_SCRIPT), settings={"DENO_NO_UPDATE_CHECK": "1"})
