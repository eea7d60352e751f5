"""`python -m benchmarks.webhook`: signed events over HTTP to our function and its peers, on one Postgres."""

import argparse
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import uvloop

from benchmarks.load import Load, drive
from benchmarks.peers.deno import PeerUnavailable
from benchmarks.report import report
from benchmarks.stack import Clone, clone, make_template, postgres, process
from benchmarks.webhook.cpu import Cpu
from benchmarks.webhook.events import EVENTS_PER_CALL, SeededCall, bodies, seed, signed_requests
from benchmarks.webhook.subjects import GATEWAY, OURS, PEERS, Subject, peer
from outdial.db.embedded import EmbeddedPostgres

# A signature is good for five minutes. All of a chunk are made before its first event is sent, while no clock runs.
_CHUNK = 20_000
_CHUNK_LIMIT_S = 270.0
# Events sent before the clock starts, so that compilers have compiled and statements are prepared.
_WARM_UP_SHARE = 20


class WorkLost(Exception):
    """The database lacks events that got a 200."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, and its CPU usage."""

    subject: str
    connections: int
    load: Load
    cpu: Cpu


def main() -> None:
    """Run the benchmark; exit with 1 if a response was late, not 200, or not backed by the database."""
    asked = _arguments()
    subjects = [OURS, GATEWAY]
    for name in asked.peers:
        try:
            subjects.append(peer(name))
        except PeerUnavailable as reason:
            _print_progress(f"{name} is skipped: {reason}")
    calls = max(1, asked.events // EVENTS_PER_CALL)
    with postgres() as server:
        runs = uvloop.run(_measure(server, subjects, calls, asked.connections))
    title = f"Webhook events, {calls * EVENTS_PER_CALL:,} per run"
    report(title, [_row(run) for run in runs], _ratios(runs), as_json=asked.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhook", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--events", type=int, default=60_000, help="distinct events per run")
    parser.add_argument("--connections", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="none: ours alone")
    return parser.parse_args()


async def _measure(
    server: EmbeddedPostgres, subjects: Sequence[Subject], calls: int, connections: Sequence[int]
) -> list[Measured]:
    now = datetime.now(UTC)
    warm_up = max(1, calls // _WARM_UP_SHARE)
    seeded = [SeededCall.number(n) for n in range(1, calls + warm_up + 1)]
    await make_template(server, lambda connection: seed(connection, seeded, now))
    events = bodies(seeded[:calls], now), bodies(seeded[calls:], now)
    runs: list[Measured] = []
    for count in connections:
        for subject in subjects:
            async with clone(server, f"run_{len(runs)}") as database:
                runs.append(await _run(subject, database, *events, count))
                await _check(database, len(seeded))
            _print_progress("  ".join(f"{name} {value}" for name, value in _row(runs[-1]).items()))
    return runs


async def _run(
    subject: Subject, database: Clone, events: Sequence[bytes], warm_up: Sequence[bytes], connections: int
) -> Measured:
    async with process(subject.command, await subject.environment(database)) as (base, running):
        url = base + subject.path
        await _send(url, warm_up, connections)
        before = Cpu.now(running)
        load = await _send(url, events, connections)
        return Measured(subject.name, connections, load, Cpu.now(running) - before)


async def _send(url: str, events: Sequence[bytes], connections: int) -> Load:
    load = Load(0.0, array("d"))
    for first in range(0, len(events), _CHUNK):
        requests = signed_requests(url, events[first : first + _CHUNK])
        load += await drive(url, requests, connections=connections, limit_s=_CHUNK_LIMIT_S)
    return load


async def _check(database: Clone, calls: int) -> None:
    """Raise WorkLost unless each event is stored and applied, and each call and its contact has ended."""
    connection = await asyncpg.connect(database.dsn())
    try:
        found = await connection.fetchrow(
            """
            select (select count(*) from webhook_events where status = 'applied' and call_id is not null) as events,
              (select count(*) from calls where status = 'ended' and outcome is not null and transcript is not null
                and started_at is not null and analysis ->> 'call_summary' is not null) as calls,
              (select count(*) from campaign_contacts
                where attempts = 1 and (status = 'completed' or status = 'pending' and last_outcome = 'voicemail'
                  and next_attempt_at > updated_at)) as contacts,
              (select count(*) from campaigns where next_batch_at < created_at + interval '1 hour') as campaigns
            """
        )
    finally:
        await connection.close()
    expected = {"events": calls * EVENTS_PER_CALL, "calls": calls, "contacts": calls, "campaigns": 1}
    if dict(found or {}) != expected:
        raise WorkLost(f"{database.name}: expected {expected}, found {dict(found or {})}")


def _row(run: Measured) -> dict[str, object]:
    events = len(run.load.latencies_s)
    return {
        "function": run.subject,
        "connections": run.connections,
        "events_per_s": round(run.load.per_second),
        "p50_ms": round(run.load.percentile_ms(50), 2),
        "p99_ms": round(run.load.percentile_ms(99), 2),
        "server_cpu_us": round(1e6 * run.cpu.server / events),
        "postgres_cpu_us": round(1e6 * run.cpu.postgres / events),
        "cpu_of_others": f"{run.cpu.others:.0%}",
    }


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _ratios(runs: Sequence[Measured]) -> list[dict[str, object]]:
    own = (OURS.name, GATEWAY.name)
    pairs = [(ours, other) for ours in runs for other in runs if ours.connections == other.connections]
    return [
        {
            "function": ours.subject,
            "peer": other.subject,
            "connections": other.connections,
            "throughput": round(ours.load.per_second / other.load.per_second, 2),
            "p99": round(ours.load.percentile_ms(99) / other.load.percentile_ms(99), 2),
        }
        for ours, other in pairs
        if ours.subject in own and (other.subject not in own or (ours.subject, other.subject) == own[::-1])
    ]


if __name__ == "__main__":
    main()
