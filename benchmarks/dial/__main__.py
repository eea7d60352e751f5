"""`python -m benchmarks.dial`: real dialers against a provider that costs nothing, by size of the campaign."""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import uvloop

from benchmarks.dial.campaign import KEY, MEASURED, WARM_UP, WARM_UP_CONTACTS, activate, seed
from benchmarks.dial.dialer import TimedClaim
from benchmarks.report import report
from benchmarks.stack import Clone, clone, make_template, postgres, process
from outdial.db.embedded import EmbeddedPostgres

LIMIT_S = 120.0
_LOOK_EVERY_S = 0.05


class CallsLost(Exception):
    """The database and the provider's ledger do not tell of the same calls, or there were too few in time."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run; the claims are those of the first calls, as many at each size."""

    contacts: int
    processes: int
    calls: int
    seconds: float
    claims: list[TimedClaim]

    @property
    def per_second(self) -> float:
        """Calls settled per second, from the first claim to the last settlement."""
        return self.calls / self.seconds

    def claim_ms(self, percent: float) -> float:
        """Return the time in ms that `percent` of the claims did not exceed (nearest rank)."""
        ordered = sorted(claim.seconds for claim in self.claims)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def main() -> None:
    asked = _arguments()
    with postgres() as server:
        runs = uvloop.run(_measure(server, asked))
    report("Dialing", [_row(run) for run in runs], _ratios(runs), as_json=asked.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dial", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="pending contacts")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="dialer processes")
    parser.add_argument("--calls", type=int, default=4_000, help="calls per run, where there are as many contacts")
    parser.add_argument("--batch-size", type=int, default=100, help="batch_size of the campaigns")
    return parser.parse_args()


async def _measure(server: EmbeddedPostgres, asked: argparse.Namespace) -> list[Measured]:
    runs = []
    compared = min(asked.calls, *asked.sizes)
    for size in asked.sizes:
        template = f"contacts_{size}"
        await make_template(server, lambda c, size=size: seed(c, size, asked.batch_size), name=template)
        for processes in asked.processes:
            async with clone(server, f"run_{len(runs)}", template=template) as database:
                runs.append(await _run(database, size, processes, min(asked.calls, size), compared))
            print("  ".join(f"{name} {value}" for name, value in _row(runs[-1]).items()), file=sys.stderr, flush=True)
    return runs


async def _run(database: Clone, contacts: int, processes: int, calls: int, compared: int) -> Measured:
    with tempfile.TemporaryDirectory(prefix="outdial-bench-") as directory:
        files = [Path(directory) / f"{number}.json" for number in range(processes)]
        async with AsyncExitStack() as stack:
            command = [sys.executable, "-m", "benchmarks.dial.simulator"]
            url, _ = await stack.enter_async_context(process(command, {}))
            observer = await asyncpg.connect(database.dsn())
            stack.push_async_callback(observer.close)
            async with AsyncExitStack() as dialers:
                for file in files:
                    command = [sys.executable, "-m", "benchmarks.dial.dialer", file]
                    env = {"SUPABASE_DB_URL": database.dsn(), "RETELL_API_KEY": KEY, "RETELL_BASE_URL": url}
                    await dialers.enter_async_context(process(command, env))
                await _dial(observer, WARM_UP, WARM_UP_CONTACTS)
                await observer.execute("checkpoint")
                await _dial(observer, MEASURED, calls)
            found = await _settled(observer)
            await _check(observer, url)
        claims = [claim for file in files for claim in msgspec.json.decode(file.read_bytes(), type=list[TimedClaim])]
    return Measured(contacts, processes, *found, _first(claims, compared))


async def _dial(observer: asyncpg.Connection, campaign: Any, calls: int) -> None:
    """Start a campaign, and return when so many calls are placed."""
    await activate(observer, campaign)
    async with asyncio.timeout(LIMIT_S):
        while calls > await observer.fetchval(
            "select count(*) from calls where campaign_id = $1 and placed_at is not null", campaign
        ):
            await asyncio.sleep(_LOOK_EVERY_S)


async def _settled(observer: asyncpg.Connection) -> tuple[int, float]:
    row = await observer.fetchrow(
        "select count(*), extract(epoch from max(placed_at) - min(created_at))::float8 from calls"
        " where campaign_id = $1 and status = 'placed'",
        MEASURED,
    )
    return row[0], row[1]


async def _check(observer: asyncpg.Connection, url: str) -> None:
    """Raise CallsLost unless each call that the provider took is a placed row, and there is no other row."""
    with urllib.request.urlopen(f"{url}/_sim/state") as reply:
        requests = json.load(reply)["requests"]["create-phone-call"]
    rows = dict(await observer.fetch("select status, count(*) from calls group by status"))
    if requests != {"accepted": rows.get("placed")} or len(rows) != 1:
        raise CallsLost(f"the provider's ledger says {requests}, the database {rows}")


def _first(claims: Sequence[TimedClaim], calls: int) -> list[TimedClaim]:
    first: list[TimedClaim] = []
    for claim in sorted(claims, key=lambda claim: claim.ended_at):
        if claim.campaign_id == MEASURED and sum(c.calls for c in first) < calls:
            first.append(claim)
    return first


def _row(run: Measured) -> dict[str, object]:
    return {
        "contacts": run.contacts,
        "processes": run.processes,
        "calls": run.calls,
        "calls_per_s": round(run.per_second),
        "claims": len(run.claims),
        "claim_p50_ms": round(run.claim_ms(50), 2),
        "claim_p99_ms": round(run.claim_ms(99), 2),
    }


def _ratios(runs: Sequence[Measured]) -> list[dict[str, object]]:
    smallest = min(run.contacts for run in runs)
    single = {run.contacts: run for run in runs if run.processes == 1}
    claim_times: list[dict[str, object]] = [
        {
            "contacts": size,
            f"claim_time_against_{smallest}": round(run.claim_ms(50) / single[smallest].claim_ms(50), 2),
        }
        for size, run in single.items()
        if size != smallest
    ]
    rates: list[dict[str, object]] = [
        {
            "contacts": run.contacts,
            "processes": run.processes,
            "rate_against_1": round(run.per_second / single[run.contacts].per_second, 2),
        }
        for run in runs
        if run.processes != 1 and run.contacts in single
    ]
    return claim_times + rates


if __name__ == "__main__":
    main()
