"""Rows per second and peak memory of results files, and the time of the analytics; each file in a new process."""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast
from uuid import UUID

import asyncpg

from benchmarks.import_contacts import create_draft
from benchmarks.report import report
from benchmarks.stack import clone, make_template, postgres
from outdial.clock import SystemClock
from outdial.db.embedded import EmbeddedPostgres
from outdial.db.queries import exports
from outdial.db.queries.results import analytics
from outdial.db.session import Connection, Database, encode_json
from outdial.domain.ids import new_id
from outdial.jobs.export_job import ExportJob
from outdial.jobs.tables import FileFormat
from outdial.studio.view.decisions import REACHED

_SIZES: Final = (100_000, 1_000_000)
_FORMATS: Final = ("csv", "jsonl", "xlsx")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFile:
    """One file: wall-clock seconds, and the peak memory of its process."""

    rows: int
    format: str
    seconds: float
    rows_per_second: float
    peak_memory_mib: float
    file_mib: float


def main() -> None:
    """Measure every size and format given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rows", type=int, nargs="+", default=_SIZES, help="sizes; the others are held to the first")
    parser.add_argument("--formats", nargs="+", default=_FORMATS, choices=_FORMATS)
    parser.add_argument("--child", nargs=2, metavar=("DSN", "FORMAT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        dsn, file_format = options.child
        print(json.dumps(asdict(asyncio.run(export_file(dsn, cast("FileFormat", file_format))))))
        return
    with postgres() as server:
        measured, seconds = asyncio.run(measure(server, options.rows, options.formats))
    first = {each.format: each for each in measured if each.rows == options.rows[0]}
    ratios: list[dict[str, object]] = [
        {
            "rows": each.rows,
            "format": each.format,
            "rate_against_first_size": each.rows_per_second / first[each.format].rows_per_second,
            "peak_memory_against_first_size": each.peak_memory_mib / first[each.format].peak_memory_mib,
        }
        for each in measured
        if each.rows != options.rows[0]
    ]
    ratios += [{"calls": calls, "analytics_seconds": took} for calls, took in seconds.items()]
    report("Results", [asdict(each) for each in measured], ratios, as_json=options.json)


async def measure(
    server: EmbeddedPostgres, sizes: list[int], formats: list[str]
) -> tuple[list[MeasuredFile], dict[int, float]]:
    """Export each size in each format in a fresh process; return also the time of the analytics by calls."""
    measured, seconds = [], {}
    for rows in sizes:
        name = f"results_{rows}"
        print(f"{rows:,} contacts: filling", file=sys.stderr)
        await make_template(server, partial(seed, contacts=rows), name=name)
        async with clone(server, "run", template=name) as database:
            for file_format in formats:
                arguments = ["-m", "benchmarks.results", "--child", database.dsn("outdial_jobs"), file_format]
                child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE)
                output, _ = await child.communicate()
                if child.returncode:
                    raise SystemExit(child.returncode)
                measured.append(MeasuredFile(**json.loads(output)))
            seconds[rows] = await time_analytics(database.dsn("outdial_api"))
    return measured, seconds


async def seed(connection: asyncpg.Connection, contacts: int) -> None:
    """Insert a campaign whose contacts have five variables, and a call with five custom analysis fields each."""
    await create_draft(connection)
    for statement in (_CONTACTS, _CAMPAIGN_CONTACTS, _CALLS):
        await connection.execute(statement, *((contacts,) if statement is _CONTACTS else ()))
    for file_format in _FORMATS:
        await store_export(connection, file_format)


async def store_export(connection: Connection, file_format: str) -> None:
    """Queue an export of the campaign's results."""
    now = SystemClock().now()
    campaign = await connection.fetchrow("select id, organization_id from campaigns")
    assert campaign is not None
    await exports.create_export(
        connection,
        id=new_id(now),
        organization_id=campaign["organization_id"],
        kind="results",
        format=file_format,
        include=[],
        filters=encode_json({"campaign_id": str(campaign["id"])}),
        created_by=None,
        now=now,
    )


