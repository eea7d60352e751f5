"""Runs the real commands as processes. Each has its own session and is always killed at the end."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from outdial.campaigns import lifecycle
from outdial.campaigns.create import CampaignSettings, NewOrganization, create_campaign, create_organization
from outdial.campaigns.importing.import_file import import_contacts
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.process import READY_FD, die_with_parent
from outdial.stack.local import SIMULATOR_KEY, LocalStack, local_settings
from tests.support.postgres import Scratch

# Generous, because other tests may use the CPU.
TIMEOUT_S = 90.0
ALL_DAY = {"every_day": [["00:00", "24:00"]]}
ANY_HOUR = {"OUTDIAL_CALLING_RULES": "ignore"}
"""Tests call at the hour at which they run; the calling rules are tested at hours of their own."""
QUICK_RETRIES = {
    **{outcome: {"delays": ["1s"]} for outcome in ("no_answer", "busy", "voicemail", "declined")},
    "fault_delay": "1s",
    "fault_delay_max": "2s",
}
# Settings of a dialer that times out, rescues and polls within seconds.
QUICK = {
    "OUTDIAL_REQUEST_TIMEOUT": "2",
    "OUTDIAL_POLL_INTERVAL": "0.5",
    "OUTDIAL_SAFETY_INTERVAL": "5",
    "OUTDIAL_RESCUE_AFTER": "1",
    "OUTDIAL_RECONCILE_AFTER": "2",
    "OUTDIAL_RECONCILE_MOST": "5",
    "OUTDIAL_CAPACITY_HOLD": "1",
}
FUNCTION_ROLES = ("outdial_api", "outdial_webhook")
# Prefixes of the variables that configure Outdial.
CONFIGURING = ("OUTDIAL_", "SUPABASE_", "RETELL_")


class Process:
    """A running command. Its output goes to `log`."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path, ready_fd: int) -> None:
        self.name, self.log = name, log
        self._popen, self._ready_fd = popen, ready_fd

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the process is still running."""
        return self._popen.poll() is None

    def output(self) -> str:
        """Return its output so far, standard output and standard error."""
        return self.log.read_text(errors="replace")

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """Return its log lines with `event`."""
        lines = [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    async def ready(self) -> "Process":
        """Wait until it reports readiness. Fail with the end of its output if it exits instead."""
        line = await asyncio.wait_for(self._first_line(), TIMEOUT_S)
        assert line == b"ready\n", f"{self.name} did not start:\n{self.output()[-2000:]}"
        return self

    async def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._popen.send_signal(signal.SIGKILL)
        await self.ended()

    async def terminate(self) -> int:
        """Send SIGTERM and return its exit status."""
        self._popen.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for it to exit and return its status."""
        return await asyncio.to_thread(self._popen.wait, TIMEOUT_S)

    def kill_session(self) -> None:
        """Kill its whole session and close its pipe."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(TIMEOUT_S)
        os.close(self._ready_fd)

    async def _first_line(self) -> bytes:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._ready_fd, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._ready_fd)
        return os.read(self._ready_fd, 64)


@dataclass
class Launcher:
    """Starts `outdial` commands in a common environment, with the outdial that `python` finds, in `cwd`."""

    directory: Path
    env: Mapping[str, str]
    started: list[Process] = field(default_factory=list)
    python: str | Path = sys.executable
    cwd: Path | None = None

    def start(self, name: str, *arguments: str, **env: str) -> Process:
        """Start a command. `env` overrides the common environment; an empty value removes a variable."""
        reading, writing = os.pipe()
        log = self.directory / f"{len(self.started):02}-{name}.log"
        settings = {k: v for k, v in ({**self.env, **env, READY_FD: str(writing)}).items() if v}
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [self.python, "-m", "outdial.cli", *arguments],
                cwd=self.cwd,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(writing,),
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one system call
            )
        os.close(writing)
        process = Process(name, popen, log, reading)
        self.started.append(process)
        return process

    def functions(self, port: int) -> Process:
        """Start the functions on `port`."""
        return self.start("functions", "functions", "serve", "--port", str(port))

    def dialer(self, **env: str) -> Process:
        """Start a dialer."""
        return self.start("dialer", "dialer", **env)

    def simulator(self, port: int, **options: float) -> Process:
        """Start a simulator that sends webhooks to the functions on `port`."""
        webhook = f"--webhook-url=http://127.0.0.1:{port}/functions/v1/retell-webhook"
        named = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return self.start("simulator", "simulator", "--port=0", webhook, *named)

    async def use_simulator(self, simulator: Process) -> str:
        """Make processes started from now on use `simulator`. Return its URL."""
        await simulator.ready()
        url = simulator.output().split()[-1]
        self.env = {**self.env, "RETELL_API_KEY": SIMULATOR_KEY, "RETELL_BASE_URL": url, **ANY_HOUR}
        return url


def inherited() -> dict[str, str]:
    """Return the environment without variables that configure an existing stack."""
    return {name: value for name, value in os.environ.items() if not name.startswith(CONFIGURING)}


@contextmanager
def launcher(directory: Path, database: Scratch, *, port: int, simulator_url: str | None = None) -> Iterator[Launcher]:
    """Yield a launcher for processes on `database`, with functions on `port`. All of them end with the block."""
    stack = LocalStack(api_url=f"http://127.0.0.1:{port}", database_url=database.dsn, simulator_url=simulator_url)
    # Functions may not use the server's socket. In a thread, because the test's event loop may be running.
    with ThreadPoolExecutor(1) as thread:
        logins = thread.submit(asyncio.run, database.logins()).result()
    given = {f"{role.upper()}_DB_URL": address for role, address in logins.items() if role in FUNCTION_ROLES}
    settings = local_settings(stack, {**inherited(), **QUICK, **given, "OUTDIAL_HOME": str(directory)})
    settings |= {} if simulator_url is None else ANY_HOUR
    running = Launcher(directory, settings)
    try:
        yield running
    finally:
        for process in running.started:
            process.kill_session()


async def until(
    holds: Callable[[], Awaitable[object]], what: Callable[[], Awaitable[object]] | str, within_s: float = TIMEOUT_S
) -> None:
    """Poll until the condition holds. After `within_s`, fail with `what` or its result."""
    try:
        async with asyncio.timeout(within_s):
            while not await holds():  # noqa: ASYNC110 - the condition depends on other processes
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"in {within_s:g} s: {what if isinstance(what, str) else await what()}") from None


async def start_campaign(
    database: Scratch,
    contacts: int,
    *,
    concurrency_limit: int = 100,
    calls_per_second: float = 100,
    batch_size: int = 50,
) -> UUID:
    """Create an organization with an active campaign, open around the clock, through the public functions."""
    clock = SystemClock()
    rows = "phone,name\n" + "".join(f"+1212{2_000_000 + n},Contact {n}\n" for n in range(contacts))
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="tests:api") as api:
        async with api.as_service() as connection:
            organization_id = await create_organization(
                connection,
                NewOrganization(
                    "Acme",
                    concurrency_limit=concurrency_limit,
                    calls_per_second=calls_per_second,
                    daily_call_cap=100,
                ),
                clock.now(),
            )
            new = CampaignSettings(
                organization_id,
                "Spring",
                "agent_1",
                "+14155550100",
                batch_size=batch_size,
                calling_hours=ALL_DAY,
                retry_policy=QUICK_RETRIES,
            )
            campaign_id = await create_campaign(connection, new, clock.now())
        report = await import_contacts(
            io.BytesIO(rows.encode()),
            campaign_id,
            api.as_service,
            actor=lifecycle.Actor(),
            clock=clock,
            default_region=None,
        )
        assert report.added == contacts, report
        async with api.as_service() as connection:
            started = await lifecycle.start(connection, campaign_id, lifecycle.Actor(), clock.now())
        assert isinstance(started, lifecycle.Changed), started
    return campaign_id
