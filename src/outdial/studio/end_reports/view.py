"""The charts and tables of an end report."""

from dataclasses import dataclass
from datetime import timedelta

from outdial.campaigns.results.report import EndReport
from outdial.studio.view.badges import badge_for_outcome
from outdial.studio.view.charts import Chart, RatedCalls, heat_map, row_bars
from outdial.studio.view.format import duration, hour_text, money, number


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """What was forecast, its range, and what happened: all but times, which the page shows in its zone."""

    label: str
    forecast: str
    between: str
    actual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedReport:
    """The variable `rendered` of the report's pages."""

    not_reached: Chart
    outcomes: Chart
    hours: Chart | None
    forecast: list[ForecastLine]
    texts: list[str]
    took: str | None


def render_report(report: EndReport) -> RenderedReport:
    """Lay out the charts of a report."""
    missed = [
        (
            badge_for_outcome(row.outcome or "unknown").label,
            badge_for_outcome(row.outcome or "unknown").tone,
            row.contacts,
        )
        for row in report.not_reached
    ]
    outcomes = [
        (badge_for_outcome(row.outcome).label, badge_for_outcome(row.outcome).tone, row.calls)
        for row in report.outcomes
    ]
    cells = [
        RatedCalls(row=hour_text(f"{row.hour:02}"), column=str(row.attempt), calls=row.finished, answered=row.reached)
        for row in sorted(report.hours, key=lambda row: (row.hour, row.attempt))
        if row.finished
    ]
    hours = heat_map("Answer rate by hour and attempt", cells, corner="Hour", axis="attempt") if cells else None
    took = None
    if report.started_at is not None and report.finished_at is not None:
        took = duration((report.finished_at - report.started_at) / timedelta(milliseconds=1))
    return RenderedReport(
        not_reached=row_bars("Why not reached", missed, first_head="Last outcome"),
        outcomes=row_bars("Calls by outcome", outcomes, first_head="Outcome"),
        hours=hours,
        forecast=_forecast(report),
        texts=[field.field for field in report.fields if field.is_text],
        took=took,
    )


def _forecast(report: EndReport) -> list[ForecastLine]:
    forecast = report.forecast
    if forecast is None:
        return []
    calls = f"{number(forecast.calls_p10)} to {number(forecast.calls_p90)}"
    cost = f"{money(forecast.cost_cents_p10)} to {money(forecast.cost_cents_p90)}"
    return [
        ForecastLine("Calls", number(forecast.calls_p50), calls, number(report.calls)),
        ForecastLine("Cost", money(forecast.cost_cents_p50), cost, money(report.cost_cents)),
    ]
