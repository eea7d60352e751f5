"""The whole local stack in one terminal: `outdial dev`."""

import asyncio
import random
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol

from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.campaigns.create import NewOrganization
from outdial.clock import SystemClock
from outdial.db.embedded import SUPERUSER, EmbeddedPostgres, default_home
from outdial.db.migrate import AppliedFile, push, refuse_remote
from outdial.db.session import Database
from outdial.host.api.tokens import AccessTokens
from outdial.process import notify_ready, stop_event
from outdial.project import migration_directories, project_directory
from outdial.settings import DatabaseUrls, read_environment
from outdial.stack.config import StackPorts
from outdial.stack.errors import PortTaken
from outdial.stack.first_login import StudioLogin, make_first_login
from outdial.stack.local import LocalStack, calls_retell, local_ports, local_settings, stack_lock
from outdial.supervisor import ProcessSpec, Supervisor

# Below the range from which systems take the ports of outgoing connections.
FREE_PORTS = range(20_000, 32_000)
# Longer than the host takes to finish its requests.
HOST_GRACE_S = 30.0
# A request to Retell may last its whole timeout.
DIALER_GRACE_S = 25.0
# The studio finishes its responses; an import finishes its current chunk of rows.
STUDIO_GRACE_S, JOBS_GRACE_S = 15.0, 30.0


