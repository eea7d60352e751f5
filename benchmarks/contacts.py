"""`python -m benchmarks.contacts`: contacts added over the API to an open campaign, while a dialer calls them."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import uvloop

from benchmarks.dial.campaign import KEY, MEASURED, activate, seed
from benchmarks.report import report
from benchmarks.stack import Clone, clone, make_template, postgres, process
from benchmarks.studio.campaign import settings
from benchmarks.webhook.cpu import cpu_seconds
from outdial.auth.keys import LOCAL_SECRET_KEY
from outdial.db.embedded import EmbeddedPostgres

_LIMIT_S = 120.0
_LOOK_EVERY_S = 0.05
_WARM_UPS = 50
_PREFIX = "+1415"


class ContactsLost(Exception):
    """A contact was not added, or not called once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run: seconds of the additions, of each response, and of each contact from its addition to its request.

    `studio_cpu_s` and `dialer_cpu_s` are what these used of a processor, which depends little on what else the machine
    does.
    """

    items: int
    asked_per_s: float
    added: int
    seconds: float
    responses_s: Sequence[float]
    dials_s: Sequence[float]
    studio_cpu_s: float
    dialer_cpu_s: float


def main() -> None:
    """Add contacts one by one and by the thousand; fail unless each is added and called once."""
    asked = _arguments()
    with postgres() as server:
        measured = uvloop.run(_measure(server, asked))
    report("Contacts added over the API", [_row(each) for each in measured], [], as_json=asked.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contacts", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rate", type=float, default=200.0, help="contacts per second")
    parser.add_argument("--items", type=int, nargs="+", default=[10, 1], help="contacts per request at that rate")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long contacts are added at that rate")
    parser.add_argument("--batches", type=int, default=5, help="requests with 1,000 contacts each, one after the other")
    return parser.parse_args()


async def _measure(server: EmbeddedPostgres, asked: argparse.Namespace) -> list[Measured]:
    await make_template(server, partial(seed, contacts=0, batch_size=100))
    measured = []
    for items in asked.items:
        async with clone(server, f"by_{items}") as database:
            requests = int(asked.rate * asked.seconds / items)
            measured.append(await _run(database, items=items, requests=requests, rate=asked.rate))
    if asked.batches:
        async with clone(server, "in_batches") as database:
            measured.append(await _run(database, items=1000, requests=asked.batches, rate=0.0))
    return measured


async def _run(database: Clone, *, items: int, requests: int, rate: float) -> Measured:
    async with AsyncExitStack() as stack:
        observer = await asyncpg.connect(database.dsn())
        stack.push_async_callback(observer.close)
        simulator, _ = await stack.enter_async_context(process([sys.executable, "-m", "benchmarks.dial.simulator"], {}))
        studio = [sys.executable, "-m", "benchmarks.studio.serve"]
        url, serving = await stack.enter_async_context(
            process(studio, settings(database.dsn()) | {"SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY})
        )
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outdial-bench-")))
        dialer = [sys.executable, "-m", "benchmarks.dial.dialer", str(directory / "claims.json")]
        env = {"SUPABASE_DB_URL": database.dsn(), "RETELL_API_KEY": KEY, "RETELL_BASE_URL": simulator}
        _, dialing = await stack.enter_async_context(process(dialer, env))
        await observer.execute("update campaigns set keep_open = true where id = $1", MEASURED)
        await activate(observer, [MEASURED])
        organization_id = await observer.fetchval("select organization_id from campaigns where id = $1", MEASURED)
        address = f"{url}/api/v1/organizations/{organization_id}/campaigns/{MEASURED}/contacts"
        timeout = aiohttp.ClientTimeout(_LIMIT_S)
        client = await stack.enter_async_context(
            aiohttp.ClientSession(headers={"apikey": LOCAL_SECRET_KEY}, timeout=timeout)
        )
        for number in range(_WARM_UPS):
            await _add(client, address, number, 1)
        numbers = [_WARM_UPS + number * items for number in range(requests)]
        began, served, dialed = time.perf_counter(), cpu_seconds(serving), cpu_seconds(dialing)
        if rate:
            responses = await _at_rate(client, address, numbers, items, rate)
        else:
            responses = [await _add(client, address, number, items) for number in numbers]
        seconds, served = time.perf_counter() - began, cpu_seconds(serving) - served
        dials = await _dials(observer, _WARM_UPS + requests * items)
        dialed = cpu_seconds(dialing) - dialed
    return Measured(
        items=items,
        asked_per_s=rate,
        added=requests * items,
        seconds=seconds,
        responses_s=responses,
        dials_s=dials[_WARM_UPS:],
        studio_cpu_s=served,
        dialer_cpu_s=dialed,
    )


async def _at_rate(
    client: aiohttp.ClientSession, url: str, numbers: Sequence[int], items: int, rate: float
) -> list[float]:
    """Send each request at its time, whether or not earlier ones have a response."""
    began, sent = time.perf_counter(), []
    for index, number in enumerate(numbers):
        await asyncio.sleep(max(0.0, began + index * items / rate - time.perf_counter()))
        sent.append(asyncio.create_task(_add(client, url, number, items)))
    return list(await asyncio.gather(*sent))


async def _add(client: aiohttp.ClientSession, url: str, first: int, items: int) -> float:
    """Add contacts with numbers from `first` on; return the seconds that the response took."""
    contacts = [
        {"phone": f"{_PREFIX}{2_000_000 + number:07}", "name": f"Person {number}", "variables": {"visits": 2}}
        for number in range(first, first + items)
    ]
    began = time.perf_counter()
    async with client.post(url, json={"contacts": contacts}, headers={"Idempotency-Key": str(first)}) as response:
        body = await response.json()
    if response.status != 200 or body["added"] != items:
        raise ContactsLost(f"{response.status}: {str(body)[:300]}")
    return time.perf_counter() - began


async def _dials(observer: asyncpg.Connection, contacts: int) -> list[float]:
    """Wait until each contact was called; return the seconds from its addition to its request, in that order."""
    async with asyncio.timeout(_LIMIT_S):
        while True:
            if await observer.fetchval("select count(*) from calls where status = 'placed'") >= contacts:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
    rows = await observer.fetch(
        """
        select extract(epoch from c.requested_at - cc.created_at)::float8 as seconds, cc.id
        from calls c join campaign_contacts cc on cc.id = c.campaign_contact_id
        order by cc.created_at, cc.id
        """
    )
    called: set[UUID] = {row["id"] for row in rows}
    if len(rows) != contacts or len(called) != contacts:
        raise ContactsLost(f"{len(rows)} calls of {len(called)} contacts, not {contacts}")
    return [row["seconds"] for row in rows]


def _row(measured: Measured) -> dict[str, object]:
    return {
        "per_request": measured.items,
        "contacts": measured.added,
        "asked_per_s": round(measured.asked_per_s),
        "added_per_s": round(measured.added / measured.seconds),
        "studio_cpu_ms": round(1000 * measured.studio_cpu_s / len(measured.responses_s), 2),
        "dialer_cpu_ms": round(1000 * measured.dialer_cpu_s / measured.added, 2),
        "response_p50_ms": round(1000 * _percentile(measured.responses_s, 50), 1),
        "response_p99_ms": round(1000 * _percentile(measured.responses_s, 99), 1),
        "dial_p50_ms": round(1000 * _percentile(measured.dials_s, 50)),
        "dial_p99_ms": round(1000 * _percentile(measured.dials_s, 99)),
        "dial_longest_ms": round(1000 * max(measured.dials_s)),
    }


def _percentile(seconds: Sequence[float], percent: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


if __name__ == "__main__":
    main()
