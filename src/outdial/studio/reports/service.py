"""Call statistics: over time and by outcome per campaign, by day and by campaign per organization."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as midnight
from itertools import count, takewhile
from typing import Annotated, Final, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from pydantic import BaseModel

from outdial.clock import Clock
from outdial.db.queries import reports
from outdial.db.session import Connection
from outdial.studio.reports.totals import CallTotals, PreviousTotals, call_totals, previous_totals
from outdial.studio.view.call_labels import CALL_LABELS
from outdial.studio.view.charts import Chart, ChartSeries, rate, stacked_bars
from outdial.studio.view.decisions import REACHED
from outdial.studio.view.format import clock, day_text, hour_text
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import check_day, check_zone

ZoneName = Annotated[str, Query(max_length=60, description="IANA time zone, such as America/New_York")]
MAX_PERIOD: Final = timedelta(days=366)
DEFAULT_DAYS: Final = 30
MAX_CAMPAIGNS: Final = 100
_MAX_BUCKETS: Final = 30
_MAX_DAILY_BARS: Final = 45
# Readable bar widths; a chart uses the first that needs few enough bars.
_BUCKET_WIDTHS: Final = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 3 * 60, 6 * 60, 12 * 60, 24 * 60, 7 * 24 * 60)
)
# From reached to failed, so that every stack has the same order.
_SERIES: Final = {
    "reached": ChartSeries("good", CALL_LABELS["answered"]),
    "machine": ChartSeries("machine", "Machine"),
    "missed": ChartSeries("neutral", "Not answered"),
    "wrong": ChartSeries("bad", "Failed or unclear"),
    "refused": ChartSeries("neutral", "Not placed"),
    "open": ChartSeries("live", "In progress"),
}
# A Monday, so that weekly buckets start on Mondays.
_EPOCH: Final = date(2024, 1, 1)
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MACHINES: Final = frozenset({"voicemail", "ivr"})
_MISSED: Final = frozenset({"no_answer", "busy", "declined"})


class ChartBucket(BaseModel):
    """The calls of one time bucket by outcome.

    The empty outcome counts calls in progress. Calls that ended without an outcome count under their status, such as
    `refused`.
    """

    starts_at: datetime
    outcomes: dict[str, int]


class CampaignCharts(BaseModel):
    """The calls of a campaign in time buckets of `width_s` seconds, and in total by outcome.

    Buckets of a day and more begin at midnight in `zone`.
    """

    width_s: int
    zone: str
    buckets: list[ChartBucket]
    outcomes: dict[str, int]


class DayTotals(CallTotals):
    """The totals of one local day."""

    day: date


class CampaignTotals(CallTotals):
    """The totals of one campaign."""

    campaign_id: UUID
    name: str
    status: str


class OrganizationReport(BaseModel):
    """The call totals of an organization from `since` to `until`, both inclusive, as days in `zone`.

    `previous` are those of the period of the same length before.
    """

    since: date
    until: date
    zone: str
    total: CallTotals
    previous: PreviousTotals
    days: list[DayTotals]
    campaigns: list[CampaignTotals]


@dataclass(frozen=True, slots=True)
class ReportPeriod:
    """The local days of a report, both inclusive."""

    since: date | None = None
    until: date | None = None
    zone: str = "UTC"


def report_zone(zone: ZoneName = "UTC") -> ZoneInfo:
    """Return the time zone of a request; raises InvalidInput for an unknown name."""
    return check_zone("zone", zone)


def report_period(
    since: Annotated[date | None, Query(description="First day. Default: 30 days ago")] = None,
    until: Annotated[date | None, Query(description="Last day. Default: today")] = None,
    zone: ZoneName = "UTC",
) -> ReportPeriod:
    """Return the period of a request; raises InvalidInput."""
    report_zone(zone)
    check_day("since", since)
    check_day("until", until)
    return ReportPeriod(since, until, zone)


ReportQuery = Annotated[ReportPeriod, Depends(report_period)]
ZoneQuery = Annotated[ZoneInfo, Depends(report_zone)]


async def campaign_charts(connection: Connection, campaign_id: UUID, zone: ZoneInfo) -> CampaignCharts:
    """Count the calls of a campaign over time, in buckets whose width fits the span from first to last call."""
    span = await reports.call_span(connection, campaign_id=campaign_id)
    if span is None:
        width_s = int(_BUCKET_WIDTHS[0].total_seconds())
        return CampaignCharts(width_s=width_s, zone=zone.key, buckets=[], outcomes={})
    width = width_for(span.last_at - span.first_at)
    starts = bucket_starts(span.first_at, span.last_at, width, zone)
    buckets: list[dict[str, int]] = [{} for _ in starts]
    outcomes: dict[str, int] = {}
    for row in await reports.call_buckets(connection, starts=starts, campaign_id=campaign_id):
        # Number 0 would lie before the first call.
        buckets[max(0, row.bucket - 1)][row.outcome] = row.calls
        outcomes[row.outcome] = outcomes.get(row.outcome, 0) + row.calls
    return CampaignCharts(
        width_s=int(width.total_seconds()),
        zone=zone.key,
        buckets=[
            ChartBucket(starts_at=starts_at, outcomes=parts) for starts_at, parts in zip(starts, buckets, strict=True)
        ],
        outcomes=outcomes,
    )


def bucket_starts(first: datetime, last: datetime, width: timedelta, zone: ZoneInfo) -> list[datetime]:
    """Return the starts of the buckets of `width` from the first to the last call, aligned to local days."""
    day = first.astimezone(zone).date()
    if width >= _DAY:
        day -= (day - _EPOCH) % width
        # Days of 23 or 25 hours begin at midnight too.
        step = iter(datetime.combine(day + n * width, midnight(), zone).astimezone(UTC) for n in count())
    else:
        start = datetime.combine(day, midnight(), zone).astimezone(UTC)
        start += (first - start) // width * width
        step = iter(start + n * width for n in count())
    return list(takewhile(lambda starts_at: starts_at <= last, step))


def width_for(span: timedelta) -> timedelta:
    """Return the bucket width that covers the span with few enough bars."""
    return next(
        (width for width in _BUCKET_WIDTHS if span < width * (_MAX_BUCKETS - 1)),
        timedelta(days=7 * (span // (timedelta(days=7) * (_MAX_BUCKETS - 1)) + 1)),
    )


def calls_over_time(charts: CampaignCharts) -> Chart | None:
    """Render the calls of a campaign over time with their answer rate; None without calls."""
    if not charts.buckets:
        return None
    width = timedelta(seconds=charts.width_s)
    starts = [bucket.starts_at.astimezone(ZoneInfo(charts.zone)) for bucket in charts.buckets]
    is_one_day = len({start.date() for start in starts}) == 1
    columns, rates = [], []
    for start, bucket in zip(starts, charts.buckets, strict=True):
        if width >= _DAY:
            name = day_text(start)
        else:
            time = hour_text(f"{start:%H}") if width >= _HOUR else clock(start)
            name = time if is_one_day else f"{day_text(start)}, {time}"
        grouped = group_by_series(bucket.outcomes)
        columns.append((name, grouped))
        finished = sum(calls for series, calls in grouped.items() if series not in ("open", "refused"))
        rates.append(rate(grouped.get("reached", 0), finished))
    title = f"Calls per {_width_text(width)}"
    label = CALL_LABELS["answer_rate"]
    return stacked_bars(title, columns, _SERIES, first_head="From", rates=rates, rate_label=label)


def group_by_series(outcomes: dict[str, int]) -> dict[str, int]:
    """Group call counts by outcome into the series of a chart."""
    counts: dict[str, int] = {}
    for outcome, calls in outcomes.items():
        if not outcome:
            series = "open"
        elif outcome == "refused":
            series = outcome
        elif outcome in REACHED:
            series = "reached"
        elif outcome in _MACHINES:
            series = "machine"
        else:
            series = "missed" if outcome in _MISSED else "wrong"
        counts[series] = counts.get(series, 0) + calls
    return counts


def _width_text(width: timedelta) -> str:
    if width >= timedelta(days=7):
        weeks = width // timedelta(days=7)
        return "week" if weeks == 1 else f"{weeks} weeks"
    if width == timedelta(days=1):
        return "day"
    minutes = width // timedelta(minutes=1)
    if minutes < 60:
        return "minute" if minutes == 1 else f"{minutes} minutes"
    return "hour" if minutes == 60 else f"{minutes // 60} hours"


class _ReportFilters(TypedDict):
    organization_id: UUID
    since: datetime
    until: datetime
    reached: Sequence[str]


@dataclass(frozen=True, slots=True)
class ResolvedPeriod:
    """The first and the last day of a report, and the midnights of its days and of the day after, in its zone."""

    since: date
    until: date
    starts: Sequence[datetime]


def resolve_period(period: ReportPeriod, clock: Clock) -> ResolvedPeriod:
    """Return the days of a report; raises InvalidInput."""
    zone = ZoneInfo(period.zone)
    until = period.until or clock.now().astimezone(zone).date()
    since = period.since or until - timedelta(days=DEFAULT_DAYS - 1)
    if since > until:
        raise InvalidInput("The first day is after the last day", {"since": "must not be after the last day"})
    if until - since >= MAX_PERIOD:
        raise InvalidInput("A report covers at most one year", {"since": f"at most {MAX_PERIOD.days} days"})
    length = (until - since).days + 1
    # Midnights are computed here: Postgres may have another version of the time zone database.
    starts = [datetime.combine(since + timedelta(days=n), midnight(), zone) for n in range(length + 1)]
    return ResolvedPeriod(since, until, starts)


async def organization_report(
    connection: Connection, organization_id: UUID, period: ReportPeriod, clock: Clock
) -> OrganizationReport:
    """Return the call totals of an organization by local day and by campaign; raises InvalidInput."""
    found = resolve_period(period, clock)
    since, until, starts = found.since, found.until, found.starts
    filters: _ReportFilters = {
        "organization_id": organization_id,
        "since": starts[0],
        "until": starts[-1],
        "reached": REACHED,
    }
    days = await reports.report_by_day(connection, starts=starts[:-1], campaign_id=None, **filters)
    campaigns = await reports.report_by_campaign(connection, limit=MAX_CAMPAIGNS, **filters)
    previous = await previous_totals(connection, organization_id, starts, clock.now())
    return OrganizationReport(
        since=since,
        until=until,
        zone=period.zone,
        total=call_totals(days),
        previous=previous,
        days=[DayTotals(day=since + timedelta(days=row.day - 1), **call_totals([row]).model_dump()) for row in days],
        campaigns=[
            CampaignTotals(
                campaign_id=row.campaign_id, name=row.name, status=row.status, **call_totals([row]).model_dump()
            )
            for row in campaigns
        ],
    )


def report_chart(report: OrganizationReport) -> Chart:
    """Render a report as a bar per day, or per week for a long period."""
    by_day = {day.day: day for day in report.days}
    step = 1 if (report.until - report.since).days < _MAX_DAILY_BARS else 7
    columns, rates, before = [], list[float | None](), list[int]()
    first = report.since
    while first <= report.until:
        days = [by_day[day] for n in range(step) if (day := first + timedelta(days=n)) in by_day]
        finished = sum(day.finished for day in days)
        reached = sum(day.answered for day in days)
        refused = sum(day.refused for day in days)
        live = sum(day.calls for day in days) - finished - refused
        columns.append(
            (day_text(first), {"reached": reached, "finished": finished - reached, "refused": refused, "open": live})
        )
        rates.append(rate(reached, finished))
        place = (first - report.since).days
        before.append(sum(report.previous.calls_by_day[place : place + step]))
        first += timedelta(days=step)
    series = {
        "reached": ChartSeries("good", CALL_LABELS["answered"]),
        "finished": ChartSeries("neutral", "Not answered"),
        "refused": _SERIES["refused"],
        "open": _SERIES["open"],
    }
    name = "Calls per day" if step == 1 else "Calls per week"
    first_head = "Day" if step == 1 else "Week starting"
    label = CALL_LABELS["answer_rate"]
    return stacked_bars(
        name,
        columns,
        series,
        first_head=first_head,
        rates=rates,
        rate_label=label,
        before=before if any(before) else None,
        before_label="Period before",
    )
