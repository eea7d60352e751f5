"""Dialers and functions are killed at random while a campaign runs; no call or event is lost, repeated or invented."""

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest

from outdial.db.session import Database
from outdial.domain.pacing import Pace, spacing
from outdial.promises.checks import JITTER_MS, RunEvidence, audit, resolved
from outdial.promises.evidence import SimulatorClient, gather_evidence
from outdial.stack.local import SIMULATOR_KEY
from tests.support.factories import NOW
from tests.support.ports import reserved_port
from tests.support.postgres import Scratch
from tests.support.processes import Launcher, Process, launcher, start_campaign, until

SEED = int(os.environ.get("OUTDIAL_SEED", "1"))
CONCURRENCY, CALLS_PER_SECOND = 50, 120
SPEED = 100  # a call of a minute takes half a second
# Delays are in simulated time: 100 seconds take one.
FAULTS: list[Mapping[str, Any]] = [
    {"kind": "drop_webhook", "probability": 0.03},
    {"kind": "repeat_webhook", "probability": 0.05, "delay_s": 100},
    {"kind": "reorder_webhook", "probability": 0.1, "delay_s": 50},
    {"kind": "drop_reply", "probability": 0.01},
    {"kind": "hang_reply", "probability": 0.005},
    {"kind": "fail_reply", "probability": 0.005},
    {"kind": "drop_request", "probability": 0.01},
]
FINAL = {"ended", "refused", "released"}
LIMITS = {"concurrency", "calls_per_second"}

log = logging.getLogger("outdial.chaos")


@dataclass
class Fleet:
    """The processes that are killed and restarted: two dialers, and the functions, on a fixed port."""

    launch: Launcher
    port: int
    running: dict[str, Process] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)

    def start(self, name: str) -> Process:
        self.running[name] = self.launch.functions(self.port) if name == "functions" else self.launch.dialer()
        return self.running[name]

    async def replace(self, name: str) -> None:
        await self.running[name].kill()
        self.killed[name] += 1
        self.start(name)

    async def stop(self) -> dict[str, int]:
        """Stop all processes, the dialers first; return their exit statuses."""
        dialers = [name for name in self.running if name != "functions"]
        statuses = await asyncio.gather(*(self.running[name].terminate() for name in dialers))
        return {**dict(zip(dialers, statuses, strict=True)), "functions": await self.running["functions"].terminate()}


@dataclass
class Scene:
    """A running campaign, its database, and the simulator, whose records are authoritative."""

    fleet: Fleet
    simulator: Process
    witness: SimulatorClient
    look: asyncpg.Connection

    async def kill_at_random(self, chance: random.Random, contacts: int, kills: int) -> None:
        """Kill one process after the other, at random points before most contacts are final."""
        for share in sorted(chance.uniform(0.02, 0.85) for _ in range(kills)):
            await until(partial(self._is_final, share * contacts), self.standing)
            await asyncio.sleep(chance.uniform(0, 0.3))
            await self.fleet.replace(chance.choice(("functions", "dialer 1", "dialer 2")))

    async def come_to_rest(self) -> None:
        """Wait until the campaign is completed and no look-up, delivery or event is pending."""
        await until(self._is_completed, self.standing, within_s=240)
        await until(self._is_quiet, self.standing, within_s=120)

    async def standing(self) -> dict[str, Any]:
        """Return the progress of every part."""
        contacts = await self.look.fetch("select status, count(*) from campaign_contacts group by 1")
        calls = await self.look.fetch("select status, count(*) from calls group by 1")
        campaign = await self.look.fetchrow("select status, waiting_for, paused_reason, next_batch_at from campaigns")
        return {"contacts": contacts, "calls": calls, "campaign": campaign, "simulator": await self.witness.state()}

    async def _is_final(self, contacts: float) -> bool:
        return bool(
            await self.look.fetchval(
                "select count(*) >= $1 from campaign_contacts where status not in ('pending', 'calling')", contacts
            )
        )

    async def _is_completed(self) -> bool:
        return bool(await self.look.fetchval("select status = 'completed' from campaigns"))

    async def _is_quiet(self) -> bool:
        state = await self.witness.state()
        delivery = state["delivery"]
        delivered = delivery.get("delivered", 0) + delivery.get("given_up", 0) == state["webhooks"]["due"]
        loose_ends = await self.look.fetchval(
            "select exists (select from calls where next_check_at is not null)"
            " or exists (select from webhook_events where status = 'pending')"
        )
        return delivered and state["still_to_happen"] == 0 and not loose_ends


