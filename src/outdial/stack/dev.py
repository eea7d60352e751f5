"""`outdial dev`: the whole local stack in one terminal."""

import asyncio
import contextlib
import os
import random
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import msgspec
from rich.text import Text

from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.campaigns.create import NewOrganization
from outdial.cli.database import tell_applied
from outdial.cli.errors import PortTaken
from outdial.cli.output import console, print_pairs
from outdial.cli.signals import stop_event
from outdial.clock import SystemClock
from outdial.db.embedded import LOCAL_PASSWORD, SUPERUSER, EmbeddedPostgres, default_home
from outdial.db.migrate import push, refuse_remote, supabase_dir
from outdial.db.session import Database
from outdial.host.api.tokens import AccessTokens
from outdial.process import notify_ready
from outdial.settings import DatabaseUrls
from outdial.stack.config import Ports
from outdial.stack.first_login import Login, make_first_login
from outdial.stack.local import Stack, calls_retell, local_ports, local_settings, only_stack
from outdial.supervisor import Part, Supervisor

COLOURS = {
    "database": "blue",
    "functions": "green",
    "studio": "yellow",
    "jobs": "bright_black",
    "simulator": "magenta",
    "dialer": "cyan",
}
NAME_WIDTH = 10
# Below the range from which systems take the ports of outgoing connections.
FREE_PORTS = range(20_000, 32_000)
# More than the host takes to answer what it has.
HOST_GRACE_S = 30.0
# A request to Retell may take its whole time-out before it has come home.
DIALER_GRACE_S = 25.0
# A page may still be on its way, and an import ends with the rows that it has at hand.
STUDIO_GRACE_S, JOBS_GRACE_S = 15.0, 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked of `dev`."""

    with_simulator: bool
    dialers: int
    any_ports: bool
    simulator_options: Sequence[str]
    with_studio: bool
    first_organization: NewOrganization


async def run_stack(wanted: Wanted, given: Mapping[str, str] = os.environ) -> int:
    """Run the stack until a signal comes; returns the exit status, and raises CliError when it cannot start."""
    stop, home = stop_event(), default_home()
    with only_stack(home):
        plan = _plan(wanted, given, home)
        supervisor = Supervisor(_tell)
        try:
            # A signal while the parts start must not wait for all of them.
            starting = asyncio.create_task(_start(supervisor, plan))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                login = starting.result()
                plan.stack.write(home)
                _welcome(plan, login)
                notify_ready()
                await stopping
        finally:
            starting.cancel()
            stopping.cancel()
            await asyncio.wait([starting, stopping])
            _say("Stopping...")
            await supervisor.stop()
    _say("Stopped.")
    return 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A stack that is to run: its address book, its settings, and its parts in order; None is a port unused."""

    stack: Stack
    env: Mapping[str, str]
    parts: Sequence[Part]
    database_port: int | None
    first_organization: NewOrganization


