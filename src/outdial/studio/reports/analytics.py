"""Analytics of calls by caller number, agent, hour, attempt and list, and what the analysis of the calls says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from outdial.clock import Clock
from outdial.db.queries.results import analytics
from outdial.db.session import Connection
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.reports.service import ReportPeriod, resolve_period
from outdial.studio.reports.totals import CallTotals, PreviousTotals, call_totals, previous_totals
from outdial.studio.view.call_labels import CALL_LABELS
from outdial.studio.view.charts import Chart, ChartSeries, rate, row_bars, stacked_bars
from outdial.studio.view.decisions import REACHED
from outdial.studio.view.format import hour_text
from outdial.studio.view.phones import phone_text

CampaignQuery = Annotated[UUID | None, Query(description="Filter by campaign")]
MAX_VALUES: Final = 100
_BARS_SHOWN: Final = 12
_SERIES: Final = {
    "reached": ChartSeries("good", CALL_LABELS["answered"]),
    "finished": ChartSeries("neutral", "Not answered"),
}
_SUCCESS: Final = {"true": "Successful", "false": "Not successful"}
_TITLES: Final = {
    "caller_numbers": "Caller number",
    "agents": "Agent",
    "hours": "Hour of the contact's day",
    "attempts": "Attempt",
    "lists": "List",
    "sentiments": "Sentiment",
    "successes": "Success",
}
_WITHOUT: Final = {
    "lists": "Added without a file",
    "sentiments": "Not analyzed",
    "successes": "Not analyzed",
}
_COUNTED: Final = frozenset({"sentiments", "successes"})
"""Dimensions that say how answered calls went: all their calls are counted, because few others have a value."""
_ORDERED: Final = frozenset({"hours", "attempts"})


class CallGroupTotals(CallTotals):
    """The calls with one value, such as one caller number. `value` is null for calls that have none.

    `label` is the value in words: a list has the name of its file.
    """

    value: str | None
    label: str
    cost_per_answer_cents: Annotated[
        float | None, Field(description="Cost of all these calls, divided by the answered ones")
    ]


class CallAnalytics(BaseModel):
    """Calls that were placed from `since` to `until`, both inclusive, as days in `zone`, by several dimensions.

    Hours are those on the contact's clock. A list is the import that added the contact, and its value the import's id.
    Each dimension has its 100 values with the most calls. `previous` are the totals of the period of the same length
    before.
    """

    since: date
    until: date
    zone: str
    campaign_id: UUID | None
    total: CallTotals
    previous: PreviousTotals
    caller_numbers: list[CallGroupTotals]
    agents: list[CallGroupTotals]
    hours: list[CallGroupTotals]
    attempts: list[CallGroupTotals]
    lists: list[CallGroupTotals]
    sentiments: list[CallGroupTotals]
    successes: list[CallGroupTotals]


async def call_analytics(
    connection: Connection, organization_id: UUID, period: ReportPeriod, campaign_id: UUID | None, clock: Clock
) -> CallAnalytics:
    """Count the calls of an organization, or of a campaign; raises InvalidInput and ResourceNotFound."""
    found = resolve_period(period, clock)
    if campaign_id is not None:
        await find_campaign(connection, organization_id, campaign_id)
    rows = await analytics.analyze_calls(
        connection,
        organization_id=organization_id,
        campaign_id=campaign_id,
        since=found.starts[0],
        until=found.starts[-1],
        reached=REACHED,
    )
    previous = await previous_totals(connection, organization_id, found.starts, clock.now(), campaign_id)
    by_dimension: dict[str, list[analytics.CallGroup]] = {name: [] for name in (*_TITLES, "total")}
    for row in rows:
        by_dimension[row.dimension].append(row)
    groups = {name: _groups(name, by_dimension[name]) for name in _TITLES}
    return CallAnalytics(
        since=found.since,
        until=found.until,
        zone=period.zone,
        campaign_id=campaign_id,
        total=call_totals(by_dimension["total"]),
        previous=previous,
        **groups,
    )


def _groups(dimension: str, rows: Sequence[analytics.CallGroup]) -> list[CallGroupTotals]:
    shown = rows[:MAX_VALUES]
    if dimension in _ORDERED:
        shown = sorted(shown, key=lambda row: (row.value is None, int(row.value or 0)))
    return [
        CallGroupTotals(
            value=row.value,
            label=_label(dimension, row),
            cost_per_answer_cents=float(row.cost_cents) / row.reached if row.reached else None,
            **call_totals([row]).model_dump(),
        )
        for row in shown
    ]


def _label(dimension: str, row: analytics.CallGroup) -> str:
    if row.value is None:
        return _WITHOUT.get(dimension, "Unknown")
    if dimension == "hours":
        return f"{row.value}:00"
    if dimension == "successes":
        return _SUCCESS.get(row.value, row.value)
    return row.label or row.value


def _as_shown(dimension: str, group: CallGroupTotals) -> CallGroupTotals:
    """Return a group with the label of the page, where numbers and hours read as on other pages."""
    match dimension:
        case "caller_numbers":
            return group.model_copy(update={"label": phone_text(group.label)})
        case "hours" if group.value is not None:
            return group.model_copy(update={"label": hour_text(group.value)})
        case _:
            return group


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticsSection:
    """One dimension on the page: a chart, and the numbers behind it."""

    key: str
    title: str
    chart: Chart
    groups: Sequence[CallGroupTotals]


def analytics_sections(found: CallAnalytics) -> list[AnalyticsSection]:
    """Return the sections of the page. Dimensions with an order have a bar per value, others a row per value."""
    sections = []
    for key, title in _TITLES.items():
        groups = [_as_shown(key, group) for group in getattr(found, key)]
        if key in _ORDERED:
            columns = [
                (group.label, {"reached": group.answered, "finished": group.finished - group.answered})
                for group in groups
            ]
            chart: Chart = stacked_bars(
                f"Finished calls by {title.lower()}",
                columns,
                _SERIES,
                first_head=title,
                rates=[rate(group.answered, group.finished) for group in groups],
                rate_label=CALL_LABELS["answer_rate"],
            )
        else:
            counts_all = key in _COUNTED
            shown = groups[:_BARS_SHOWN]
            bars = [(group.label, "info", group.calls if counts_all else group.answered) for group in shown]
            chart = row_bars(
                f"{'Calls' if counts_all else 'Answered calls'} by {title.lower()}", bars, first_head=title
            )
        sections.append(AnalyticsSection(key=key, title=title, chart=chart, groups=groups))
    return sections
