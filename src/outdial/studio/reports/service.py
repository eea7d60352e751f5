"""What calls came to: over time and by outcome for a campaign, by day and by campaign for an organization."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as midnight
from decimal import Decimal
from typing import Annotated, Final, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from pydantic import BaseModel

from outdial.clock import Clock
from outdial.db.queries import reports
from outdial.db.session import Connection
from outdial.domain.calling_hours import is_zone_name
from outdial.studio.view.badges import badge_for_outcome, humanize
from outdial.studio.view.charts import Chart, ChartSeries, row_bars, stacked_bars
from outdial.studio.view.decisions import REACHED
from outdial.studio.web.errors import InvalidInput

LONGEST: Final = timedelta(days=366)
DEFAULT_DAYS: Final = 30
MOST_CAMPAIGNS: Final = 100
_MOST_BUCKETS: Final = 30
_MOST_DAYS: Final = 45
# What a person reads easily; a span of calls gets the first that needs few enough bars.
_WIDTHS: Final = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 3 * 60, 6 * 60, 12 * 60, 24 * 60, 7 * 24 * 60)
)
# From what was reached to what went wrong, so that each stack has the same order.
_KINDS: Final = {
    "reached": ChartSeries("good", "Answered"),
    "machine": ChartSeries("info", "Machine"),
    "missed": ChartSeries("warn", "Not answered"),
    "wrong": ChartSeries("bad", "Failed or unclear"),
    "open": ChartSeries("neutral", "No outcome yet"),
}
_MACHINES: Final = frozenset({"voicemail", "ivr"})
_MISSED: Final = frozenset({"no_answer", "busy", "declined"})


class ChartBucket(BaseModel):
    """The calls that began in one stretch of time, by outcome; an empty outcome is not known yet."""

    starts_at: datetime
    outcomes: dict[str, int]


class CampaignCharts(BaseModel):
    """The calls of a campaign over time, in stretches of `width_s` seconds, and all of them by outcome."""

    width_s: int
    buckets: list[ChartBucket]
    outcomes: dict[str, int]


class CallTotals(BaseModel):
    """Calls made, those with an outcome, and those in which somebody was reached; what they took and cost."""

    calls: int
    finished: int
    reached: int
    answered_rate: float | None
    talk_ms: int
    cost_cents: float


class DayTotals(CallTotals):
    """The figures of one local day."""

    day: date


class CampaignTotals(CallTotals):
    """The figures of one campaign."""

    campaign_id: UUID
    name: str
    status: str


class OrganizationReport(BaseModel):
    """What the calls of an organization came to, from the day `since` to the day `until`, both included."""

    since: date
    until: date
    zone: str
    total: CallTotals
    days: list[DayTotals]
    campaigns: list[CampaignTotals]


@dataclass(frozen=True, slots=True)
class ReportPeriod:
    """The local days that a report is about, both included."""

    since: date | None = None
    until: date | None = None
    zone: str = "UTC"


def report_period(
    since: Annotated[date | None, Query(description="The first day; 30 days ago without one")] = None,
    until: Annotated[date | None, Query(description="The last day; today without one")] = None,
    zone: Annotated[str, Query(max_length=60, description="Whose days: an IANA zone such as America/New_York")] = "UTC",
) -> ReportPeriod:
    """Read what a report is about; raises InvalidInput."""
    if not is_zone_name(zone):
        raise InvalidInput("This time zone is not known", {"zone": "use a name such as America/New_York"})
    for field, day in (("since", since), ("until", until)):
        if day is not None and not 1970 <= day.year < 9999:
            raise InvalidInput("There are no calls at that time", {field: "from 1970 on"})
    return ReportPeriod(since, until, zone)


ReportQuery = Annotated[ReportPeriod, Depends(report_period)]


async def campaign_charts(connection: Connection, campaign_id: UUID, now: datetime) -> CampaignCharts:
    """Count the calls of a campaign over time, in stretches of a width that fits the span up to its last call."""
    span = await reports.call_span(connection, campaign_id=campaign_id)
    if span is None:
        return CampaignCharts(width_s=int(_WIDTHS[0].total_seconds()), buckets=[], outcomes={})
    width = width_for(span.last_at - span.first_at)
    origin = _floor(span.first_at, width)
    rows = await reports.call_buckets(connection, width=width, origin=origin, campaign_id=campaign_id)
    buckets: dict[datetime, dict[str, int]] = {}
    start = origin
    while start <= min(span.last_at, max(now, span.first_at)):
        buckets[start] = {}
        start += width
    outcomes: dict[str, int] = {}
    for row in rows:
        buckets.setdefault(row.starts_at, {})[row.outcome] = row.calls
        outcomes[row.outcome] = outcomes.get(row.outcome, 0) + row.calls
    return CampaignCharts(
        width_s=int(width.total_seconds()),
        buckets=[ChartBucket(starts_at=starts_at, outcomes=parts) for starts_at, parts in sorted(buckets.items())],
        outcomes=outcomes,
    )


def width_for(span: timedelta) -> timedelta:
    """Return how much time a bar stands for, so that few enough of them cover the span."""
    return next((width for width in _WIDTHS if span < width * (_MOST_BUCKETS - 1)), _floor_days(span))


def _floor_days(span: timedelta) -> timedelta:
    return timedelta(days=7 * (span // (timedelta(days=7) * (_MOST_BUCKETS - 1)) + 1))


def _floor(moment: datetime, width: timedelta) -> datetime:
    # A Monday, so that weeks begin as weeks do.
    epoch = datetime(2024, 1, 1, tzinfo=UTC)
    return epoch + (moment - epoch) // width * width


@dataclass(frozen=True, slots=True)
class RenderedCharts:
    """What `reports/campaign_charts.html` shows, as `charts`."""

    calls: int
    over_time: Chart
    outcomes: Chart


def render_charts(charts: CampaignCharts) -> RenderedCharts:
    """Draw the calls over time and the outcomes of a campaign."""
    width = timedelta(seconds=charts.width_s)
    columns = [(_moment_text(bucket.starts_at, width), kinds_of(bucket.outcomes)) for bucket in charts.buckets]
    over_time = stacked_bars(f"Calls per {_width_text(width)}, UTC", columns, _KINDS, first_head="From")
    ordered = sorted(charts.outcomes.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        (humanize(outcome), badge_for_outcome(outcome).tone, calls) if outcome else ("No outcome yet", "neutral", calls)
        for outcome, calls in ordered
    ]
    outcomes = row_bars("Outcomes of all calls", rows, first_head="Outcome")
    return RenderedCharts(sum(charts.outcomes.values()), over_time, outcomes)


def kinds_of(outcomes: dict[str, int]) -> dict[str, int]:
    """Return how many calls are of each kind that a chart tells apart."""
    kinds: dict[str, int] = {}
    for outcome, calls in outcomes.items():
        kind = _kind(outcome)
        kinds[kind] = kinds.get(kind, 0) + calls
    return kinds


def _kind(outcome: str) -> str:
    if not outcome:
        return "open"
    if outcome in REACHED:
        return "reached"
    if outcome in _MACHINES:
        return "machine"
    return "missed" if outcome in _MISSED else "wrong"


def _moment_text(moment: datetime, width: timedelta) -> str:
    return f"{moment:%d %b}" if width >= timedelta(days=1) else f"{moment:%d %b %H:%M}"


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


async def organization_report(
    connection: Connection, organization_id: UUID, span: ReportPeriod, clock: Clock
) -> OrganizationReport:
    """Return what the calls of an organization came to, by local day and by campaign; raises InvalidInput."""
    since, until = _days(span, clock.now())
    zone, length = ZoneInfo(span.zone), (until - since).days + 1
    # Python's midnights: Postgres may know another edition of the time zones.
    starts = [datetime.combine(since + timedelta(days=n), midnight(), zone) for n in range(length + 1)]
    filters: _ReportFilters = {
        "organization_id": organization_id,
        "since": starts[0],
        "until": starts[-1],
        "reached": REACHED,
    }
    days = await reports.report_by_day(connection, starts=starts[:-1], **filters)
    campaigns = await reports.report_by_campaign(connection, limit=MOST_CAMPAIGNS, **filters)
    return OrganizationReport(
        since=since,
        until=until,
        zone=span.zone,
        total=_total(days),
        days=[
            DayTotals(
                day=since + timedelta(days=row.day - 1),
                **_figures(row.calls, row.finished, row.reached, row.talk_ms, row.cost_cents).model_dump(),
            )
            for row in days
        ],
        campaigns=[
            CampaignTotals(
                campaign_id=row.campaign_id,
                name=row.name,
                status=row.status,
                **_figures(row.calls, row.finished, row.reached, row.talk_ms, row.cost_cents).model_dump(),
            )
            for row in campaigns
        ],
    )


def _days(span: ReportPeriod, now: datetime) -> tuple[date, date]:
    until = span.until or now.astimezone(ZoneInfo(span.zone)).date()
    since = span.since or until - timedelta(days=DEFAULT_DAYS - 1)
    if since > until:
        raise InvalidInput("The first day is after the last one", {"since": "must not be after the last day"})
    if until - since >= LONGEST:
        raise InvalidInput("A report covers a year at the most", {"since": f"at most {LONGEST.days} days"})
    return since, until


def _total(days: Sequence[reports.DayReport]) -> CallTotals:
    return _figures(
        sum(day.calls for day in days),
        sum(day.finished for day in days),
        sum(day.reached for day in days),
        sum(day.talk_ms for day in days),
        sum((day.cost_cents for day in days), Decimal()),
    )


def _figures(calls: int, finished: int, reached: int, talk_ms: int, cost_cents: Decimal) -> CallTotals:
    return CallTotals(
        calls=calls,
        finished=finished,
        reached=reached,
        answered_rate=reached / finished if finished else None,
        talk_ms=talk_ms,
        cost_cents=float(cost_cents),
    )


def report_chart(report: OrganizationReport) -> Chart:
    """Draw the calls of each day of a report, or of each week of a long one, those without calls too."""
    by_day = {day.day: day for day in report.days}
    step = 1 if (report.until - report.since).days < _MOST_DAYS else 7
    columns = []
    first = report.since
    while first <= report.until:
        days = [by_day[day] for n in range(step) if (day := first + timedelta(days=n)) in by_day]
        columns.append((f"{first:%d %b}", _parts(days)))
        first += timedelta(days=step)
    series = {
        "reached": ChartSeries("good", "Answered"),
        "finished": ChartSeries("warn", "Not answered"),
        "open": ChartSeries("neutral", "No outcome yet"),
    }
    name = "Calls per day" if step == 1 else "Calls per week"
    return stacked_bars(name, columns, series, first_head="Day" if step == 1 else "Week from")


def _parts(days: Sequence[DayTotals]) -> dict[str, int]:
    calls, finished, reached = (sum(getattr(day, name) for day in days) for name in ("calls", "finished", "reached"))
    return {"reached": reached, "finished": finished - reached, "open": calls - finished}
