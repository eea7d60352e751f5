"""`python -m benchmarks.studio`: latency of the studio's pages, by the number of contacts of a campaign."""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import aiohttp
import asyncpg
import uvloop

from benchmarks.report import report
from benchmarks.stack import Clone, clone, make_template, postgres, process
from benchmarks.studio.campaign import CAMPAIGN, cookie, seed, settings
from outdial.db.embedded import EmbeddedPostgres

_WARM_UPS = 5
_LIMIT_S = 60.0
_TEMPLATE = "contacts_{}"


class PageFailed(Exception):
    """A page did not respond with 200."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Latencies of one page in ms, and its size."""

    contacts: int
    page: str
    times_ms: Sequence[float]
    size: int

    @property
    def median_ms(self) -> float:
        """Median latency in ms."""
        return statistics.median(self.times_ms)

    @property
    def p95_ms(self) -> float:
        """95th percentile of the latency in ms (nearest rank)."""
        return sorted(self.times_ms)[min(len(self.times_ms) - 1, int(len(self.times_ms) * 0.95))]


def main() -> None:
    """Measure every page at every size given on the command line; fail if a page does not respond with 200."""
    asked = _arguments()
    with postgres() as server:
        measured = uvloop.run(_measure(server, asked))
    title = f"Studio, {asked.requests} requests per page, one after the other"
    report(title, [_row(each) for each in measured], _ratios(measured), as_json=asked.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studio", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 1_000_000], help="contacts of the campaign")
    parser.add_argument("--requests", type=int, default=40, help="requests per page")
    return parser.parse_args()


async def _measure(server: EmbeddedPostgres, asked: argparse.Namespace) -> list[Measured]:
    measured: list[Measured] = []
    for size in asked.sizes:
        _print_progress(f"{size:,} contacts: filling")
        await make_template(server, partial(seed, contacts=size), name=_TEMPLATE.format(size))
        async with clone(server, "run", template=_TEMPLATE.format(size)) as database:
            measured += await _pages(database, size, asked.requests)
    return measured


async def _pages(database: Clone, size: int, requests: int) -> list[Measured]:
    measured = []
    async with (
        process([sys.executable, "-m", "benchmarks.studio.serve"], settings(database.dsn())) as (url, _),
        aiohttp.ClientSession(headers={"cookie": cookie()}, timeout=aiohttp.ClientTimeout(_LIMIT_S)) as client,
    ):
        for page, path in _paths(await _organization(database)).items():
            measured.append(await _page(client, url + path, page, size, requests))
            _print_progress(f"{size:,} contacts, {page}: {measured[-1].median_ms:.1f} ms")
    return measured


async def _organization(database: Clone) -> UUID:
    connection = await asyncpg.connect(database.dsn())
    try:
        organization_id: UUID = await connection.fetchval(
            "select organization_id from campaigns where id = $1", CAMPAIGN
        )
    finally:
        await connection.close()
    return organization_id


def _paths(organization_id: UUID) -> Mapping[str, str]:
    home = f"/o/{organization_id}"
    contacts = f"{home}/campaigns/{CAMPAIGN}/contacts"
    return {
        "campaigns": f"{home}/campaigns",
        "campaign": f"{home}/campaigns/{CAMPAIGN}",
        "contacts": contacts,
        "contacts by status": f"{contacts}?status=review",
        "contacts, next call first": f"{contacts}?order=next_attempt",
        "search: number begins": f"{contacts}?q=%2B12120001",
        "search: number ends": f"{contacts}?q=1447",
        "search: name": f"{contacts}?q=person+12",
        "search: external id": f"{contacts}?q=crm-%2B12120001447&by=external_id",
        "calls": f"{home}/calls",
        "calls by outcome": f"{home}/calls?outcome=unknown",
        "report": f"{home}/reports",
    }


async def _page(client: aiohttp.ClientSession, url: str, page: str, size: int, requests: int) -> Measured:
    times: list[float] = []
    length = 0
    for _ in range(_WARM_UPS + requests):
        started = time.perf_counter()
        async with client.get(url, allow_redirects=False) as response:
            body = await response.read()
        times.append(1000 * (time.perf_counter() - started))
        length = len(body)
        if response.status != 200:
            raise PageFailed(f"{page}: {response.status} {body[:300].decode(errors='replace')}")
    return Measured(size, page, times[_WARM_UPS:], length)


def _row(measured: Measured) -> dict[str, object]:
    return {
        "contacts": measured.contacts,
        "page": measured.page,
        "median_ms": round(measured.median_ms, 1),
        "p95_ms": round(measured.p95_ms, 1),
        "kilobytes": round(measured.size / 1000, 1),
    }


def _ratios(measured: Sequence[Measured]) -> list[dict[str, object]]:
    smallest = min(each.contacts for each in measured)
    first = {each.page: each for each in measured if each.contacts == smallest}
    return [
        {
            "page": each.page,
            "contacts": each.contacts,
            f"time_against_{smallest}": round(each.median_ms / first[each.page].median_ms, 2),
        }
        for each in measured
        if each.contacts != smallest
    ]


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