@pytest.mark.parametrize(
    ("contacts", "kills"),
    [
        pytest.param(200, 4, marks=pytest.mark.timeout(300), id="small"),
        pytest.param(2_000, 20, marks=[pytest.mark.chaos, pytest.mark.timeout(900)], id="full"),
    ],
)
async def test_ledger_and_database_agree_after_any_of_the_processes_was_killed(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, contacts: int, kills: int
) -> None:
    began = monotonic()
    async with scene(database, connection, tmp_path, contacts) as running:
        await running.kill_at_random(random.Random(SEED), contacts, kills)
        await running.come_to_rest()

        assert await running.fleet.stop() == {"functions": 0, "dialer 1": 0, "dialer 2": 0}
        async with await Database.connect(database.dsn_for("outdial_api"), application_name="tests:api") as api:
            aftermath = await Aftermath.of(running, api)
        assert await running.simulator.terminate() == 0

    killed, took = dict(running.fleet.killed), monotonic() - began
    log.info("seed %s: %s contacts in %.0f s, killed %s, %s", SEED, contacts, took, killed, aftermath.summary())
    assert aftermath.breaches() == [], f"OUTDIAL_SEED={SEED}"


@asynccontextmanager
async def scene(database: Scratch, look: asyncpg.Connection, directory: Path, contacts: int) -> AsyncIterator[Scene]:
    """Start the processes, the faults and the campaign; stop every process at the end of the block."""
    with reserved_port() as port, launcher(directory, database, port=port) as launch:
        simulator = launch.simulator(
            port, speed=SPEED, seed=SEED, concurrency=CONCURRENCY, calls_per_second=2 * CALLS_PER_SECOND
        )
        fleet = Fleet(launch, port)
        async with SimulatorClient(await launch.use_simulator(simulator), SIMULATOR_KEY) as witness:
            for name in ("functions", "dialer 1", "dialer 2"):
                fleet.start(name)
            await witness.set_faults(FAULTS)
            await start_campaign(database, contacts, concurrency_limit=CONCURRENCY, calls_per_second=CALLS_PER_SECOND)
            yield Scene(fleet, simulator, witness, look)


@dataclass(frozen=True)
class Aftermath:
    """The state after the run, besides the evidence of the audit."""

    state: dict[str, Any]
    evidence: RunEvidence
    calls: list[asyncpg.Record]
    events: list[asyncpg.Record]

    @classmethod
    async def of(cls, scene: Scene, api: Database) -> "Aftermath":
        """Read the simulator and the database."""
        return cls(
            await scene.witness.state(),
            await gather_evidence(scene.witness, api),
            await scene.look.fetch("select id, status, requests, requested_at from calls order by requested_at"),
            await scene.look.fetch("select id, source, status, event, repeats, error from webhook_events"),
        )

    def breaches(self) -> list[str]:
        """Return a description of each breach."""
        # A stalled process may send requests close together. That is no breach: the limits are checked at the claim.
        checks = [check for check in audit(self.evidence) if check.promise != 7]
        found = [f"promise {check.promise}: {breach}" for check in checks for breach in check.breaches]
        return (found + self._loose_ends() + self._limits() + self._lost_events())[:20]

    def summary(self) -> str:
        """Return the numbers of the run."""
        unknown, requests = resolved(self.evidence), self.state["requests"]
        counts = {
            "calls": len(self.evidence.provider_calls),
            "ambiguous answers": unknown.ambiguous,
            "resolved": unknown.resolved,
            "asked by metadata": sum(requests.get("list-calls", {}).values()),
            "asked again with the same key": sum(call["requests"] - 1 for call in self.calls),
            "reconciled": sum(event["source"] == "reconciler" for event in self.events),
            "events": len(self.events),
            "repeats": sum(event["repeats"] for event in self.events),
            "deliveries": self.state["delivery"],
            "peak live": self.state["peak_live"],
        }
        return ", ".join(f"{name} {count}" for name, count in counts.items())

    def _loose_ends(self) -> list[str]:
        calls = [f"call {c['id']} is {c['status']}" for c in self.calls if c["status"] not in FINAL]
        return calls + [f"event {dict(e)}" for e in self.events if e["status"] != "applied"]

    def _limits(self) -> list[str]:
        breaches = [f"refused for {r.reason}" for r in self.evidence.requests if r.reason in LIMITS]
        if self.state["peak_live"] > CONCURRENCY:
            breaches.append(f"{self.state['peak_live']} calls were live at once")
        # Starts keep their spacing across dialers, and no request leaves before its start.
        apart = spacing(Pace(CALLS_PER_SECOND, 1.0, NOW, None))
        starts = {str(call["id"]): call["requested_at"] for call in self.calls}
        breaches += [f"starts at {one} and {two}" for one, two in pairwise(starts.values()) if two - one < apart]
        return breaches + [
            f"call {request.idempotency_key} was asked for before its start"
            for request in self.evidence.requests
            if request.idempotency_key in starts
            and request.arrived_ms < starts[request.idempotency_key].timestamp() * 1000 - JITTER_MS
        ]

    def _lost_events(self) -> list[str]:
        """Return a breach unless every delivery with a 2xx response has a row or counts as a repeat of one."""
        stored = sum((event["source"] == "webhook") + event["repeats"] for event in self.events)
        delivered = self.state["delivery"]["delivered"]
        return [] if stored >= delivered else [f"{delivered} deliveries were answered 2xx, {stored} are in the ledger"]
