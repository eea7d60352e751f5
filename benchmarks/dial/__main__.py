"""`python -m benchmarks.dial`: real dialers against a simulator without delays, by campaign size."""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import psutil
import uvloop

from benchmarks.dial.campaign import KEY, MEASURED, WARM_UP_CONTACTS, WARM_UPS, activate, seed
from benchmarks.dial.dialer import TimedClaim
from benchmarks.report import report
from benchmarks.stack import Clone, clone, make_template, postgres, process
from benchmarks.webhook.cpu import cpu_seconds
from outdial.db.embedded import EmbeddedPostgres

LIMIT_S = 120.0
_LOOK_EVERY_S = 0.05


class CallsLost(Exception):
    """The database and the provider's ledger disagree about the calls."""


@dataclass(frozen=True, slots=True)
class Run:
    """Calls settled, and the seconds from the first claim to the last settlement; `claims` are those of MEASURED.

    `others` is the share of the machine's CPU time that went to processes outside the benchmark.
    """

    calls: int
    seconds: float
    claims: list[TimedClaim]
    others: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Repeated runs. Only the claims of the first `compared` calls count, the same number at every size."""

    contacts: int
    processes: int
    runs: list[Run]
    compared: int

    @property
    def per_second(self) -> float:
        """Calls per second of the median run."""
        return statistics.median(run.calls / run.seconds for run in self.runs)

    @property
    def calmest(self) -> Run:
        """The run in which other processes used the least CPU time."""
        return min(self.runs, key=lambda run: run.others)

    def claim_ms(self, percent: float) -> float:
        """Return the time in ms that `percent` of the claims of the calmest run did not exceed (nearest rank)."""
        ordered = sorted(claim.seconds for claim in _first(self.calmest.claims, self.compared))
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def main() -> None:
    """Run the benchmark; fail if a call is only in the ledger or only in the database."""
    asked = _arguments()
    with postgres() as server:
        measured = uvloop.run(_measure(server, asked))
    title = f"Dialing, up to {asked.calls:,} calls per run in batches of {asked.batch_size}"
    report(title, [_row(each) for each in measured], _ratios(measured), as_json=asked.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dial", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="pending contacts")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="dialer processes")
    parser.add_argument("--calls", type=int, default=4_000, help="calls per run, where there are as many contacts")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of runs, each on a fresh database")
    parser.add_argument("--batch-size", type=int, default=100, help="batch_size of the campaigns")
    return parser.parse_args()


async def _measure(server: EmbeddedPostgres, asked: argparse.Namespace) -> list[Measured]:
    """Run each kind once per round, so that other load on the machine affects all kinds alike."""
    for size in asked.sizes:
        fill = partial(seed, contacts=size, batch_size=asked.batch_size)
        await make_template(server, fill, name=_template(size))
    kinds = [(size, processes) for size in asked.sizes for processes in asked.processes]
    runs: dict[tuple[int, int], list[Run]] = {kind: [] for kind in kinds}
    for _ in range(asked.repeats):
        for size, processes in kinds:
            async with clone(server, "run", template=_template(size)) as database:
                run = await _run(database, processes, min(asked.calls, size))
            runs[size, processes].append(run)
            summary = f"{run.calls / run.seconds:,.0f} calls/s, {run.others:.0%} of the CPU used by others"
            print(f"{size:,} contacts, {processes} processes: {summary}", file=sys.stderr, flush=True)
    compared = min(asked.calls, *asked.sizes)
    return [Measured(*kind, runs[kind], compared) for kind in kinds]


def _template(size: int) -> str:
    return f"contacts_{size}"


async def _run(database: Clone, processes: int, calls: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="outdial-bench-") as directory:
        files = [Path(directory) / f"{number}.json" for number in range(processes)]
        async with AsyncExitStack() as stack:
            command = [sys.executable, "-m", "benchmarks.dial.simulator"]
            url, _ = await stack.enter_async_context(process(command, {}))
            observer = await asyncpg.connect(database.dsn())
            stack.push_async_callback(observer.close)
            env = {"SUPABASE_DB_URL": database.dsn(), "RETELL_API_KEY": KEY, "RETELL_BASE_URL": url}
            async with AsyncExitStack() as dialers:
                for file in files:
                    command = [sys.executable, "-m", "benchmarks.dial.dialer", str(file)]
                    await dialers.enter_async_context(process(command, env))
                await _dial(observer, WARM_UPS, len(WARM_UPS) * WARM_UP_CONTACTS)
                await observer.execute("checkpoint")
                before = _cpu_s()
                await _dial(observer, [MEASURED], calls)
                others = _others(before, _cpu_s())
            await _check(observer, url)
            settled = await observer.fetchrow(
                "select count(*) as calls, extract(epoch from max(placed_at) - min(created_at))::float8 as seconds"
                " from calls where campaign_id = $1",
                MEASURED,
            )
            assert settled is not None
        claims = [claim for file in files for claim in msgspec.json.decode(file.read_bytes(), type=list[TimedClaim])]
    return Run(
        settled["calls"], settled["seconds"], [claim for claim in claims if claim.campaign_id == MEASURED], others
    )


async def _dial(observer: asyncpg.Connection, campaigns: Sequence[UUID], calls: int) -> None:
    """Start campaigns, and return when at least this many of their calls are settled."""
    await activate(observer, campaigns)
    async with asyncio.timeout(LIMIT_S):
        while True:
            settled = await observer.fetchval(
                "select count(*) from calls where campaign_id = any ($1) and status = 'placed'", campaigns
            )
            if settled >= calls:
                return
            await asyncio.sleep(_LOOK_EVERY_S)


async def _check(observer: asyncpg.Connection, url: str) -> None:
    """Raise CallsLost unless the provider accepted each settled call exactly once, and no other calls exist."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/_sim/state") as reply:
        requests = (await reply.json())["requests"]["create-phone-call"]
    found = await observer.fetch("select status, count(*) from calls group by status")
    calls = {row["status"]: row["count"] for row in found}
    if requests != {"accepted": calls.get("placed")} or len(calls) != 1:
        raise CallsLost(f"the provider's ledger says {requests}, the database {calls}")


