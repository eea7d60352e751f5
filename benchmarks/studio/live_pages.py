"""`python -m benchmarks.studio.live_pages`: how fast open live pages show a change, with 100 of them."""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from uuid import UUID

import aiohttp
import asyncpg
import uvloop

from benchmarks.report import report
from benchmarks.stack import clone, make_template, postgres, process
from benchmarks.studio.campaign import CAMPAIGN, cookie, seed, settings
from outdial.db.embedded import EmbeddedPostgres
from outdial.studio.web.live import MAX_STREAMS

MOST_MS: Final = 300
LIVE_CALLS: Final = 200
# As static/live.js.
_MIN_INTERVAL_S: Final = 0.7
_SPREAD_S: Final = 0.4
_CHANGE_EVERY_S: Final = 1.0
_LIMIT_S: Final = 60.0
_TEMPLATE: Final = "live_pages_{}"


class TooSlow(Exception):
    """A page did not respond with 200, or the median refresh took longer than MOST_MS."""


@dataclass(slots=True)
class Figures:
    """Durations of refreshes in ms, and of the time from a change until a page shows it."""

    refreshes: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    size: int = 0


def main() -> None:
    """Measure, print, and fail above MOST_MS."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studio.live_pages", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--contacts", type=int, default=1_000, help="contacts of the campaign")
    parser.add_argument("--pages", type=int, default=100, help="open live pages")
    parser.add_argument("--changes", type=int, default=20, help="changes, one a second: a call ends, another begins")
    asked = parser.parse_args()
    with postgres() as server:
        figures = uvloop.run(_measure(server, asked))
    median = statistics.median(figures.refreshes)
    row = {
        "pages": asked.pages,
        "live_calls": LIVE_CALLS,
        "contacts": asked.contacts,
        "refreshes": len(figures.refreshes),
        **_percentiles("refresh", figures.refreshes),
        **_percentiles("shown", figures.shown),
        "kilobytes": round(figures.size / 1000, 1),
    }
    report(f"Live pages, {asked.changes} changes, one a second", [row], [], as_json=asked.json)
    if median > MOST_MS:
        raise TooSlow(f"the median refresh took {median:.0f} ms, more than {MOST_MS} ms")


def _percentiles(name: str, times: Sequence[float]) -> dict[str, object]:
    ordered = sorted(times)
    return {
        f"{name}_p50_ms": round(statistics.median(ordered), 1),
        f"{name}_p95_ms": round(ordered[int(len(ordered) * 0.95)], 1),
    }


async def _measure(server: EmbeddedPostgres, asked: argparse.Namespace) -> Figures:
    template = _TEMPLATE.format(asked.contacts)
    await make_template(server, partial(seed, contacts=asked.contacts), name=template)
    async with clone(server, "run", template=template) as database:
        connection = await asyncpg.connect(database.dsn())
        organization_id = await connection.fetchval("select organization_id from campaigns where id = $1", CAMPAIGN)
        await connection.execute(BEGIN_CALLS, CAMPAIGN, LIVE_CALLS)
        users = [
            UUID(int=0x7 << 76 | 0b10 << 62 | number) for number in range(100, 100 + -(-asked.pages // MAX_STREAMS))
        ]
        for user in users:
            await connection.execute(USER, user, organization_id)
        async with process([sys.executable, "-m", "benchmarks.studio.serve"], settings(database.dsn())) as (url, _):
            figures = await _watch(connection, f"{url}/o/{organization_id}", users, asked)
        await connection.close()
    return figures


async def _watch(
    connection: asyncpg.Connection, home: str, users: Sequence[UUID], asked: argparse.Namespace
) -> Figures:
    figures, changed_at = Figures(), [0.0]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(_LIMIT_S)) as client:
        pages = [
            asyncio.create_task(
                _page(client, home, cookie(user := users[number // MAX_STREAMS], user), figures, changed_at)
            )
            for number in range(asked.pages)
        ]
        # Each page fetches itself once when its stream begins.
        while len(figures.refreshes) < asked.pages:
            await asyncio.wait(pages, timeout=0.1, return_when=asyncio.FIRST_EXCEPTION)
            for page in pages:
                if page.done():
                    page.result()
        figures.refreshes.clear()
        for _ in range(asked.changes):
            await connection.execute(END_CALL, CAMPAIGN)
            await connection.execute(BEGIN_CALLS, CAMPAIGN, 1)
            changed_at[0] = time.perf_counter()
            await asyncio.wait(pages, timeout=_CHANGE_EVERY_S, return_when=asyncio.FIRST_EXCEPTION)
        for page in pages:
            if page.done():
                page.result()
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
    return figures


async def _page(
    client: aiohttp.ClientSession, home: str, cookies: str, figures: Figures, changed_at: Sequence[float]
) -> None:
    """Do what live.js does: fetch the page soon after its stream reports a change, at most every 0.7 seconds."""
    headers = {"cookie": cookies}
    refreshed_at = shown = 0.0
    async with client.get(f"{home}/live", headers=headers, timeout=aiohttp.ClientTimeout(None)) as stream:
        async for event in _events(stream.content):
            if event not in ("hello", "changed"):
                continue
            wait = max(0.0, refreshed_at + _MIN_INTERVAL_S - time.perf_counter())
            await asyncio.sleep(wait + _SPREAD_S * random.random())
            started = refreshed_at = time.perf_counter()
            change = changed_at[0]
            async with client.get(f"{home}/live-calls", headers=headers | {"x-live": "1"}) as response:
                body = await response.read()
            if response.status != 200 or b'data-group="live"' not in body:
                raise TooSlow(f"the page responded {response.status}: {body[:300]!r}")
            figures.refreshes.append(1000 * (time.perf_counter() - started))
            figures.size = max(figures.size, len(body))
            if change > shown:
                shown = change
                figures.shown.append(1000 * (time.perf_counter() - change))


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[str]:
    async for line in content:
        if line.startswith(b"event: "):
            yield line[7:].strip().decode()


USER = """
with u as (insert into auth.users (id, email) values ($1::uuid, $1::text || '@example.com')),
s as (
  insert into auth.sessions (id, user_id, created_at, refreshed_at)
  values ($1, $1, clock_timestamp(), clock_timestamp())
)
insert into organization_members (organization_id, user_id, role) values ($2, $1, 'operator')
"""
BEGIN_CALLS = """
with begun as (
  update campaign_contacts set status = 'calling', call_count = call_count + 1, attempts = attempts + 1
  where id in (select id from campaign_contacts where campaign_id = $1 and status = 'pending' order by id desc limit $2)
  returning *
)
insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
  attempt_number, phone, from_number, status, request, decision, requested_at, placed_at, started_at, created_at,
  updated_at)
select uuidv7(), b.organization_id, b.campaign_id, b.id, b.contact_id, m.provider_account_id, b.call_count, b.phone,
  m.from_number, 'ongoing', '{}', '{}', clock_timestamp(), clock_timestamp(), clock_timestamp(), clock_timestamp(),
  clock_timestamp()
from begun b join campaigns m on m.id = b.campaign_id
"""
END_CALL = """
update calls set status = 'ended', outcome = 'answered', ended_at = clock_timestamp(), duration_ms = 42000
where id = (select id from calls where campaign_id = $1 and status = 'ongoing' order by requested_at limit 1)
"""

if __name__ == "__main__":
    main()
