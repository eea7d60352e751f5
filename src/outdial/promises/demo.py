"""The demo: a campaign from draft to completed against a provider that injects faults, and a check of the promises.

The demo drives the command line in a temporary directory, as a user would.
"""

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import aiohttp

from outdial.auth.keys import LOCAL_SECRET_KEY
from outdial.clock import SystemClock
from outdial.db.queries import evidence as evidence_queries
from outdial.db.queries import inbox
from outdial.db.queries.inbox import EventCount
from outdial.db.session import Database
from outdial.domain.rules import RuleBook
from outdial.process import wait_for_event
from outdial.promises.called_back import check_callbacks
from outdial.promises.checks import PromiseCheck, ResolvedCalls, RunEvidence, audit, resolved
from outdial.promises.demo_contacts import LAW_OPENS, PHONE_COLUMN, DemoFile, make_contacts, make_other_contacts
from outdial.promises.errors import DemoFailed
from outdial.promises.evidence import SimulatorClient, gather_evidence
from outdial.promises.highlights import Highlights, forecast_of_rest, gather_highlights
from outdial.promises.law import written_law
from outdial.promises.lawful import LawEvidence, check_law, gather_law_evidence, law_numbers
from outdial.promises.promise import Promise
from outdial.promises.spending import check_budgets, gather_budgets
from outdial.promises.stopping import check_stops, stopping_once
from outdial.rules.pack import shipped_rules
from outdial.settings import DatabaseUrls, read_environment
from outdial.stack.local import SIMULATOR_KEY, LocalStack, local_settings
from outdial.supervisor import ProcessSpec, Supervisor

SPEED, CONCURRENCY, CALLS_PER_SECOND, DIALERS = 60, 30, 25, 2
UNTIL_LAW_OPENS: Final = timedelta(seconds=10)
"""Most states open this long after the dialers are started, which takes two or three seconds."""
HOLIDAY_CONTACTS: Final = 12
CALLER_NUMBER: Final = "+12125550100"
SPAM_NUMBER: Final = "+13125550100"
"""The second caller number of the campaign: networks mark it as spam."""
BUDGET_CENTS: Final = 20
"""Budget of the campaign for each row of its file: the calls to a contact cost about 8 cents."""
LEAST_BUDGET_CENTS: Final = 3_000
CAMPAIGN_TIMEOUT_S, SETTLE_TIMEOUT_S = 300.0, 60.0
LOG_LINES_SHOWN = 30