class StackConsole(Protocol):
    """Where the stack prints."""

    def line(self, process: str, text: str) -> None:
        """Print a line of a process's output."""

    def say(self, text: str) -> None:
        """Print a line of the stack itself."""

    def migrated(self, applied: Sequence[AppliedFile]) -> None:
        """Print the migrations that were applied."""

    def pairs(self, pairs: Mapping[str, object]) -> None:
        """Print names and values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """Options of `outdial dev`. With `any_ports`, free ports are used instead of those in config.toml.

    `speed` applies to the simulated calls and to the delays of retries.
    """

    with_simulator: bool
    dialers: int
    any_ports: bool
    simulator_options: Sequence[str]
    speed: float
    with_studio: bool
    first_organization: NewOrganization


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """A stack to start: its addresses, its environment, and its processes in order.

    `database_port` is None when SUPABASE_DB_URL names the database.
    """

    stack: LocalStack
    env: Mapping[str, str]
    processes: Sequence[ProcessSpec]
    database_port: int | None
    first_organization: NewOrganization


async def run_stack(options: StackOptions, console: StackConsole) -> int:
    """Run the stack until a signal. Return the exit status; raises StackError or ProcessFailed when it cannot start."""
    stop, home = stop_event(), default_home()
    with stack_lock(home):
        plan = _plan(options, read_environment(), home)
        supervisor = Supervisor(console.line)
        # A signal must not wait until all processes have started.
        starting = asyncio.create_task(_start(supervisor, plan, console))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                login = starting.result()
                plan.stack.write(home)
                _welcome(plan, login, console)
                notify_ready()
                await stopping
        finally:
            starting.cancel()
            stopping.cancel()
            await asyncio.wait([starting, stopping])
            console.say("Stopping...")
            await supervisor.stop()
    console.say("Stopped.")
    return 0


def _plan(options: StackOptions, environ: Mapping[str, str], home: Path) -> StackPlan:
    simulated = options.with_simulator and not calls_retell(environ)
    if options.any_ports:
        numbers = random.SystemRandom().sample(FREE_PORTS, len(FREE_PORTS))
        free = (port for port in numbers if _is_free(port))
        ports = StackPorts(**{port.name: next(free) for port in fields(StackPorts)})
    else:
        ports = local_ports()
    external = environ.get("SUPABASE_DB_URL", "").strip()
    if external:
        refuse_remote(external)
    required = {"functions": ports.api}
    required |= {} if external else {"database": ports.database}
    required |= {"simulator": ports.simulator} if simulated else {}
    required |= {"studio": ports.studio} if options.with_studio else {}
    for what, port in required.items():
        if not _is_free(port):
            raise PortTaken(port, what, "use free ports with --ports auto")
    stack = LocalStack(
        api_url=f"http://127.0.0.1:{ports.api}",
        database_url=external or EmbeddedPostgres(home, listen_port=ports.database).dsn,
        simulator_url=f"http://127.0.0.1:{ports.simulator}" if simulated else None,
        studio_url=f"http://127.0.0.1:{ports.studio}" if options.with_studio else None,
        calling_rules=environ.get("OUTDIAL_CALLING_RULES", "").strip(),
    )
    env = {**local_settings(stack, environ), "OUTDIAL_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    if simulated:
        env.setdefault("OUTDIAL_RETRY_SPEED", str(options.speed))
    processes = [] if external else [_process("database", env, 45.0, "db", "keep", f"--port={ports.database}")]
    # With the embedded server, the host creates the logins of its functions itself; it takes SUPABASE_DB_URL as a
    # sign that they are in the environment.
    host_env = env if external else {name: value for name, value in env.items() if name != "SUPABASE_DB_URL"}
    if stack.studio_url is not None:
        host_env = {"OUTDIAL_AUTH_UPSTREAM": stack.studio_url, **host_env}
    processes.append(_process("functions", host_env, HOST_GRACE_S, "functions", "serve", f"--port={ports.api}"))
    if stack.studio_url is not None:
        processes.append(_process("studio", env, STUDIO_GRACE_S, "studio", f"--port={ports.studio}"))
        processes.append(_process("jobs", env, JOBS_GRACE_S, "jobs"))
    if simulated:
        webhook_url = f"{stack.api_url}/functions/v1/retell-webhook"
        arguments = [f"--port={ports.simulator}", f"--webhook-url={webhook_url}", *options.simulator_options]
        processes.append(_process("simulator", env, 10.0, "simulator", *arguments))
    # Without a simulator and without a key, one may be entered in the studio.
    if simulated or calls_retell(environ) or options.with_studio:
        names = ["dialer"] if options.dialers == 1 else [f"dialer {n + 1}" for n in range(options.dialers)]
        processes += [_process(name, env, DIALER_GRACE_S, "dialer") for name in names]
    return StackPlan(
        stack=stack,
        env=env,
        processes=processes,
        database_port=None if external else ports.database,
        first_organization=options.first_organization,
    )


def _process(name: str, env: Mapping[str, str], grace_s: float, *arguments: str) -> ProcessSpec:
    command = [sys.executable, "-m", "outdial.cli", *arguments]
    return ProcessSpec(name=name, command=command, env=env, grace_s=grace_s)


async def _start(supervisor: Supervisor, plan: StackPlan, console: StackConsole) -> StudioLogin | None:
    login = None
    urls, home = DatabaseUrls.from_env(plan.env), Path(plan.env["OUTDIAL_HOME"])
    for planned in plan.processes:
        process = planned
        if process.name == "functions":
            seed = project_directory() / "seed.sql"
            console.migrated(await push(plan.stack.database_url, *migration_directories(), seed=seed))
        if process.name == "studio" and plan.database_port is not None:
            login = await make_first_login(urls, home, plan.first_organization, SystemClock())
        if process.name == "studio" and not plan.env.get("OUTDIAL_ACCESS_TOKEN"):
            # With a token for the management API, the studio can roll functions back.
            connecting = Database.connect(urls.host, application_name="outdial:dev", max_size=1, role=urls.role("host"))
            async with await connecting as database:
                token = await AccessTokens(database, SystemClock()).local(home)
            process = replace(process, env={**process.env, "OUTDIAL_ACCESS_TOKEN": token})
        console.say(f"Starting {process.name}...")
        await supervisor.start(process)
    return login


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def _welcome(plan: StackPlan, login: StudioLogin | None, console: StackConsole) -> None:
    stack, env = plan.stack, plan.env
    database, password_file = "SUPABASE_DB_URL", None
    if plan.database_port is not None:
        database = f"postgresql://{SUPERUSER}@127.0.0.1:{plan.database_port}/postgres"
        password_file = EmbeddedPostgres(Path(env["OUTDIAL_HOME"])).running_password_file()
    console.say("Outdial local development setup is running.")
    console.pairs(
        {
            "Studio": stack.studio_url,
            "Sign in as": None if login is None else f"{login.email}, password {login.password}",
            "Functions": f"{stack.api_url}/functions/v1/<function-name>",
            "Database": database,
            "Database password": f"in {password_file}" if password_file else None,
            "Retell": stack.simulator_url or env.get("RETELL_BASE_URL", "Retell itself: calls are real"),
            "Publishable key": LOCAL_PUBLISHABLE_KEY,
            "Secret key": LOCAL_SECRET_KEY,
            "JWT secret": LOCAL_JWT_SECRET,
            "anon key": _public(env, "SUPABASE_ANON_KEY"),
            "service_role key": _public(env, "SUPABASE_SERVICE_ROLE_KEY"),
            "Webhook secret": _public(env, "RETELL_WEBHOOK_SECRET"),
            "Directory": env["OUTDIAL_HOME"],
        }
    )
    console.say("Press Ctrl-C to stop.")


def _public(env: Mapping[str, str], name: str) -> str:
    """Return the value of a setting when it is the public local one; never print another."""
    public = local_settings(LocalStack(api_url="", database_url=""), {})[name]
    return public if env[name] == public else f"set by {name}"