def _cpu_s() -> tuple[float, float, float]:
    """Return the CPU seconds since boot: elapsed, used, and used by our processes."""
    machine, ours = psutil.cpu_times(), 0.0
    for process_ in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            ours += cpu_seconds(process_)
    return sum(machine), sum(machine) - machine.idle - getattr(machine, "iowait", 0.0), ours


def _others(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    passed, used, ours = (late - early for early, late in zip(before, after, strict=True))
    return max(0.0, used - ours) / passed if passed else 0.0


def _first(claims: Sequence[TimedClaim], calls: int) -> list[TimedClaim]:
    first: list[TimedClaim] = []
    for claim in sorted(claims, key=lambda claim: claim.ended_at):
        if sum(taken.calls for taken in first) < calls:
            first.append(claim)
    return first


def _row(measured: Measured) -> dict[str, object]:
    return {
        "contacts": measured.contacts,
        "processes": measured.processes,
        "calls": sum(run.calls for run in measured.runs),
        "calls_per_s": round(measured.per_second),
        "claim_p50_ms": round(measured.claim_ms(50), 2),
        "claim_p99_ms": round(measured.claim_ms(99), 2),
        "cpu_of_others": round(measured.calmest.others, 2),
    }


def _ratios(measured: Sequence[Measured]) -> list[dict[str, object]]:
    alone = {each.contacts: each for each in measured if each.processes == 1}
    smallest = min(alone, default=0)
    claim_times: list[dict[str, object]] = [
        {
            "contacts": size,
            f"claim_time_against_{smallest}": round(each.claim_ms(50) / alone[smallest].claim_ms(50), 2),
        }
        for size, each in alone.items()
        if size != smallest
    ]
    rates: list[dict[str, object]] = [
        {
            "contacts": each.contacts,
            "processes": each.processes,
            "rate_against_1": round(each.per_second / alone[each.contacts].per_second, 2),
        }
        for each in measured
        if each.processes != 1 and each.contacts in alone
    ]
    return claim_times + rates


if __name__ == "__main__":
    main()