async def export_file(dsn: str, file_format: FileFormat) -> MeasuredFile:
    """Run the export in this (new) process, with the rights of the jobs process."""
    async with await Database.connect(dsn, application_name="benchmark") as database:
        export_id, organization_id = await _queued(dsn.replace("outdial_jobs", "postgres"), file_format)
        began = time.perf_counter()
        await ExportJob(database, SystemClock(), asyncio.Event()).run(export_id, organization_id)
        seconds = time.perf_counter() - began
        async with database.for_organization(organization_id) as connection:
            done = await exports.show_export(connection, export_id=export_id, organization_id=organization_id)
    if done is None or done.status != "completed":
        raise SystemExit(f"the export did not complete: {done}")
    return MeasuredFile(
        rows=done.rows,
        format=file_format,
        seconds=seconds,
        rows_per_second=done.rows / seconds,
        peak_memory_mib=_peak_memory_mib(),
        file_mib=done.size / 2**20,
    )


def _peak_memory_mib() -> float:
    # Not getrusage: on Linux it starts at the peak of the parent process.
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


async def _queued(dsn: str, file_format: FileFormat) -> tuple[UUID, UUID]:
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow("select id, organization_id from exports where format = $1", file_format)
    finally:
        await connection.close()
    assert row is not None
    return row["id"], row["organization_id"]


async def time_analytics(dsn: str) -> float:
    """Return the seconds that the counts of the analytics page take, the second time."""
    async with await Database.connect(dsn, application_name="benchmark") as database:
        for _ in range(2):
            async with database.as_service() as connection:
                organization_id = await connection.fetchval("select organization_id from campaigns")
                now = await connection.fetchval("select clock_timestamp()")
                since = await connection.fetchval("select $1::timestamptz - interval '30 days'", now)
                began = time.perf_counter()
                await analytics.analyze_calls(
                    connection,
                    organization_id=organization_id,
                    campaign_id=None,
                    since=since,
                    until=now,
                    reached=REACHED,
                )
                seconds = time.perf_counter() - began
    return seconds


_CONTACTS: Final = """
insert into contacts (organization_id, phone, name, email, company, zone_key, zone_source, created_at, updated_at)
select (select id from organizations), '+44' || (7000000000 + n), 'Contact ' || n, 'c' || n || '@example.com',
  'Firm ' || n % 997, 'Europe/London', 'number', clock_timestamp(), clock_timestamp()
from generate_series(1, $1::integer) as n
"""
_CAMPAIGN_CONTACTS: Final = """
insert into campaign_contacts (organization_id, campaign_id, contact_id, phone, zone_key, next_attempt_at, status,
  attempts, call_count, last_outcome, variables)
select k.organization_id, m.id, k.id, k.phone, k.zone_key, clock_timestamp(), 'completed', 1, 1, 'answered',
  jsonb_build_object('plan', 'gold', 'balance', 12.5, 'city', 'Berlin', 'since', '2024-01-31', 'agent_note', k.name)
from contacts k, campaigns m
"""
_CALLS: Final = """
insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
  attempt_number, phone, from_number, status, outcome, request, decision, requested_at, duration_ms, cost_cents,
  analysis, transcript, created_at, updated_at)
select gen_random_uuid(), cc.organization_id, cc.campaign_id, cc.id, cc.contact_id, m.provider_account_id, 1, cc.phone,
  '+12125550100', 'ended', 'answered', '{"override_agent_id": "agent_1"}',
  '{"local_times": {"Europe/London": "2026-03-10T17:00:00+00:00"}}', at, 40000, 12.5,
  '{"call_summary": "The contact asked for an offer by email and wants to hear from us again next week.",
    "user_sentiment": "Positive", "call_successful": true, "custom_analysis_data": {"interest": 7,
    "callback_at": "2026-03-17T10:00:00Z", "objection": "price", "is_owner": true, "next_step": "send an offer"}}',
  'Agent: Good morning. User: Good morning.', at, at
from campaign_contacts cc join campaigns m on m.id = cc.campaign_id,
  lateral (select clock_timestamp() - interval '3 days' * random() as at) t
"""


if __name__ == "__main__":
    main()
