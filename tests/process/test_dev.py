"""`outdial dev` from the outside: one command starts everything, and one signal stops it."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest

from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY
from outdial.retell.simulator.agents import DEFAULT_AGENT
from outdial.stack.first_login import FIRST_NUMBER
from tests.support.postgres import scratch_directory
from tests.support.processes import ANY_HOUR, TIMEOUT_S, Launcher, Process, inherited, until

pytestmark = pytest.mark.timeout(300)

# A command from the documentation of the original system, verbatim.
CURL = (
    "curl -X POST http://127.0.0.1:54321/functions/v1/retell-webhook -H 'Content-Type: application/json' "
    "-H 'x-retell-signature: your-webhook-secret' "
    """-d '{"event_type": "call_started", "data": {"call_id": "test-123"}}'"""
)


@dataclass(frozen=True)
class Stack:
    """A running stack with its home directory."""

    home: Path
    process: Process
    env: dict[str, str]

    @property
    def addresses(self) -> dict[str, str]:
        """The address file that the stack writes for other commands."""
        return dict(json.loads((self.home / "stack.json").read_text()))

    def outdial(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as in another terminal, which knows only the directory."""
        return subprocess.run(
            [sys.executable, "-m", "outdial.cli", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


def own_processes(home: Path) -> list[psutil.Process]:
    """Return every process of the stack in `home`."""
    found = []
    for process in psutil.process_iter():
        try:
            named = str(home) in " ".join(process.cmdline()) or process.environ().get("OUTDIAL_HOME") == str(home)
            if named and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def part_of(home: Path, name: str) -> psutil.Process:
    """Return the process that runs this command. Others may end during the search."""
    found = []
    for process in own_processes(home):
        with suppress(psutil.NoSuchProcess):
            if {"outdial.cli", name} <= set(process.cmdline()):
                found.append(process)
    [process] = found
    return process


async def nothing_left(home: Path) -> None:
    """Wait until no process of the stack is left; fail when some stay."""

    async def gone() -> bool:
        return not own_processes(home)

    async def left() -> list[str]:
        return [" ".join(process.cmdline()) for process in own_processes(home)]

    await until(gone, left)


@pytest.fixture(scope="module")
def start_stack() -> Iterator[Callable[[Path], Stack]]:
    """Start stacks, and stop them after the test."""
    clean = inherited()
    with scratch_directory() as directory:
        launcher = Launcher(directory, clean)

        def start(home: Path) -> Stack:
            env = {**clean, "OUTDIAL_HOME": str(home)}
            process = launcher.start("dev", "dev", "--ports=auto", "--speed=50", OUTDIAL_HOME=str(home), **ANY_HOUR)
            asyncio.run(process.ready())
            return Stack(home, process, env)

        try:
            yield start
        finally:
            for process in launcher.started:
                process.kill_session()


@pytest.fixture(scope="module")
def stack(start_stack: Callable[[Path], Stack]) -> Iterator[Stack]:
    """A stack shared by the tests of this module."""
    with scratch_directory() as directory:
        yield start_stack(directory / "home")


@pytest.fixture
def new_home() -> Iterator[Path]:
    """A home directory for the stack of one test."""
    with scratch_directory() as directory:
        yield directory / "home"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_documented_curl_command_works_on_a_local_stack(stack: Stack) -> None:
    command = shlex.split(CURL.replace("http://127.0.0.1:54321", stack.addresses["api_url"]))

    answer = subprocess.run([*command, "-sS", "--fail"], capture_output=True, check=True, timeout=TIMEOUT_S)

    assert json.loads(answer.stdout) == {"success": True, "event": "call_started"}
    events = json.loads(stack.outdial("inbox", "list", "--json").stdout)
    assert "test-123" in [event["retell_call_id"] for event in events]


def test_every_request_of_the_probe_succeeds(stack: Stack) -> None:
    tested = stack.outdial("functions", "test")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_stack_prints_its_addresses_and_the_public_keys(stack: Stack) -> None:
    said = stack.process.output()
    for word in (
        stack.addresses["api_url"],
        stack.addresses["simulator_url"],
        stack.addresses["studio_url"],
        "demo@example.com",
        "your-webhook-secret",
        "sb_secret_N7UND",
    ):
        assert word in said


async def test_the_owner_of_the_database_has_a_password_of_its_own(stack: Stack) -> None:
    said = stack.process.output()
    port = int(said.partition("postgres@127.0.0.1:")[2].partition("/")[0])
    file = Path(said.partition("Database password")[2].partition("in ")[2].split()[0])
    connect = partial(asyncpg.connect, host="127.0.0.1", port=port, user="postgres", database="postgres")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(password="postgres")
    connection = await connect(password=file.read_text())
    assert await connection.fetchval("select current_user") == "postgres"
    await connection.close()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() not in said


def test_the_simulated_workspace_has_the_number_and_the_agent_of_the_first_organization(stack: Stack) -> None:
    url, headers = stack.addresses["simulator_url"], {"authorization": "Bearer key_simulator"}
    for path in (f"get-phone-number/{FIRST_NUMBER}", f"get-agent/{DEFAULT_AGENT}"):
        assert httpx.get(f"{url}/{path}", headers=headers, timeout=TIMEOUT_S).status_code == 200
    [number] = json.loads(stack.outdial("numbers", "list", "--json").stdout)
    assert number["phone"] == FIRST_NUMBER


def test_a_campaign_runs_with_commands_from_another_terminal(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("phone\n+12127009901\n+12127009902\n")
    for command in (
        ["campaign", "create", "--name=Spring", "--agent=agent_1", "--from=+12125550100",
         '--hours={"every_day": [["00:00", "24:00"]]}'],
        ["campaign", "import", "Spring", str(file)],
        ["campaign", "start", "Spring"],
    ):  # fmt: skip
        done = stack.outdial(*command)
        assert done.returncode == 0, done.stderr

    watched = stack.outdial("campaign", "watch", "Spring")

    assert watched.stdout.splitlines()[-1] == "completed: 2/2 contacts done, 0 calls live (2 answered)", watched.stderr


def test_the_printed_login_opens_the_studio(stack: Stack) -> None:
    printed = re.search(r"demo@example\.com, password (\S+)", stack.process.output())
    assert printed is not None
    assert (stack.home / "studio-password").read_text().strip() == printed[1]
    assert (stack.home / "studio-password").stat().st_mode & 0o077 == 0
    with httpx.Client(base_url=stack.addresses["studio_url"], timeout=TIMEOUT_S) as browser:
        form = browser.get("/sign-in")
        token = re.search(r'name="csrf_token" value="([^"]+)"', form.text)
        assert token is not None
        data = {"csrf_token": token[1], "email": "demo@example.com", "password": printed[1], "next": "/"}
        assert browser.post("/sign-in", data=data).headers["location"] == "/"
        home = browser.get("/").headers["location"]
        assert "demo@example.com" in browser.get(home).text
        # The form is prefilled with the caller number.
        assert "+14155550100" in browser.get(f"{home}/new").text


def test_the_gateway_forwards_sign_in_to_the_studio(stack: Stack) -> None:
    body = {"email": "demo@example.com", "password": (stack.home / "studio-password").read_text().strip()}
    url = f"{stack.addresses['api_url']}/auth/v1/token"
    headers = {"apikey": LOCAL_PUBLISHABLE_KEY}
    answer = httpx.post(url, params={"grant_type": "password"}, json=body, headers=headers, timeout=TIMEOUT_S)
    assert answer.status_code == 200, answer.text
    called = httpx.post(
        f"{stack.addresses['api_url']}/functions/v1/campaign-trigger",
        json={"action": "schedule_check"},
        headers={**headers, "authorization": f"Bearer {answer.json()['access_token']}"},
        timeout=TIMEOUT_S,
    )
    assert called.status_code == 200, called.text


async def test_each_role_can_log_in_with_new_credentials(stack: Stack) -> None:
    lines = (await asyncio.to_thread(stack.outdial, "db", "credentials")).stdout.splitlines()

    assert len(lines) == 6
    for line in lines:
        address = urlsplit(line.partition("=")[2])
        port = stack.process.output().partition("postgres@127.0.0.1:")[2].partition("/")[0]
        # Over TCP, which requires a password.
        connection = await asyncpg.connect(
            host="127.0.0.1", port=int(port), user=address.username, password=address.password, database="postgres"
        )
        assert await connection.fetchval("select current_user") == address.username
        await connection.close()

    async def functions_have_theirs() -> bool:
        return (await asyncio.to_thread(stack.outdial, "functions", "test")).returncode == 0

    await until(functions_have_theirs, "the functions cannot log in any more")


async def test_a_process_that_dies_is_restarted(stack: Stack) -> None:
    for part in ("dialer", "functions", "simulator", "studio", "jobs"):
        part_of(stack.home, part).kill()

    async def all_back() -> bool:
        return stack.process.output().count("running again") >= 5

    async def said() -> str:
        return stack.process.output()[-2000:]

    await until(all_back, said)
    assert (await asyncio.to_thread(stack.outdial, "functions", "test")).returncode == 0


def test_a_second_stack_in_the_same_directory_is_refused_in_one_line(stack: Stack) -> None:
    second = stack.outdial("dev", "--ports=auto")
    assert second.returncode == 1
    assert second.stderr.startswith("Error: a local stack already runs in ")
    assert second.stderr.count("\n") == 1


async def test_a_killed_stack_leaves_nothing_behind_and_another_stops_everything_in_order_on_an_interrupt(
    start_stack: Callable[[Path], Stack], new_home: Path
) -> None:
    killed = await asyncio.to_thread(start_stack, new_home)
    await killed.process.kill()
    await nothing_left(new_home)

    again = await asyncio.to_thread(start_stack, new_home)
    os.kill(again.process.pid, signal.SIGINT)

    assert await again.process.ended() == 0
    said = again.process.output()
    assert said.rstrip().endswith("Stopped.")
    assert "killed" not in said
    await nothing_left(new_home)
    assert not (new_home / "stack.json").exists()
