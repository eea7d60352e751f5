"""The local stack: where it is, what settings its parts share, and how a command in another terminal finds it."""

import asyncio
import fcntl
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, TypeVar

from outdial.auth.keys import (
    LOCAL_JWT_SECRET,
    LOCAL_PUBLISHABLE_KEY,
    LOCAL_SECRET_KEY,
    local_anon_jwt,
    local_service_role_jwt,
)
from outdial.cli.errors import Refused
from outdial.db.binaries import ServerUser
from outdial.db.embedded import EmbeddedPostgres, default_home
from outdial.db.migrate import supabase_dir
from outdial.db.session import Database
from outdial.settings import DatabaseUrls, credentials, require
from outdial.stack.config import Ports, ports_of, read_config

LOCAL_WEBHOOK_SECRET = "your-webhook-secret"
SIMULATOR_KEY = "key_simulator"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stack:
    """A local stack that runs: `database_url` as the owner; None for what is not part of it.

    Without `simulator_url`, Retell itself is called.
    """

    api_url: str
    database_url: str
    simulator_url: str | None
    studio_url: str | None = None

    @classmethod
    def running(cls, home: Path) -> Self | None:
        """Return the stack that `outdial dev` runs in `home`, None when it does not."""
        try:
            with (home / "stack.lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:
            return None
        else:
            return None
        try:
            return cls(**json.loads((home / "stack.json").read_text()))
        except (OSError, ValueError):
            return None

    def write(self, home: Path) -> None:
        """Let other commands find this stack."""
        path = home / "stack.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))


@contextmanager
def only_stack(home: Path) -> Iterator[None]:
    """Hold the lock that tells of a running stack, for the length of the block; raises Refused when another does."""
    ServerUser.current().make_home(home)
    with (home / "stack.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"a local stack runs already in {home}; name another directory in OUTDIAL_HOME") from None
        # A stack that was killed has left its own behind.
        (home / "stack.json").unlink(missing_ok=True)
        try:
            yield
        finally:
            (home / "stack.json").unlink(missing_ok=True)


def local_ports() -> Ports:
    """Return the ports that supabase/config.toml names."""
    return ports_of(read_config(supabase_dir()))


def local_settings(stack: Stack, given: Mapping[str, str]) -> dict[str, str]:
    """Return `given` with what it lacks for a local stack: its address, Supabase's public local keys, the simulator."""
    settings = {
        "SUPABASE_URL": stack.api_url,
        "SUPABASE_DB_URL": stack.database_url,
        "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
        "SUPABASE_ANON_KEY": local_anon_jwt(),
        "SUPABASE_SERVICE_ROLE_KEY": local_service_role_jwt(),
        "SUPABASE_PUBLISHABLE_KEYS": json.dumps({"default": LOCAL_PUBLISHABLE_KEY}),
        "SUPABASE_SECRET_KEYS": json.dumps({"default": LOCAL_SECRET_KEY}),
        "RETELL_WEBHOOK_SECRET": LOCAL_WEBHOOK_SECRET,
    }
    if stack.simulator_url is not None:
        settings |= {"RETELL_API_KEY": SIMULATOR_KEY, "RETELL_BASE_URL": stack.simulator_url}
    return settings | {name: value for name, value in given.items() if value.strip()}


@contextmanager
def environment(
    given: Mapping[str, str] = os.environ, *, api_port: int | None = None, for_calls: bool = False
) -> Iterator[dict[str, str]]:
    """Give the settings of this process: those of the environment where SUPABASE_DB_URL names a database.

    Where it does not, they are the local stack's: of the one that `outdial dev` runs, else with the embedded server of
    OUTDIAL_HOME, which runs for the length of the block unless another process has it running. To be entered in the
    main thread.

    Raises MissingSetting `for_calls` through Retell itself: those are not made from a database that nobody has named.
    """
    if given.get("SUPABASE_DB_URL", "").strip():
        yield dict(given)
        return
    home = default_home()
    running = Stack.running(home)
    if running is not None:
        yield local_settings(running, given)
        return
    if for_calls and calls_retell(given):
        require(given, "SUPABASE_DB_URL", "the database whose campaigns are called through Retell")
    with EmbeddedPostgres(home) as server:
        port = api_port or local_ports().api
        yield local_settings(Stack(f"http://127.0.0.1:{port}", server.dsn, None), given)


def calls_retell(given: Mapping[str, str]) -> bool:
    """Tell whether an API key of Retell is set, so that the calls of the stack are real."""
    return bool(credentials(given, "RETELL_API_KEY"))


def as_service(work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Run `work` with a pool whose transactions act as `service_role`, on the database that this command is about."""
    with environment() as env:
        return asyncio.run(_as_service(DatabaseUrls.from_env(env), work))


async def _as_service(urls: DatabaseUrls, work: Callable[[Database], Awaitable[Result]]) -> Result:
    async with await Database.connect(
        urls.api, application_name="outdial:cli", max_size=4, role=urls.role("api")
    ) as database:
        return await work(database)
