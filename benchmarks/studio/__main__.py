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
from outdial.domain.contact import ContactStatus

_WARM_UPS = 5
_LIMIT_S = 60.0
_TEMPLATE = "contacts_{}"
SECTIONS: Mapping[str, Sequence[str]] = {
    "campaigns": ("Needs attention", "Scheduled", "Finished", "of 1,000,000 lines"),
    "campaign": (
        "a decision",
        "The calling rules exclude these contacts",
        "Contacts by last outcome",
        "Answer rate by hour and attempt",
        "analyzed conversation",
        "per conversation",
        "talk time",
        "Organization, per day",
        "Budget",
        "Forecast ",
        "Caller numbers",
    ),
    "contacts": ("bulk-jobs",),
    "settings": ("On voicemail",),
    "activity": ("What happened",),
    "callbacks": ("+1 (212)",),
    "numbers": ("Line 6",),
    "analytics": ("spring.csv", "Positive"),
    "edit, with effective hours": ("Vermont",),
}
"""Texts of the sections that the measured pages must have."""


class PageFailed(Exception):
    """A page did not respond with 200, or lacks a section."""


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

    @property
    def max_ms(self) -> float:
        """Longest latency in ms, which is that of a request whose counts are not cached."""
        return max(self.times_ms)


def main() -> None:
    """Measure every page at every size given on the command line; fail if a page does not respond with 200."""
    asked = _arguments()
    with postgres() as server:
        measured = uvloop.run(_measure(server, asked))
    title = f"Studio, {asked.requests} requests per page, one after the other"
    report(title, _rows(measured), [], as_json=asked.json)


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
        for page, path in page_paths(await organization_of(database)).items():
            measured.append(await _page(client, url + path, page, size, requests))
            _print_progress(
                f"{size:,} contacts, {page}: {measured[-1].median_ms:.1f} ms, at most {measured[-1].max_ms:.1f} ms"
            )
    return measured


async def organization_of(database: Clone) -> UUID:
    """Return the organization of the measured campaign."""
    connection = await asyncpg.connect(database.dsn())
    try:
        organization_id: UUID = await connection.fetchval(
            "select organization_id from campaigns where id = $1", CAMPAIGN
        )
    finally:
        await connection.close()
    return organization_id


def page_paths(organization_id: UUID) -> Mapping[str, str]:
    """Return the paths of the measured pages by name."""
    home = f"/o/{organization_id}"
    campaign = f"{home}/campaigns/{CAMPAIGN}"
    contacts = f"{campaign}/contacts"
    return {
        "campaigns": f"{home}/campaigns",
        "campaigns by progress": f"{home}/campaigns?sort=progress",
        "campaign": campaign,
        "contacts": contacts,
        "calls in its tab": f"{campaign}/calls",
        "callbacks in its tab": f"{campaign}/callbacks",
        "settings": f"{campaign}/settings",
        "activity": f"{campaign}/activity",
        **{f"contacts: {status}": f"{contacts}?status={status.value}" for status in ContactStatus},
        **{f"contacts: last {name}": f"{contacts}?outcome={name}" for name in ("answered", "no_answer", "unknown")},
        "contacts: failed, last no_answer": f"{contacts}?status=failed&outcome=no_answer",
        "contacts: completed, last no_answer": f"{contacts}?status=completed&outcome=no_answer",
        "contacts, next call first": f"{contacts}?order=next_attempt",
        "next call first, last no_answer": f"{contacts}?order=next_attempt&outcome=no_answer",
        "search: number begins": f"{contacts}?q=%2B12120001",
        "search: number begins, field": f"{contacts}?q=%2B1212&by=phone",
        "search: number ends": f"{contacts}?q=1447",
        "search: number ends, field": f"{contacts}?q=47&by=phone_ends",
        "search: name": f"{contacts}?q=person+12",
        "search: name, field": f"{contacts}?q=person&by=name",
        "search: name, in review": f"{contacts}?q=person+12&status=review",
        "search: external id": f"{contacts}?q=crm-%2B12120001447&by=external_id",
        "bulk job of all": f"{campaign}/bulk-jobs",
        "bulk job of the review queue": f"{campaign}/bulk-jobs?status=review",
        "edit, with effective hours": f"{campaign}/edit",
        "launch check": f"{campaign}/launch-check",
        "forecasts": f"{campaign}/forecasts",
        "all contacts": f"{home}/contacts",
        "live": f"{home}/live-calls",
        "live calls of the campaign": f"{campaign}/live-calls",
        "calls": f"{home}/calls",
        "calls of the campaign": f"{home}/calls?campaign={CAMPAIGN}",
        "calls by outcome": f"{home}/calls?outcome=unknown",
        "calls: one number": f"{home}/calls?phone=%2B12120001447",
        "callbacks": f"{home}/callbacks",
        "numbers": f"{home}/numbers",
        "budgets": f"{home}/settings/budgets",
        "imports and results": f"{home}/jobs",
        "report": f"{home}/reports",
        "analytics": f"{home}/analytics",
        "analytics of the campaign": f"{home}/analytics?campaign={CAMPAIGN}",
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
        shown = body.decode(errors="replace")
        if response.status != 200:
            raise PageFailed(f"{page}: {response.status} {shown[:300]}")
        if missing := [section for section in SECTIONS.get(page, ()) if section not in shown]:
            raise PageFailed(f"{page} lacks {', '.join(missing)}")
    return Measured(size, page, times[_WARM_UPS:], length)


def _rows(measured: Sequence[Measured]) -> list[dict[str, object]]:
    """Return a row for each page, with its latencies as shares of those with the fewest contacts in the same run."""
    smallest = min(each.contacts for each in measured)
    first = {each.page: each for each in measured if each.contacts == smallest}
    return [
        {
            "contacts": each.contacts,
            "page": each.page,
            "p50_ms": round(each.median_ms, 1),
            "p95_ms": round(each.p95_ms, 1),
            "max_ms": round(each.max_ms, 1),
            "p50_ratio": round(each.median_ms / first[each.page].median_ms, 2),
            "p95_ratio": round(each.p95_ms / first[each.page].p95_ms, 2),
            "max_ratio": round(each.max_ms / first[each.page].max_ms, 2),
            "kilobytes": round(each.size / 1000, 1),
        }
        for each in measured
    ]


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
