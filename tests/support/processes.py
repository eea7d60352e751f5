"""Real processes for tests: the commands themselves, each in a session of its own, ended by id whatever happens."""

import asyncio
import io
import json
import os
import signal
import socket
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

# Generous: other tests may have the processors.
PATIENCE_S = 90.0
ALL_DAY = {"every_day": [["00:00", "24:00"]]}
QUICK_RETRIES = {
    **{outcome: {"delays": ["1s"]} for outcome in ("no_answer", "busy", "voicemail", "declined")},
    "fault_delay": "1s",
    "fault_delay_max": "2s",
}
# A dialer that gives up, asks and looks again within seconds.
QUICK = {
    "OUTDIAL_REQUEST_TIMEOUT": "2",
    "OUTDIAL_POLL_INTERVAL": "0.5",
    "OUTDIAL_SAFETY_INTERVAL": "5",
    "OUTDIAL_RESCUE_AFTER": "1",
    "OUTDIAL_RECONCILE_AFTER": "2",
    "OUTDIAL_RECONCILE_MOST": "5",
    "OUTDIAL_CAPACITY_HOLD": "1",
}
OF_FUNCTIONS = ("outdial_api", "outdial_webhook")
_OURS = ("OUTDIAL_", "SUPABASE_", "RETELL_")


class Process:
    """One running command; what it writes goes to `log`."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path, ready_fd: int) -> None:
        self.name, self.log = name, log
        self._popen, self._ready_fd = popen, ready_fd

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def output(self) -> str:
        """Return what it has written so far, to standard output and to standard error."""
        return self.log.read_text(errors="replace")

    def told(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of its log that tell of `event`."""
        lines = [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    async def ready(self) -> "Process":
        """Return when it does its work; fails with its last words when it ends instead."""
        said = await asyncio.wait_for(self._first_word(), PATIENCE_S)
        assert said == b"ready\n", f"{self.name} did not start:\n{self.output()[-2000:]}"
        return self

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._popen.send_signal(signal.SIGKILL)
        await self.ended()

    async def terminate(self) -> int:
        """Ask it to stop; return its exit status."""
        self._popen.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Return its exit status once it has ended."""
        return await asyncio.to_thread(self._popen.wait, PATIENCE_S)

    def end_for_good(self) -> None:
        """Kill its whole session, and let go of what it held."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(PATIENCE_S)
        os.close(self._ready_fd)

    async def _first_word(self) -> bytes:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._ready_fd, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._ready_fd)
        return os.read(self._ready_fd, 64)


@dataclass
class Launcher:
    """Starts `outdial` commands with one environment."""

    directory: Path
    env: Mapping[str, str]
    started: list[Process] = field(default_factory=list)

    def start(self, name: str, *arguments: str, **env: str) -> Process:
        """Start a command; `env` goes over the environment that all have, and an empty value removes a variable."""
        reading, writing = os.pipe()
        log = self.directory / f"{len(self.started):02}-{name}.log"
        settings = {k: v for k, v in ({**self.env, **env, READY_FD: str(writing)}).items() if v}
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, "-m", "outdial.cli", *arguments],
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
        """Start a simulator that sends its webhooks to the functions on `port`."""
        webhook = f"--webhook-url=http://127.0.0.1:{port}/functions/v1/retell-webhook"
        named = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return self.start("simulator", "simulator", "--port=0", webhook, *named)

    async def calls_go_to(self, simulator: Process) -> str:
        """Let what is started from now on call through `simulator`; return its address."""
        await simulator.ready()
        url = simulator.output().split()[-1]
        self.env = {**self.env, "RETELL_API_KEY": SIMULATOR_KEY, "RETELL_BASE_URL": url}
        return url


def inherited() -> dict[str, str]:
    """Return the environment of the tests without what names a stack of somebody's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


@contextmanager
def launcher(directory: Path, database: Scratch, *, port: int, simulator_url: str | None = None) -> Iterator[Launcher]:
    """Start processes on `database` in the block, with the functions' address on `port`; none outlives it."""
    stack = LocalStack(f"http://127.0.0.1:{port}", database.dsn, simulator_url)
    # Functions may not use the server's socket. A thread, because the test's own loop may be running.
    with ThreadPoolExecutor(1) as thread:
        logins = thread.submit(asyncio.run, database.logins()).result()
    given = {f"{role.upper()}_DB_URL": address for role, address in logins.items() if role in OF_FUNCTIONS}
    settings = local_settings(stack, {**inherited(), **QUICK, **given, "OUTDIAL_HOME": str(directory)})
    running = Launcher(directory, settings)
    try:
        yield running
    finally:
        for process in running.started:
            process.end_for_good()


@contextmanager
def reserved_port() -> Iterator[int]:
    """Hold a port that nobody else is given, and that one process after another may listen on."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def until(
    holds: Callable[[], Awaitable[object]], what: Callable[[], Awaitable[object]] | str, within_s: float = PATIENCE_S
) -> None:
    """Look again and again until the condition holds; fails with `what`, or what it returns, after `within_s`."""
    try:
        async with asyncio.timeout(within_s):
            while not await holds():  # noqa: ASYNC110 - other processes bring it about
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
    """Create an organization with a running campaign, open all day, through the interfaces that users have."""
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