def _plan(wanted: Wanted, given: Mapping[str, str], home: Path) -> Plan:
    simulated = wanted.with_simulator and not calls_retell(given)
    ports = _free_ports() if wanted.any_ports else local_ports()
    external = given.get("SUPABASE_DB_URL", "").strip()
    if external:
        refuse_remote(external)
    _check_ports(ports, embedded=not external, simulated=simulated, studio=wanted.with_studio)
    stack = Stack(
        api_url=f"http://127.0.0.1:{ports.api}",
        database_url=external or EmbeddedPostgres(home, listen_port=ports.database).dsn,
        simulator_url=f"http://127.0.0.1:{ports.simulator}" if simulated else None,
        studio_url=f"http://127.0.0.1:{ports.studio}" if wanted.with_studio else None,
    )
    env = {**local_settings(stack, given), "OUTDIAL_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    parts = [] if external else [Part("database", _outdial("db", "keep", f"--port={ports.database}"), env, 45.0)]
    # The host gives its functions logins of their own; those of the embedded server are its to make.
    of_host = env if external else {name: value for name, value in env.items() if name != "SUPABASE_DB_URL"}
    if stack.studio_url is not None:
        of_host = {"OUTDIAL_AUTH_UPSTREAM": stack.studio_url, **of_host}
    parts.append(Part("functions", _outdial("functions", "serve", f"--port={ports.api}"), of_host, HOST_GRACE_S))
    if stack.studio_url is not None:
        parts.append(Part("studio", _outdial("studio", f"--port={ports.studio}"), env, STUDIO_GRACE_S))
        parts.append(Part("jobs", _outdial("jobs"), env, JOBS_GRACE_S))
    if simulated:
        webhook = f"--webhook-url={stack.api_url}/functions/v1/retell-webhook"
        options = [f"--port={ports.simulator}", webhook, *wanted.simulator_options]
        parts.append(Part("simulator", _outdial("simulator", *options), env))
    if simulated or calls_retell(given):
        names = ["dialer"] if wanted.dialers == 1 else [f"dialer {n + 1}" for n in range(wanted.dialers)]
        parts += [Part(name, _outdial("dialer"), env, DIALER_GRACE_S) for name in names]
    return Plan(stack, env, parts, None if external else ports.database, wanted.first_organization)


async def _start(supervisor: Supervisor, plan: Plan) -> Login | None:
    login = None
    for part in plan.parts:
        if part.name == "functions":
            migrations = supabase_dir()
            tell_applied(await push(plan.stack.database_url, migrations / "migrations", seed=migrations / "seed.sql"))
        if part.name == "studio" and plan.database_port is not None:
            urls, home = DatabaseUrls.from_env(plan.env), Path(plan.env["OUTDIAL_HOME"])
            login = await make_first_login(urls, home, plan.first_organization, SystemClock())
        _say(f"Starting {part.name}...")
        await supervisor.start(await _with_token(part, plan) if part.name == "studio" else part)
    return login


async def _with_token(part: Part, plan: Plan) -> Part:
    """Let a part ask the host's management API, as `outdial functions rollback` does."""
    if plan.env.get("OUTDIAL_ACCESS_TOKEN"):
        return part
    urls = DatabaseUrls.from_env(plan.env)
    connecting = Database.connect(urls.host, application_name="outdial:dev", max_size=1, role=urls.role("host"))
    async with await connecting as database:
        token = await AccessTokens(database, SystemClock()).local(Path(plan.env["OUTDIAL_HOME"]))
    return replace(part, env={**part.env, "OUTDIAL_ACCESS_TOKEN": token})


def _outdial(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "outdial.cli", *arguments]


def _check_ports(ports: Ports, *, embedded: bool, simulated: bool, studio: bool) -> None:
    wanted = {
        "functions": ports.api,
        "database": ports.database if embedded else None,
        "simulator": ports.simulator if simulated else None,
        "studio": ports.studio if studio else None,
    }
    for what, port in wanted.items():
        if port is not None and not _is_free(port):
            raise PortTaken(port, what, "take free ports with --ports auto")


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def _free_ports() -> Ports:
    candidates = _candidates()
    return Ports(*(next(candidates) for _ in fields(Ports)))


def _candidates() -> Iterator[int]:
    numbers = list(FREE_PORTS)
    random.SystemRandom().shuffle(numbers)
    return (port for port in numbers if _is_free(port))


def _welcome(plan: Plan, login: Login | None) -> None:
    _say("Outdial local development setup is running.")
    database = plan.stack.database_url
    if plan.database_port is not None:
        database = f"postgresql://{SUPERUSER}:{LOCAL_PASSWORD}@127.0.0.1:{plan.database_port}/postgres"
    with contextlib.suppress(OSError):
        print_pairs(
            {
                **_studio_lines(plan.stack, login),
                "Functions": f"{plan.stack.api_url}/functions/v1/<function-name>",
                "Database": database if plan.database_port is not None else "SUPABASE_DB_URL",
                "Retell": plan.stack.simulator_url or plan.env.get("RETELL_BASE_URL", "Retell itself: calls are real"),
                "Publishable key": LOCAL_PUBLISHABLE_KEY,
                "Secret key": LOCAL_SECRET_KEY,
                "JWT secret": LOCAL_JWT_SECRET,
                "anon key": _public(plan.env, "SUPABASE_ANON_KEY"),
                "service_role key": _public(plan.env, "SUPABASE_SERVICE_ROLE_KEY"),
                "Webhook secret": _public(plan.env, "RETELL_WEBHOOK_SECRET"),
                "Directory": plan.env["OUTDIAL_HOME"],
            }
        )
    _say("Press Ctrl-C to stop.")


def _studio_lines(stack: Stack, login: Login | None) -> dict[str, str]:
    if stack.studio_url is None:
        return {}
    how = {} if login is None else {"Sign in as": f"{login.email}, password {login.password}"}
    return {"Studio": stack.studio_url, **how}


def _public(env: Mapping[str, str], name: str) -> str:
    public = local_settings(Stack("", "", None), {})[name]
    return public if env[name] == public else "as the environment has it"


def _tell(name: str, line: str) -> None:
    text = Text(f"{name:<{NAME_WIDTH}}", style=COLOURS.get(name.partition(" ")[0], "default"))
    # The terminal may be gone while the parts are still to be stopped.
    with contextlib.suppress(OSError):
        console.print(text.append("| ", style="dim").append(_readable(line), style="default"), soft_wrap=True)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        console.print(line, soft_wrap=True, markup=False)


def _readable(line: str) -> str:
    """Return a line of JSON as people read it; any other as it is."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, object])
        told = [f"{fields.pop('at')}"[11:19], str(fields.pop("level")).upper(), str(fields.pop("event"))]
    except (msgspec.MsgspecError, KeyError):
        return line
    trace = str(fields.pop("traceback", ""))
    return " ".join([*told, *(f"{name}={value}" for name, value in fields.items())]) + (f"\n{trace}" if trace else "")
