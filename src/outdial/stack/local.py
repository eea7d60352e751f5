"""The local stack: its address file, the settings its processes share, and how other commands find it."""

import asyncio
import fcntl
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self, TypeVar

from outdial.auth.keys import (
    LOCAL_JWT_SECRET,
    LOCAL_PUBLISHABLE_KEY,
    LOCAL_SECRET_KEY,
    local_anon_jwt,
    local_service_role_jwt,
)
from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.db.binaries import ServerUser
from outdial.db.embedded import EmbeddedPostgres, default_home
from outdial.db.session import JOB_TIMEOUTS, Database
from outdial.domain.rules import RuleBook
from outdial.project import read_project_config
from outdial.rules.organization import rules_in_use
from outdial.settings import (
    DatabaseUrls,
    credentials,
    erasure_secrets,
    ignores_calling_rules,
    read_environment,
    require,
)
from outdial.stack.config import StackPorts, ports_of
from outdial.stack.errors import StackUnavailable

LOCAL_WEBHOOK_SECRET = "your-webhook-secret"
LOCAL_ERASURE_KEY = "outdial-local-erasure-key-of-a-stack-that-only-this-machine-reaches"
LOCAL_ENCRYPTION_KEY = "outdial-local-encryption-key-of-a-stack-that-only-this-machine-reaches"
SIMULATOR_KEY = "key_simulator"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStack:
    """The addresses of a running local stack; `database_url` logs in as the owner.

    `simulator_url` is None when calls go to Retell itself, `studio_url` when the stack has no studio.
    `calling_rules` is OUTDIAL_CALLING_RULES, empty if it is not set.
    """

    api_url: str
    database_url: str
    simulator_url: str | None = None
    studio_url: str | None = None
    calling_rules: str = ""

    @classmethod
    def running(cls, home: Path) -> Self | None:
        """Return the stack that `outdial dev` runs in `home`; None when there is none."""
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
        """Write the address file, by which other commands find this stack."""
        path = home / "stack.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))


@contextmanager
def stack_lock(home: Path) -> Iterator[None]:
    """Hold the lock of the stack in `home` during the block; raises StackUnavailable when another process holds it."""
    ServerUser.current().make_home(home)
    with (home / "stack.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackUnavailable(
                f"a local stack already runs in {home}: set OUTDIAL_HOME to another directory"
            ) from None
        # A killed stack leaves its address file behind.
        (home / "stack.json").unlink(missing_ok=True)
        try:
            yield
        finally:
            (home / "stack.json").unlink(missing_ok=True)


def local_ports() -> StackPorts:
    """Return the ports that supabase/config.toml sets."""
    return ports_of(read_project_config())


def local_settings(stack: LocalStack, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process of the stack: its addresses and Supabase's public local keys.

    Variables that are set in `environ` win.
    """
    settings = {
        "SUPABASE_URL": stack.api_url,
        "SUPABASE_DB_URL": stack.database_url,
        "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
        "SUPABASE_ANON_KEY": local_anon_jwt(),
        "SUPABASE_SERVICE_ROLE_KEY": local_service_role_jwt(),
        "SUPABASE_PUBLISHABLE_KEYS": json.dumps({"default": LOCAL_PUBLISHABLE_KEY}),
        "SUPABASE_SECRET_KEYS": json.dumps({"default": LOCAL_SECRET_KEY}),
        "RETELL_WEBHOOK_SECRET": LOCAL_WEBHOOK_SECRET,
        "RETELL_WEBHOOK_ACCEPT_PLAIN_SECRET": "true",
        "OUTDIAL_ERASURE_KEY": LOCAL_ERASURE_KEY,
        "RETELL_ENCRYPTION_KEY": LOCAL_ENCRYPTION_KEY,
    }
    if stack.simulator_url is not None:
        settings |= {"RETELL_API_KEY": SIMULATOR_KEY, "RETELL_BASE_URL": stack.simulator_url}
    if stack.calling_rules:
        settings["OUTDIAL_CALLING_RULES"] = stack.calling_rules
    return settings | {name: value for name, value in environ.items() if value.strip()}


@contextmanager
def environment(*, for_calls: bool = False) -> Iterator[Mapping[str, str]]:
    """Yield the environment that this process reads its settings from.

    With SUPABASE_DB_URL, that is the environment as it is. Without, it is completed from the stack that `outdial dev`
    runs, or else from the embedded server of OUTDIAL_HOME, which then runs during the block unless another process
    already runs it. Enter it in the main thread.

    Raises MissingSetting when `for_calls` is set, calls would go to Retell itself, and no database is named.
    """
    environ = read_environment()
    if environ.get("SUPABASE_DB_URL", "").strip():
        yield environ
        return
    home = default_home()
    running = LocalStack.running(home)
    if running is not None:
        yield local_settings(running, environ)
        return
    if for_calls and calls_retell(environ):
        require(environ, "SUPABASE_DB_URL", "the database whose campaigns are called through Retell")
    with EmbeddedPostgres(home) as server:
        yield local_settings(
            LocalStack(api_url=f"http://127.0.0.1:{local_ports().api}", database_url=server.dsn), environ
        )


def erasure_keys() -> ErasureKeys | None:
    """Return the erasure keys of this command's database, None if none is set."""
    environ = read_environment()
    if not environ.get("SUPABASE_DB_URL", "").strip() and not environ.get("OUTDIAL_ERASURE_KEY", "").strip():
        return ErasureKeys((LOCAL_ERASURE_KEY,))
    return ErasureKeys.of(erasure_secrets(environ))


def rules_of_environment() -> RuleBook:
    """Return the shipped calling rules, or none where the dialers of this command's database ignore them."""
    return rules_in_use(ignored=ignores_calling_rules(environment_of_calls()))


def environment_of_calls() -> Mapping[str, str]:
    """Return the environment with the API keys and the URL that the dialers of this command's database use."""
    environ = read_environment()
    if environ.get("SUPABASE_DB_URL", "").strip():
        return environ
    running = LocalStack.running(default_home())
    return environ if running is None else local_settings(running, environ)


def calls_retell(environ: Mapping[str, str]) -> bool:
    """Return whether a Retell API key is set, so that calls are real."""
    return bool(credentials(environ, "RETELL_API_KEY"))


def as_service(work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Run `work` with a pool on this command's database; its transactions act as `service_role`."""
    return with_database("api", work)


def with_database(kind: Literal["api", "host", "auth"], work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Run `work` with a pool on this command's database, with the rights of a process of this kind."""
    with environment() as env:
        urls = DatabaseUrls.from_env(env)
        dsn = {"api": urls.api, "host": urls.host, "auth": urls.auth}[kind]

        async def run() -> Result:
            connecting = Database.connect(
                dsn, application_name="outdial:cli", max_size=4, role=urls.role(kind), timeouts=JOB_TIMEOUTS
            )
            async with await connecting as database:
                return await work(database)

        return asyncio.run(run())
