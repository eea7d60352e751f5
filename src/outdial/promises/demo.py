"""`outdial demo`: a campaign from draft to completed against a provider that fails, and what came of it."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp

from outdial.auth.keys import LOCAL_SECRET_KEY
from outdial.cli.campaign import follow_in_lines, follow_live
from outdial.cli.errors import CliError, Refused, explain
from outdial.cli.output import fail, notes, print_json
from outdial.cli.signals import set_within
from outdial.db.events import COUNT_EVENTS
from outdial.db.evidence import COUNT_UNSETTLED
from outdial.db.session import Database
from outdial.promises.checks import Check, audit, resolved
from outdial.promises.demo_contacts import PHONE_COLUMN, DemoFile, make_contacts
from outdial.promises.demo_report import Report, print_report
from outdial.promises.evidence import Witness, gather_evidence
from outdial.settings import DatabaseUrls
from outdial.stack.local import SIMULATOR_KEY, Stack
from outdial.supervisor import Part, Supervisor

SPEED, CONCURRENCY, CALLS_PER_SECOND, DIALERS = 60, 30, 25, 2
PATIENCE_S, LOOSE_ENDS_S = 300.0, 60.0
LINE_EVERY = timedelta(seconds=2)

# Real time is short here: a minute of a call is a second, and what is silent is asked about after two.
HURRIED: Final[Mapping[str, str]] = {
    "OUTDIAL_REQUEST_TIMEOUT": "3",
    "OUTDIAL_POLL_INTERVAL": "0.5",
    "OUTDIAL_SAFETY_INTERVAL": "2",
    "OUTDIAL_RESCUE_AFTER": "1",
    "OUTDIAL_RECONCILE_AFTER": "2",
    "OUTDIAL_RECONCILE_MOST": "3",
    "OUTDIAL_CAPACITY_HOLD": "2",
}
RETRY: Final[Mapping[str, Any]] = {
    "no_answer": {"delays": ["2s", "3s"]},
    "busy": {"delays": ["1s"]},
    "voicemail": {"delays": ["2s"]},
    "ivr": {"delays": ["1s"]},
    "declined": {"delays": ["3s"]},
    "fault_delay": "1s",
    "fault_delay_max": "2s",
    "max_faults": 4,
}
FAULTS: Final[list[Mapping[str, Any]]] = [
    {"kind": "drop_webhook", "probability": 0.15},
    {"kind": "repeat_webhook", "probability": 0.2, "delay_s": 60},
    {"kind": "reorder_webhook", "probability": 0.3, "delay_s": 40},
    {"kind": "drop_reply", "probability": 0.03},
    {"kind": "fail_reply", "probability": 0.02},
    {"kind": "garble_reply", "probability": 0.01},
    {"kind": "hang_reply", "probability": 0.01},
    {"kind": "drop_request", "probability": 0.02},
]
_OWN = ("SUPABASE_", "RETELL_", "OUTDIAL_")
_KEPT = ("OUTDIAL_PG_BIN", "OUTDIAL_PG_USER")


@dataclass(frozen=True, slots=True)
class Imported:
    """The campaign, and what the import of its contacts reported."""

    campaign_id: UUID
    report: Mapping[str, Any]


async def run_demo(rows: int, seed: int, *, as_json: bool) -> int:
    """Run the demo in a directory of its own; returns 0 when every check holds, 1 when not, 130 when interrupted."""
    _cancel_on_signals()
    began = time.monotonic()
    with _directory() as directory:
        log = _Log(directory / "stack.log")
        supervisor = Supervisor(log.tell)
        try:
            report = await _run(_Outdial(directory), supervisor, make_contacts(rows, seed), seed)
        except asyncio.CancelledError:
            return 130
        except Exception as error:
            if (message := explain(error)) is None:
                raise
            fail(message)
            log.show_end()
            return 1
        finally:
            _say("Stopping the stack...")
            await supervisor.stop()
    print_report(report, time.monotonic() - began) if not as_json else print_json(report.as_dict())
    return 0 if all(check.holds for check in report.checks) else 1


class _Outdial:
    """The command line as a user of the demo's own stack has it: nothing of the caller's own environment."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.home = directory, directory / "home"
        kept = {n: v for n, v in os.environ.items() if not n.startswith(_OWN) or n in _KEPT}
        self.env = {**kept, **HURRIED, "OUTDIAL_HOME": str(self.home), "COLUMNS": "200"}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "outdial.cli", *arguments]

    async def __call__(self, *arguments: str) -> str:
        """Run a command, and return what it prints; raises Refused with its error."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*arguments),
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode:
            raise Refused(f"outdial {' '.join(arguments[:2])}: {err.decode(errors='replace').strip()}")
        return out.decode()

    async def json(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(await self(*arguments, "--json")))


async def _run(outdial: _Outdial, supervisor: Supervisor, file: DemoFile, seed: int) -> Report:
    _say("Starting the local stack: Postgres, functions, simulated Retell, two dialers...")
    await supervisor.start(Part("stack", _stack_command(outdial, seed), outdial.env, grace_s=90.0))
    stack = Stack.running(outdial.home)
    if stack is None:
        raise Refused("the local stack has ended")
    urls = DatabaseUrls.from_env({"SUPABASE_DB_URL": stack.database_url})
    async with (
        await Database.connect(urls.api, application_name="outdial:demo") as database,
        Witness(stack.simulator_url or "", SIMULATOR_KEY) as witness,
    ):
        imported = await _prepare(outdial, file)
        await witness.set_faults(FAULTS)
        await _start(stack, imported.campaign_id)
        _say("The campaign runs; events are dropped, repeated and reordered, and answers get lost.")
        await _follow(database, imported.campaign_id)
        await _tie_up(database, witness)
        return await _look_back(database, witness, imported, file)


def _stack_command(outdial: _Outdial, seed: int) -> list[str]:
    return outdial.command(
        "dev",
        "--ports=auto",
        "--no-studio",
        f"--dialers={DIALERS}",
        f"--speed={SPEED}",
        f"--seed={seed}",
        f"--concurrency={CONCURRENCY}",
        f"--calls-per-second={CALLS_PER_SECOND}",
    )


async def _prepare(outdial: _Outdial, file: DemoFile) -> Imported:
    contacts, blocked = outdial.directory / "contacts.csv", outdial.directory / "do_not_call.txt"
    contacts.write_text(file.text)
    blocked.write_text("\n".join(file.do_not_call))
    limits = (f"--concurrency={CONCURRENCY}", f"--calls-per-second={CALLS_PER_SECOND}", "--daily-cap=20")
    await outdial.json("organization", "create", "Demo", *limits)
    _say(f"Blocking {len(file.do_not_call)} numbers, creating the campaign, importing the contacts...")
    await outdial("contacts", "dnc", "add", f"--file={blocked}", "--reason=asked not to be called")
    campaign = await outdial.json(
        "campaign",
        "create",
        "--name=Demo",
        "--agent=agent_demo",
        "--from=+12125550100",
        '--hours={"every_day": [["00:00", "24:00"]]}',
        f"--retry={json.dumps(RETRY)}",
        f"--batch-size={CALLS_PER_SECOND}",
        "--var=greeting=Good day",
    )
    report = await outdial.json(
        "campaign", "import", "Demo", str(contacts), "--region=US", f"--map=phone={PHONE_COLUMN}"
    )
    _say(f"Imported {report['rows']} rows: {report['added']} added, {report['refused_rows']} refused.")
    return Imported(UUID(campaign["id"]), report)


async def _start(stack: Stack, campaign_id: UUID) -> None:
    order = {"action": "start_campaign", "campaign_id": str(campaign_id)}
    url = f"{stack.api_url}/functions/v1/campaign-trigger"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=order, headers={"apikey": LOCAL_SECRET_KEY}) as response,
    ):
        if response.status != 200:
            raise Refused(f"campaign-trigger answered {response.status}: {await response.text()}")


async def _follow(database: Database, campaign_id: UUID) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            if notes.is_terminal:
                view = await follow_live(database, campaign_id, console=notes)
            else:
                view = await follow_in_lines(database, campaign_id, console=notes, every=LINE_EVERY)
    except TimeoutError:
        raise CliError(f"the campaign has not come to rest within {PATIENCE_S:g} s") from None
    if view.campaign.status != "completed":
        raise CliError(f"the campaign is {view.campaign.status}: {view.waiting}")


async def _tie_up(database: Database, witness: Witness) -> None:
    """Wait for what is still to come after the last contact is done: analyses, late events, answers to questions."""
    _say("Completed; waiting for the last analyses and events...")
    never = asyncio.Event()
    deadline = time.monotonic() + LOOSE_ENDS_S
    while time.monotonic() < deadline:
        async with database.as_service() as connection:
            left = await COUNT_UNSETTLED.one(connection)
        state = await witness.state()
        if not (left.calls or left.events or state["still_to_happen"] or state["delivery"]["waiting"]):
            return
        await set_within(never, 0.25)
    raise CliError(f"{left.calls} calls and {left.events} events are left unsettled after {LOOSE_ENDS_S:g} s")


async def _look_back(database: Database, witness: Witness, imported: Imported, file: DemoFile) -> Report:
    evidence = await gather_evidence(witness, database)
    async with database.as_service() as connection:
        events = await COUNT_EVENTS.all(connection, organization_id=None)
    return Report(
        evidence=evidence,
        imported=imported.report,
        events=events,
        state=await witness.state(),
        resolved=resolved(evidence),
        checks=[*audit(evidence), _check_import(imported.report, file)],
    )


def _check_import(report: Mapping[str, Any], file: DemoFile) -> Check:
    expected = {"added": file.good, "refused_rows": file.refused}
    breaches = [f"{name} is {report[name]}, not {count}" for name, count in expected.items() if report[name] != count]
    says = "bad rows are told, and stop no good one"
    return Check(10, says, f"{report['rows']} rows, {report['refused_rows']} refused", breaches)


class _Log:
    """What the stack says, kept for the case that something goes wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tell(self, _: str, line: str) -> None:
        with self._path.open("a") as file:
            file.write(line + "\n")

    def show_end(self) -> None:
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        for line in lines[-30:]:
            notes.print(line, markup=False, soft_wrap=True)


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="outdial-demo-"))
    try:
        # As root, Postgres runs as another user, who has to get to the home below.
        directory.chmod(0o711)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _cancel_on_signals() -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _say(line: str) -> None:
    notes.print(line, markup=False)