# Time runs 60 times as fast: a minute of a call or of a retry's delay takes a second, and silent calls are looked up
# after two.
FAST_TIMING: Final[Mapping[str, str]] = {
    "OUTDIAL_REQUEST_TIMEOUT": "3",
    "OUTDIAL_POLL_INTERVAL": "0.5",
    "OUTDIAL_SAFETY_INTERVAL": "2",
    "OUTDIAL_RESCUE_AFTER": "1",
    "OUTDIAL_RECONCILE_AFTER": "2",
    "OUTDIAL_RECONCILE_MOST": "3",
    "OUTDIAL_CAPACITY_HOLD": "2",
}
RETRY: Final[Mapping[str, Any]] = {
    "no_answer": {"delays": ["2m", "3m"]},
    "busy": {"delays": ["1m"]},
    "voicemail": {"delays": ["2m"]},
    "ivr": {"delays": ["1m"]},
    "declined": {"delays": ["3m"]},
    "fault_delay": "1m",
    "fault_delay_max": "2m",
    "max_faults": 4,
}
VOICEMAIL: Final[Mapping[str, Any]] = {
    "action": "leave_message",
    "message": "Hello {{name}}, we will try again later.",
    "on_attempt": 1,
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
_OURS = ("SUPABASE_", "RETELL_", "OUTDIAL_")
_KEPT = ("OUTDIAL_PG_BIN", "OUTDIAL_PG_USER")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoImport:
    """The campaigns, and the report on the first one's import, as `outdial campaign import --json` prints it.

    The other campaign calls each contact in the morning and then in the afternoon. Most of its contacts are in states
    on a holiday, so it waits.
    """

    organization_id: UUID
    campaign_id: UUID
    other_campaign_id: UUID
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The result of a finished run; `state` is the simulator's, `law` the numbers about the law's hours."""

    evidence: RunEvidence
    imported: Mapping[str, Any]
    events: Sequence[EventCount]
    state: Mapping[str, Any]
    resolved: ResolvedCalls
    law: Mapping[str, object]
    highlights: Highlights
    checks: Sequence[PromiseCheck]

    def numbers(self) -> dict[str, object]:
        """Return counts by what they count."""
        evidence, webhooks = self.evidence, [row for row in self.events if row.source == "webhook"]
        return {
            "contacts": len(evidence.contacts),
            "contacts by status": _counted(contact.status for contact in evidence.contacts),
            "contacts by attempts": _counted(f"after {contact.attempts}" for contact in evidence.contacts),
            "calls": len(evidence.calls),
            "calls by outcome": _counted(call.outcome or call.status for call in evidence.calls),
            "refused rows": _listed(self.imported["refused"]),
            "events received": sum(row.events + row.repeats for row in webhooks),
            "of these duplicates": sum(row.repeats for row in webhooks),
            "events lost on the way": self.state["webhooks"].get("dropped", 0),
            "events fetched by reconciling": sum(row.events for row in self.events if row.source == "reconciler"),
            "calls with an ambiguous response": self.resolved.ambiguous,
            "of these resolved": self.resolved.resolved,
            **self.law,
            **self.highlights.numbers(evidence),
        }

    def as_dict(self) -> dict[str, object]:
        """Return the report as JSON-serializable values."""
        return {
            "numbers": self.numbers(),
            "checks": [
                {**asdict(check), "promised": check.promise.short, "holds": check.holds} for check in self.checks
            ],
            "holds": all(check.holds for check in self.checks),
        }


class DemoConsole(Protocol):
    """Where the demo reports its progress."""

    def say(self, text: str) -> None:
        """Print a line."""

    async def follow(self, database: Database, campaign_id: UUID, rules: RuleBook) -> tuple[str, str | None]:
        """Show the campaign until it stops; return its status, and why it waits under the rules."""

    def failed(self, error: Exception, log_lines: Sequence[str]) -> bool:
        """Print an expected error and the end of the stack's log; return False for an unexpected error."""


async def run_demo(rows: int, seed: int, console: DemoConsole) -> DemoReport | int:
    """Run the demo with a contact file of `rows` rows in a temporary directory.

    Return the report, or an exit status: 130 when interrupted, 1 when the demo failed for an expected reason.
    """
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with tempfile.TemporaryDirectory(prefix="outdial-demo-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        # For root, Postgres runs as another user, who must be able to reach the home directory below.
        directory.chmod(0o711)
        log = DemoLog(directory / "stack.log")
        supervisor = Supervisor(log.add)
        try:
            return await _run(
                DemoCommand(directory),
                supervisor=supervisor,
                file=make_contacts(rows, seed),
                seed=seed,
                console=console,
            )
        except asyncio.CancelledError:
            return 130
        except Exception as error:
            if not console.failed(error, log.last_lines()):
                raise
            return 1
        finally:
            console.say("Stopping the stack...")
            await supervisor.stop()


class DemoCommand:
    """The command line with the environment of the demo's own stack, and none of the caller's settings."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        kept = {n: v for n, v in read_environment().items() if not n.startswith(_OURS) or n in _KEPT}
        self.env = {**kept, **FAST_TIMING, "OUTDIAL_HOME": str(self.home), "COLUMNS": "200"}

    def command(self, *arguments: str) -> list[str]:
        """Return the argument vector of a command."""
        return [sys.executable, "-m", "outdial.cli", *arguments]

    async def __call__(self, *arguments: str) -> str:
        """Run a command and return its output; raises DemoFailed with its error."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*arguments),
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode:
            raise DemoFailed(f"outdial {' '.join(arguments[:2])}: {err.decode(errors='replace').strip()}")
        return out.decode()

    async def json(self, *arguments: str) -> dict[str, Any]:
        """Run a command with --json and return its decoded output."""
        return dict(json.loads(await self(*arguments, "--json")))


async def _run(
    outdial: DemoCommand, supervisor: Supervisor, file: DemoFile, seed: int, console: DemoConsole
) -> DemoReport:
    console.say("Starting the local stack: Postgres, functions, simulated Retell...")
    command = outdial.command(
        *("dev", "--ports=auto", "--no-studio", "--dialers=0", f"--speed={SPEED}", f"--seed={seed}"),
        *(f"--concurrency={CONCURRENCY}", f"--calls-per-second={CALLS_PER_SECOND}"),
    )
    await supervisor.start(ProcessSpec(name="stack", command=command, env=outdial.env, grace_s=90.0))
    stack = LocalStack.running(outdial.home)
    if stack is None:
        raise DemoFailed("the local stack has ended")
    urls = DatabaseUrls.from_env({"SUPABASE_DB_URL": stack.database_url})
    async with (
        await Database.connect(urls.api, application_name="outdial:demo", role=urls.role("api")) as database,
        SimulatorClient(stack.simulator_url or "", SIMULATOR_KEY) as simulator,
    ):
        imported = await _prepare(outdial, file, seed, console.say)
        await simulator.set_faults(FAULTS)
        await simulator.mark_as_spam([SPAM_NUMBER])
        for campaign_id in (imported.campaign_id, imported.other_campaign_id):
            await _start(stack, campaign_id)
        started_at = SystemClock().now()
        ahead = LAW_OPENS - UNTIL_LAW_OPENS - started_at
        rules = shipped_rules().at_another_time(ahead)
        ended = asyncio.Event()
        forecasting = asyncio.create_task(
            forecast_of_rest(
                database, imported.campaign_id, rules, speed=SPEED, after_calls=file.good // 2 + 1, ended=ended
            )
        )
        try:
            await _start_dialers(outdial, supervisor, stack, ahead, console.say)
            console.say("The campaign is running. Events get lost, repeated and reordered; responses get lost.")
            async with stopping_once(database, simulator, imported.organization_id) as stops:
                await _follow(database, imported.campaign_id, rules, console)
        finally:
            ended.set()
            forecast = await forecasting
        console.say("Completed. Waiting for the last events...")
        await _until_settled(database, simulator)
        run = await gather_evidence(simulator, database)
        law = await gather_law_evidence(
            database, imported.organization_id, run.requests, ahead=ahead, started_at=started_at
        )
        highlights = await gather_highlights(
            database, imported.campaign_id, forecast, parts_of=imported.other_campaign_id
        )
        report = await _report(database, simulator, imported, file, run, law, highlights)
        checks = [*report.checks, check_stops(stops, run.requests)]
        return replace(report, checks=sorted(checks, key=lambda check: check.promise))


async def _prepare(outdial: DemoCommand, file: DemoFile, seed: int, say: Callable[[str], None]) -> DemoImport:
    contacts, blocked = outdial.directory / "contacts.csv", outdial.directory / "do_not_call.txt"
    others = outdial.directory / "others.csv"
    contacts.write_text(file.text)
    blocked.write_text("\n".join(file.do_not_call))
    others.write_text(make_other_contacts(HOLIDAY_CONTACTS, seed))
    limits = (f"--concurrency={CONCURRENCY}", f"--calls-per-second={CALLS_PER_SECOND}", "--daily-cap=20")
    organization = await outdial.json("organization", "create", "Demo", *limits)
    say(f"Blocking {len(file.do_not_call)} numbers, creating the campaigns, importing the contacts...")
    await outdial("contacts", "dnc", "add", f"--file={blocked}", "--reason=asked not to be called")
    # India has no rule in the packs.
    await outdial("rules", "off", "IN-NO-RULE", "--reason=the demo calls a simulator")
    budget = max(LEAST_BUDGET_CENTS, BUDGET_CENTS * (file.good + file.refused))
    campaigns = []
    for name, more in (
        ("Demo", (f"--more-number={SPAM_NUMBER}", f"--budget-cents={budget}", f"--voicemail={json.dumps(VOICEMAIL)}")),
        ("Demo by part of the day", ("--day-part=morning", "--day-part=afternoon")),
    ):
        campaign = await outdial.json(
            "campaign",
            "create",
            f"--name={name}",
            "--agent=agent_demo",
            f"--from={CALLER_NUMBER}",
            *more,
            "--hours=always",
            f"--retry={json.dumps(RETRY)}",
            f"--batch-size={CALLS_PER_SECOND}",
            "--var=greeting=Good day",
        )
        campaigns.append(UUID(campaign["id"]))
    options = ("--region=US", f"--map=phone={PHONE_COLUMN}")
    report = await outdial.json("campaign", "import", "Demo", str(contacts), *options)
    await outdial("campaign", "import", "Demo by part of the day", str(others), *options)
    say(f"Imported {report['rows']} rows: {report['added']} added, {report['refused_rows']} refused.")
    return DemoImport(
        organization_id=UUID(organization["id"]),
        campaign_id=campaigns[0],
        other_campaign_id=campaigns[1],
        report=report,
    )


async def _follow(database: Database, campaign_id: UUID, rules: RuleBook, console: DemoConsole) -> None:
    """Show the campaign until it has completed."""
    try:
        async with asyncio.timeout(CAMPAIGN_TIMEOUT_S):
            status, waiting = await console.follow(database, campaign_id, rules)
    except TimeoutError:
        raise DemoFailed(f"the campaign did not finish within {CAMPAIGN_TIMEOUT_S:g} s") from None
    if status != "completed":
        raise DemoFailed(f"the campaign is {status}: {waiting}")


async def _start_dialers(
    outdial: DemoCommand, supervisor: Supervisor, stack: LocalStack, ahead: timedelta, say: Callable[[str], None]
) -> None:
    """Start the dialers with the law's clock just before LAW_OPENS: the demo shows the same at any hour of any day."""
    env = {
        **local_settings(stack, outdial.env),
        "OUTDIAL_RETRY_SPEED": str(SPEED),
        "OUTDIAL_CALLING_RULES_AHEAD": str(ahead.total_seconds()),
    }
    say(f"Starting {DIALERS} dialers. For them, it is {LAW_OPENS - UNTIL_LAW_OPENS:%A %Y-%m-%d %H:%M:%S} UTC.")
    for n in range(DIALERS):
        spec = ProcessSpec(name=f"dialer {n + 1}", command=outdial.command("dialer"), env=env, grace_s=25.0)
        await supervisor.start(spec)


async def _start(stack: LocalStack, campaign_id: UUID) -> None:
    body = {"action": "start_campaign", "campaign_id": str(campaign_id)}
    url = f"{stack.api_url}/functions/v1/campaign-trigger"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers={"apikey": LOCAL_SECRET_KEY}) as response,
    ):
        if response.status != 200:
            raise DemoFailed(f"campaign-trigger responded {response.status}: {await response.text()}")


