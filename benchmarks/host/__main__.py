"""`python -m benchmarks.host`: cold starts, warm latency and requests per second of our host and its peers."""

import argparse
import asyncio
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import uvloop

from benchmarks.host.project import IDLE_S, WARM, cold_names, project
from benchmarks.load import Load, drive, request
from benchmarks.peers.deno import PeerUnavailable, deno
from benchmarks.report import report
from benchmarks.stack import ROOT, clone, make_template, postgres, process
from outdial.db.embedded import EmbeddedPostgres

_BODY = b'{"name": "Outdial"}'
_LIMIT_S = 120.0
_WARM_UP = 200
_SCRIPT = ROOT / "benchmarks" / "peers" / "hello.ts"

Command = tuple[str | Path, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of one server: `connections` is 0 for a cold start."""

    server: str
    what: str
    connections: int
    load: Load


def main() -> None:
    """Run the benchmark; exit with 1 if a response was late or not 200."""
    asked = _arguments()
    with project(asked.cold) as supabase, postgres() as server:
        measured = uvloop.run(_measure(asked, supabase, server))
    report("Function host", [_row(run) for run in measured], _ratios(measured), as_json=asked.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.host", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cold", type=int, default=40, help="cold starts")
    parser.add_argument("--warm", type=int, default=2_000, help="requests one after the other")
    parser.add_argument("--requests", type=int, default=30_000, help="requests for the throughput")
    parser.add_argument("--connections", type=int, nargs="+", default=[32, 128])
    return parser.parse_args()


async def _measure(asked: argparse.Namespace, supabase: Path, server: EmbeddedPostgres) -> list[Measured]:
    await make_template(server, _nothing)
    async with clone(server, "host") as database:
        env = {"SUPABASE_DB_URL": database.dsn(), "SUPABASE_URL": "http://127.0.0.1:54321", **await database.logins()}
        return await _measure_all(asked, supabase, {**env, "OUTDIAL_HOME": str(supabase.parent / "home")})


async def _nothing(connection: asyncpg.Connection) -> None:
    """Leave the database empty: only the host itself uses it."""


async def _measure_all(asked: argparse.Namespace, supabase: Path, env: Mapping[str, str]) -> list[Measured]:
    servers: dict[str, Command] = {
        "outdial": (sys.executable, "-m", "benchmarks.host.serve", supabase),
        "uvicorn": (sys.executable, "-m", "benchmarks.peers.hello_uvicorn"),
    }
    runs: list[Measured] = []
    try:
        servers["deno"] = (deno(), "run", "--no-prompt", "--no-lock", "--allow-net", _SCRIPT)
        _keep(runs, Measured("deno", "cold", 0, await _cold_processes(servers["deno"], asked.cold)))
    except PeerUnavailable as reason:
        print(f"deno is skipped: {reason}", file=sys.stderr)
    for name, command in servers.items():
        async with process(command, env if name == "outdial" else {}) as (base, _):
            path = f"/functions/v1/{WARM}" if name == "outdial" else "/"
            await _send(base + path, _WARM_UP, 1)
            if name == "outdial":
                _keep(runs, Measured(name, "cold", 0, await _cold_functions(base, asked.cold)))
            _keep(runs, Measured(name, "warm", 1, await _send(base + path, asked.warm, 1)))
            for connections in asked.connections:
                _keep(
                    runs,
                    Measured(name, "throughput", connections, await _send(base + path, asked.requests, connections)),
                )
    return runs


async def _send(url: str, count: int, connections: int) -> Load:
    return await drive(url, [request(url, _BODY, {})] * count, connections=connections, limit_s=_LIMIT_S)


class NotCold(Exception):
    """A call that should have started a worker did not."""


async def _cold_functions(base: str, count: int) -> Load:
    """Call functions that have no worker, one after the other. Raise NotCold unless each call starts one."""
    names = cold_names(count)
    async with aiohttp.ClientSession(base) as session:
        async with asyncio.timeout(_LIMIT_S):
            while any(not started or workers for started, workers in (await _workers(session, names)).values()):  # noqa: ASYNC110
                await asyncio.sleep(IDLE_S)  # the host reports no event
        loads = []
        for name in names:
            before = (await _workers(session, [name]))[name]
            loads.append(await _send(f"{base}/functions/v1/{name}", 1, 1))
            after = (await _workers(session, [name]))[name]
            if before[1] or after[0] != before[0] + 1:
                raise NotCold(f"{name} had {before[1]} workers, and its call started {after[0] - before[0]}")
    return sum(loads[1:], start=loads[0])


async def _workers(session: aiohttp.ClientSession, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return how many workers each function has started so far, and how many it has."""
    async with session.get("/functions/v1/_internal/metric") as response:
        functions = (await response.json())["functions"]
    return {name: (functions[name]["started"], functions[name]["workers"]) for name in names}


async def _cold_processes(command: Command, count: int) -> Load:
    """Start a process for each call, and measure from its start to the response."""
    latencies = array("d")
    for _ in range(count):
        began = time.perf_counter()
        async with process(command, {"DENO_NO_UPDATE_CHECK": "1"}) as (base, _running):
            await _send(base + "/", 1, 1)
            latencies.append(time.perf_counter() - began)
    return Load(sum(latencies), latencies)


def _keep(runs: list[Measured], run: Measured) -> None:
    runs.append(run)
    print("  ".join(f"{name} {value}" for name, value in _row(run).items()), file=sys.stderr, flush=True)


def _row(run: Measured) -> dict[str, object]:
    return {
        "server": run.server,
        "what": run.what,
        "connections": run.connections,
        "per_s": round(run.load.per_second),
        "p50_ms": round(run.load.percentile_ms(50), 2),
        "p99_ms": round(run.load.percentile_ms(99), 2),
    }


def _ratios(runs: Sequence[Measured]) -> list[dict[str, object]]:
    ours = {(run.what, run.connections): run.load for run in runs if run.server == "outdial"}
    return [
        {
            "peer": run.server,
            "what": run.what,
            "connections": run.connections,
            "throughput": round(ours[run.what, run.connections].per_second / run.load.per_second, 2),
            "p50": round(ours[run.what, run.connections].percentile_ms(50) / run.load.percentile_ms(50), 2),
            "p99": round(ours[run.what, run.connections].percentile_ms(99) / run.load.percentile_ms(99), 2),
        }
        for run in runs
        if run.server != "outdial" and (run.what, run.connections) in ours
    ]


if __name__ == "__main__":
    main()
