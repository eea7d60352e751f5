"""The tables of an end report as rows of one file."""

from collections.abc import Iterator
from typing import Final

from outdial.campaigns.results.report import CallFigures, EndReport

HEADER: Final = ("table", "row", "contacts", "calls", "finished", "reached", "successful", "cost_cents")
ReportCell = str | int | float | None


def report_rows(report: EndReport) -> Iterator[tuple[ReportCell, ...]]:
    """Return the rows below HEADER. A cell is empty where a table does not count it."""
    parts = {
        "all": report.contacts,
        "reached": report.reached,
        "completed by members": report.completed_by_members,
        "open": report.open,
    }
    for name, count in parts.items():
        yield "contacts", name, count, None, None, None, None, None
    for missed in report.not_reached:
        yield "not reached", missed.outcome or "unknown", missed.contacts, None, None, None, None, None
    for group in report.uncalled:
        yield group.status, group.reason, group.contacts, None, None, None, None, None
    finished = sum(attempt.finished for attempt in report.attempts)
    yield (
        "calls", "all", None, report.calls, finished, report.conversations, report.successful, report.cost_cents
    )  # fmt: skip
    for outcome in report.outcomes:
        yield "outcomes", outcome.outcome, None, outcome.calls, None, None, None, None
    for attempt in report.attempts:
        yield "attempts", str(attempt.attempt), *_cells(attempt)
    for hour in report.hours:
        yield "hours", f"attempt {hour.attempt}, {hour.hour:02}:00", *_cells(hour)
    for number in report.numbers:
        yield "numbers", number.number, *_cells(number)
    for field in report.fields:
        for value in field.values:
            yield f"analysis.{field.field}", value.value, None, value.calls, None, None, None, None


def _cells(figures: CallFigures) -> tuple[ReportCell, ...]:
    return (None, figures.calls, figures.finished, figures.reached, figures.successful, figures.cost_cents)
