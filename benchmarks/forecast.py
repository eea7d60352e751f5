"""`python -m benchmarks.forecast`: forecasts beside what happens to their campaigns, and how long a forecast takes."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import asyncpg
import uvloop

from benchmarks.dial.campaign import MEASURED, seed
from benchmarks.report import report
from benchmarks.stack import Clone, clone, make_template, postgres
from outdial.clock import SystemClock
from outdial.db.embedded import EmbeddedPostgres
from outdial.db.session import JOB_TIMEOUTS, Database
from outdial.dialer.forecasting.facts import read_question
from outdial.dialer.forecasting.forecast import CampaignForecast
from outdial.dialer.forecasting.record import make_forecast
from outdial.rules.pack import shipped_rules
from tests.support.forecast_world import CAMPAIGNS, dial_set

_STEP: Final = timedelta(seconds=4)


class NotForecast(Exception):
    """The campaign of the benchmark has no forecast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSet:
    """A set of campaigns: how many of them ended, and cost, between p10 and p90, below and above."""

    set: int
    campaigns: int
    end_within: int
    end_sooner: int
    end_later: int
    cost_within: int
    cost_less: int
    cost_more: int
    seconds: float


def main() -> None:
    """Dial the campaigns of each set to their end, and forecast a large campaign."""
    asked = _arguments()
    with postgres() as server:
        sets, ratios = uvloop.run(_measure(server, asked))
    total = sum(each.campaigns for each in sets)
    shares: dict[str, object] = {
        "campaigns": total,
        "ends_within_p10_and_p90": sum(each.end_within for each in sets) / total,
        "costs_within_p10_and_p90": sum(each.cost_within for each in sets) / total,
    }
    report("Forecasts and what happened", [asdict(each) for each in sets], [shares, *ratios], as_json=asked.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sets", type=int, nargs="+", default=[101, 102, 103, 104, 105], help="their seeds")
    parser.add_argument("--any-time", action="store_true", help="neither calling hours nor calling rules")
    parser.add_argument("--contacts", type=int, nargs=2, default=[9, 15], help="fewest and most of a campaign")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[1_000, 1_000_000], help="contacts of the large campaign"
    )
    return parser.parse_args()


async def _measure(
    server: EmbeddedPostgres, asked: argparse.Namespace
) -> tuple[list[MeasuredSet], Sequence[dict[str, object]]]:
    async def leave_empty(connection: asyncpg.Connection) -> None:
        """The campaigns of a set are created in its clone."""

    await make_template(server, leave_empty)
    sets = []
    for number in asked.sets:
        print(f"set {number}: dialing {CAMPAIGNS} campaigns", file=sys.stderr)
        async with clone(server, f"set_{number}") as database:
            sets.append(await _dial(database, number, asked))
    timed: list[dict[str, object]] = []
    for contacts in asked.sizes:
        print(f"{contacts:,} contacts: filling", file=sys.stderr)
        name = f"forecast_{contacts}"
        await make_template(server, partial(seed, contacts=contacts, batch_size=100), name=name)
        async with clone(server, "large", template=name) as database:
            timed.append(await _time(database, contacts))
    return sets, timed


async def _dial(database: Clone, number: int, asked: argparse.Namespace) -> MeasuredSet:
    look = await asyncpg.connect(database.dsn())
    began = time.perf_counter()
    try:
        dialed = await dial_set(
            database.dsn,
            look,
            number,
            contacts=(asked.contacts[0], asked.contacts[1]),
            step=_STEP,
            is_restricted=not asked.any_time,
        )
    finally:
        await look.close()
    found = dialed.forecasts
    costs = [(each.actual_cost_cents or 0, each.forecast.cost_cents) for each in found]
    late = [
        (each.finished_at, each.forecast.finish_at)
        for each in found
        if each.finished_at is not None and each.forecast.finish_at is not None
    ]
    return MeasuredSet(
        set=number,
        campaigns=len(found),
        end_within=sum(each.is_finish_within is True for each in found),
        end_sooner=sum(end < finish.p10 for end, finish in late),
        end_later=sum(end > finish.p90 for end, finish in late),
        cost_within=sum(each.is_cost_within is True for each in found),
        cost_less=sum(cost < forecast.p10 for cost, forecast in costs),
        cost_more=sum(cost > forecast.p90 for cost, forecast in costs),
        seconds=time.perf_counter() - began,
    )


async def _time(database: Clone, contacts: int) -> dict[str, object]:
    """Forecast the large campaign twice, with the rules of 51 jurisdictions; the second time counts."""
    now, rules = SystemClock().now(), shipped_rules()
    async with await Database.connect(
        database.dsn("outdial_jobs"), application_name="benchmark", timeouts=JOB_TIMEOUTS
    ) as jobs:
        look = await asyncpg.connect(database.dsn())
        organization_id = await look.fetchval("select organization_id from campaigns where id = $1", MEASURED)
        await look.close()
        for _ in range(2):
            began = time.perf_counter()
            async with jobs.for_organization(organization_id) as connection:
                question = await read_question(
                    connection, campaign_id=MEASURED, organization_id=organization_id, now=now, shipped=rules
                )
            read = time.perf_counter()
            if question is None or not isinstance(await make_forecast(question, now), CampaignForecast):
                raise NotForecast(f"no forecast of {contacts:,} contacts")
            ran = time.perf_counter()
    return {"contacts": contacts, "seconds_to_read": read - began, "seconds_to_run": ran - read}


if __name__ == "__main__":
    main()
