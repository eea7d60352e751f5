"""Rows per second and peak memory of the CSV import; each size in a new process and database."""

import argparse
import asyncio
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from benchmarks.report import report
from benchmarks.stack import clone, make_template, postgres
from outdial.campaigns.create import CampaignSettings, NewOrganization, create_campaign, create_organization
from outdial.campaigns.importing.import_file import import_contacts
from outdial.campaigns.lifecycle import Actor
from outdial.clock import SystemClock
from outdial.db.embedded import EmbeddedPostgres
from outdial.db.session import Connection, Database

_SIZES = (100_000, 1_000_000)
_AREA_CODES = ("202", "206", "212", "303", "305", "312", "404", "415", "512", "602", "617", "702")
_CITIES = ("New York", "London", "Berlin", "Zürich, Altstadt")


@dataclass(frozen=True, slots=True)
class Measured:
    """One import: wall-clock seconds, and the peak memory of its process."""

    rows: int
    seconds: float
    rows_per_second: float
    peak_memory_mib: float
    file_mib: float


def main() -> None:
    """Measure every size given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rows", type=int, nargs="+", default=_SIZES, help="sizes; the others are held to the first")
    parser.add_argument("--child", nargs=2, metavar=("DSN", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(asdict(asyncio.run(import_file(options.child[0], Path(options.child[1]))))))
        return
    with postgres() as server:
        measured = asyncio.run(measure(server, options.rows))
    rows = [asdict(each) for each in measured]
    report("CSV import", rows, [hold(each, measured[0]) for each in measured[1:]], as_json=options.json)


def hold(each: Measured, first: Measured) -> dict[str, float]:
    """Return the rate and memory of `each` relative to the first size."""
    return {
        "rows": each.rows,
        f"rate_against_{first.rows}": each.rows_per_second / first.rows_per_second,
        f"peak_memory_against_{first.rows}": each.peak_memory_mib / first.peak_memory_mib,
    }


async def measure(server: EmbeddedPostgres, sizes: list[int]) -> list[Measured]:
    """Import a file of each size in a fresh process, into a fresh database."""
    await make_template(server, create_draft)
    measured = []
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="outdial-bench-") as directory:
            path = Path(directory) / "contacts.csv"
            write_file(path, rows)
            async with clone(server, f"import_{rows}") as database:
                arguments = ["-m", "benchmarks.import_contacts", "--child", database.dsn("outdial_api"), str(path)]
                child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE)
                output, _ = await child.communicate()
        if child.returncode:
            raise SystemExit(child.returncode)
        measured.append(Measured(**json.loads(output)))
    return measured


async def create_draft(connection: Connection) -> None:
    """Create the campaign to import into."""
    now = SystemClock().now()
    organization_id = await create_organization(connection, NewOrganization("Benchmark"), now)
    campaign = CampaignSettings(organization_id, "Import", retell_agent_id="agent_1", from_number="+12125550100")
    await create_campaign(connection, campaign, now)


def write_file(path: Path, rows: int) -> None:
    """Stream a CSV file with `rows` rows to disk."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(islice(lines(), rows + 1))


def lines() -> Iterator[str]:
    """Yield a header, then endless rows with distinct valid numbers of the US, the UK and Germany."""
    yield "phone,name,email,company,city,balance\n"
    number = 0
    while True:
        rest = number // len(_AREA_CODES)
        american = f"({_AREA_CODES[number % len(_AREA_CODES)]}) {200 + rest // 10_000:03}-{rest % 10_000:04}"
        british = f"+44 {7400 + number // 1_000_000} {number % 1_000_000:06}"
        for phone in (american, british, f"+49151{number:08}"):
            city = _CITIES[number % len(_CITIES)]
            yield f'{phone},Person {number},p{number}@example.com,Firm {number % 997},"{city}",{number % 9_999}\n'
        number += 1


async def import_file(dsn: str, path: Path) -> Measured:
    """Import the file in this (new) process; fail unless every row is imported."""
    async with await Database.connect(dsn, application_name="benchmark") as database:
        async with database.as_service() as connection:
            campaign_id = await connection.fetchval("select id from campaigns")
        with path.open("rb") as file:
            began = time.perf_counter()
            done = await import_contacts(
                file, campaign_id, database.as_service, actor=Actor(), clock=SystemClock(), default_region="US"
            )
            seconds = time.perf_counter() - began
    if done.added != done.rows:
        raise SystemExit(f"{done.refused_rows} rows were refused, such as {done.first_refused[:1]}")
    unit = 1 if platform.system() == "Darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    return Measured(done.rows, seconds, done.rows / seconds, peak, path.stat().st_size / 2**20)


if __name__ == "__main__":
    main()