async def _until_settled(database: Database, simulator: SimulatorClient) -> None:
    """Wait for what comes after the last contact is done: analyses, late events, responses to look-ups."""
    never = asyncio.Event()
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while time.monotonic() < deadline:
        async with database.as_service() as connection:
            left = await evidence_queries.count_unsettled(connection)
        state = await simulator.state()
        if not (left.calls or left.events or state["still_to_happen"] or state["delivery"]["waiting"]):
            return
        await wait_for_event(never, 0.25)
    raise DemoFailed(f"{left.calls} calls and {left.events} events are unsettled after {SETTLE_TIMEOUT_S:g} s")


async def _report(
    database: Database,
    simulator: SimulatorClient,
    imported: DemoImport,
    file: DemoFile,
    run: RunEvidence,
    law: LawEvidence,
    highlights: Highlights,
) -> DemoReport:
    async with database.as_service() as connection:
        events = await inbox.count_events(connection, organization_id=None)
    report = imported.report
    expected = {"added": file.good, "refused_rows": file.refused}
    import_check = PromiseCheck(
        promise=Promise.BAD_ROWS,
        examined=f"{report['rows']} rows, {report['refused_rows']} refused",
        breaches=[f"{name} is {report[name]}, not {n}" for name, n in expected.items() if report[name] != n],
    )
    budgets = await gather_budgets(database, await simulator.costs())
    return DemoReport(
        evidence=run,
        imported=report,
        events=events,
        state=await simulator.state(),
        resolved=resolved(run),
        law=law_numbers(law, written_law()),
        highlights=highlights,
        checks=[*audit(run), import_check, check_law(law, written_law()), check_budgets(budgets), check_callbacks(run)],
    )


class DemoLog:
    """The output of the stack, kept in case of an error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, _: str, line: str) -> None:
        """Append a line."""
        with self._path.open("a") as file:
            file.write(line + "\n")

    def last_lines(self) -> list[str]:
        """Return the last LOG_LINES_SHOWN lines."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return lines[-LOG_LINES_SHOWN:]


def _counted(names: Iterable[str]) -> str:
    return _listed(Counter(names))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
