"""`outdial campaign forecast` and `forecasts`: when a campaign finishes, what it costs, and how wrong that was."""

from datetime import timedelta
from typing import Any, assert_never

from rich.console import Console

from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, UnknownName
from outdial.cli.finding import find_campaign, find_campaign_row
from outdial.cli.output import AsJson, cell, notes, print_json, print_pairs, print_rows
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.dialer.forecasting.forecast import CampaignForecast, ForecastGap
from outdial.dialer.forecasting.record import (
    ForecastOccasion,
    StoredForecast,
    accuracy_sentence,
    forecast_accuracy,
    forecast_and_store,
    stored_forecasts,
)
from outdial.settings import read_environment, retry_speed
from outdial.stack.local import as_service, rules_of_environment


def forecast(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Forecast when a campaign finishes and what its calls cost, from now on, or as if it started now.

    It simulates the campaign 40 times, with its calling hours, calling rules, limits and retries.
    The forecast is stored: `outdial campaign forecasts` compares it with what happened.
    """

    match as_service(lambda database: request_forecast(database, campaign)):
        case ForecastGap() as gap:
            raise ActionRefused(gap.sentence())
        case StoredForecast() as stored if as_json:
            print_json(forecast_document(stored))
        case StoredForecast() as stored:
            print_pairs(_pairs(stored.forecast))
        case never:
            assert_never(never)


async def request_forecast(database: Database, campaign: str) -> StoredForecast | ForecastGap:
    """Forecast a campaign and store the forecast; raises UnknownName."""
    async with database.as_service() as connection:
        campaign_id = await find_campaign(connection, campaign)
    made = await forecast_and_store(
        database.as_service,
        campaign_id=campaign_id,
        organization_id=None,
        made_for=ForecastOccasion.REQUEST,
        now=SystemClock().now(),
        shipped=rules_of_environment(),
        retry_speed=retry_speed(read_environment()),
    )
    if made is None:
        raise UnknownName(f"unknown campaign {campaign!r}")
    return made


def print_forecast(made: StoredForecast | ForecastGap, console: Console) -> None:
    """Print a forecast in one sentence, or why there is none."""
    if isinstance(made, ForecastGap):
        console.print(f"{made.sentence()}.", markup=False, soft_wrap=True)
        return
    found = made.forecast
    cost = _range(found.cost_cents.p10, found.cost_cents.p50, found.cost_cents.p90)
    end = "The end is not known"
    if found.finish_at is not None:
        p10, p50, p90 = (cell(moment) for moment in (found.finish_at.p10, found.finish_at.p50, found.finish_at.p90))
        end = f"Finishes {p50} (between {p10} and {p90})"
    budget = "" if found.budget_sentence is None else f" {found.budget_sentence}."
    console.print(f"Forecast: {end}. The remaining calls cost {cost}.{budget}", markup=False, soft_wrap=True)


def _pairs(found: CampaignForecast) -> dict[str, object]:
    finish = found.finish_at
    budget = {} if found.budget_sentence is None else {"budget": found.budget_sentence}
    return {
        "contacts": f"{found.contacts:,}",
        "finishes": "not known" if finish is None else finish.p50,
        **({} if finish is None else {"  between": finish.p10, "  and": finish.p90}),
        **budget,
        "cost of the remaining calls": _range(found.cost_cents.p10, found.cost_cents.p50, found.cost_cents.p90),
        "calls": f"{found.calls.p50:,.0f} ({found.calls.p10:,.0f} to {found.calls.p90:,.0f})",
        "based on": f"{found.past_calls:,} past calls{'' if found.past_calls >= 100 else ' and defaults'}",
    }


def forecasts(campaign: CampaignName, as_json: AsJson = False) -> None:
    """List the forecasts of a campaign beside what happened."""

    async def work(database: Database) -> tuple[list[StoredForecast], str | None]:
        async with database.as_service() as connection:
            row = await find_campaign_row(connection, campaign)
            found = await stored_forecasts(connection, campaign_id=row.id, organization_id=row.organization_id)
            return found, accuracy_sentence(await forecast_accuracy(connection, row.organization_id))

    found, past = as_service(work)
    if as_json:
        print_json([forecast_document(each) for each in found])
        return
    print_rows(
        {
            "Made": lambda each: each.forecast.made_at,
            "Finishes": lambda each: None if each.forecast.finish_at is None else each.forecast.finish_at.p50,
            "Cost": lambda each: _range(
                each.forecast.cost_cents.p10, each.forecast.cost_cents.p50, each.forecast.cost_cents.p90
            ),
            "Finished": lambda each: each.finished_at,
            "Late by": lambda each: (
                None if each.late_by is None else timedelta(seconds=round(each.late_by.total_seconds()))
            ),
            "Actual cost": lambda each: (
                None if each.actual_cost_cents is None else f"${each.actual_cost_cents / 100:,.2f}"
            ),
            "Within": lambda each: None if each.is_within is None else "yes" if each.is_within else "no",
        },
        found,
        empty="No forecasts yet. One is made when the campaign starts, or by outdial campaign forecast.",
    )
    failed = next((each.not_compared for each in found if each.not_compared is not None), None)
    if failed is not None:
        notes.print(f"{failed}.", markup=False)
    if past is not None:
        notes.print(f"{past}.")


def forecast_document(stored: StoredForecast) -> dict[str, Any]:
    """Return a forecast as the API does."""
    found = stored.forecast
    return {
        "id": stored.id,
        "made_at": found.made_at,
        "made_for": stored.made_for,
        "contacts": found.contacts,
        "past_calls": found.past_calls,
        "finish_at": None
        if found.finish_at is None
        else {"p10": found.finish_at.p10, "p50": found.finish_at.p50, "p90": found.finish_at.p90},
        "cost_cents": {"p10": found.cost_cents.p10, "p50": found.cost_cents.p50, "p90": found.cost_cents.p90},
        "calls": {"p10": found.calls.p10, "p50": found.calls.p50, "p90": found.calls.p90},
        "budget_sentence": found.budget_sentence,
        "spent_cents": stored.spent_cents,
        "finished_at": stored.finished_at,
        "actual_cost_cents": stored.actual_cost_cents,
        "actual_calls": stored.actual_calls,
        "late_by_s": None if stored.late_by is None else stored.late_by.total_seconds(),
        "costlier_by_cents": stored.costlier_by_cents,
        "is_within": stored.is_within,
        "not_compared": stored.not_compared,
    }


def _range(p10: float, p50: float, p90: float) -> str:
    return f"${p50 / 100:,.2f} (${p10 / 100:,.2f} to ${p90 / 100:,.2f})"
