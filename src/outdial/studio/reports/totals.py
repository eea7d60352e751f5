"""The totals of calls in a period, and how they differ from the period before."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from outdial.db.queries import reports
from outdial.db.queries.results import analytics
from outdial.db.session import Connection
from outdial.studio.view.decisions import REACHED
from outdial.studio.view.format import clock, day_text, duration, money, number, percent

_MOST_PERCENT: Final = 999
"""A larger change is shown without its share: that of a few calls is a huge number that says nothing."""


class CallTotals(BaseModel):
    """Call totals: all calls, those with an outcome (finished), talk time and cost.

    `answered` counts those that reached a person, and `answer_rate` is their share of the finished ones. `refused`
    counts calls that the provider refused to place. Calls that are none of these are in progress.
    """

    calls: int
    finished: int
    refused: int
    answered: int
    answer_rate: float | None
    talk_ms: int
    cost_cents: float


class PreviousTotals(CallTotals):
    """The totals of the period of the same length before, from `since` to `until`, both inclusive.

    When the period contains today, the one before ends at the same time of day, so that the two can be compared.
    `ends_at` is its exclusive end. `calls_by_day` are the calls of each of its days.
    """

    since: date
    until: date
    ends_at: datetime
    calls_by_day: list[int]


def call_totals(rows: Sequence[reports.DayReport | reports.CampaignReport | analytics.CallGroup]) -> CallTotals:
    """Return the totals of rows together."""
    finished = sum(row.finished for row in rows)
    reached = sum(row.reached for row in rows)
    return CallTotals(
        calls=sum(row.calls for row in rows),
        finished=finished,
        refused=sum(row.refused for row in rows),
        answered=reached,
        answer_rate=reached / finished if finished else None,
        talk_ms=sum(row.talk_ms for row in rows),
        cost_cents=float(sum((row.cost_cents for row in rows), Decimal())),
    )


async def previous_totals(
    connection: Connection,
    organization_id: UUID,
    starts: Sequence[datetime],
    now: datetime,
    campaign_id: UUID | None = None,
) -> PreviousTotals:
    """Return the totals of the period before the one whose days begin at `starts`; the last one is its end.

    `starts` are local times of one zone. Their arithmetic is that of the clock on the wall, so that days of 23 and 25
    hours count as days.
    """
    first, last = starts[0], starts[-1]
    length = timedelta(days=len(starts) - 1)
    start = first - length
    end = max(start, min(last, now.astimezone(first.tzinfo)) - length)
    rows = await reports.report_by_day(
        connection,
        starts=[each - length for each in starts[:-1]],
        organization_id=organization_id,
        campaign_id=campaign_id,
        since=start,
        until=end,
        reached=REACHED,
    )
    by_day = {row.day: row.calls for row in rows}
    return PreviousTotals(
        calls_by_day=[by_day.get(number, 0) for number in range(1, len(starts))],
        since=start.date(),
        until=first.date() - timedelta(days=1),
        ends_at=end,
        **call_totals(rows).model_dump(),
    )


def compared_figures(total: CallTotals, previous: PreviousTotals) -> dict[str, str]:
    """Return how each key figure differs from the period before, in words, by field."""
    if not previous.calls:
        return {"calls": "None before" if total.calls else "", "answer_rate": "", "talk_ms": "", "cost_cents": ""}
    return {
        "calls": _change(total.calls, previous.calls, number(previous.calls)),
        "answer_rate": _rate_change(total, previous),
        "talk_ms": _change(total.talk_ms, previous.talk_ms, duration(previous.talk_ms)),
        "cost_cents": _change(total.cost_cents, previous.cost_cents, money(previous.cost_cents)),
    }


def compared_with(starts_on: date, previous: PreviousTotals) -> str:
    """Return which period the figures of one that starts on a day are compared with."""
    days = (starts_on - previous.since).days
    span = day_text(previous.since) if days == 1 else f"{day_text(previous.since)} to {day_text(previous.until)}"
    is_whole = previous.ends_at.date() > previous.until
    length = "day" if days == 1 else f"{days} days"
    return f"Changes are from the {length} before, {span}{'' if is_whole else f', up to {_end_text(previous)}'}."


def _end_text(previous: PreviousTotals) -> str:
    time = clock(previous.ends_at)
    ended_on = previous.ends_at.date()
    return time if ended_on == previous.until else f"{day_text(ended_on)} at {time}"


def _change(value: float, before: float, before_text: str) -> str:
    if not before:
        return "None before" if value else ""
    if value == before:
        return f"Same as before, {before_text}"
    direction = "Up" if value > before else "Down"
    difference = abs(value - before)
    share = "" if difference / before * 100 > _MOST_PERCENT else f" {_in_words(percent(difference, before))}"
    return f"{direction}{share} from {before_text}"


def _rate_change(total: CallTotals, previous: PreviousTotals) -> str:
    if total.answer_rate is None or previous.answer_rate is None:
        return ""
    now, before = percent(total.answered, total.finished), percent(previous.answered, previous.finished)
    if now == before:
        return f"Same as before, {_in_words(before)}"
    direction = "Up" if total.answer_rate > previous.answer_rate else "Down"
    points = abs(round(100 * total.answer_rate) - round(100 * previous.answer_rate))
    if not points or not (now + before).replace("%", "").isdecimal():
        # Of rates near 0% and 100%, the difference of the rounded ones says nothing.
        return f"{direction} from {_in_words(before)}"
    return f"{direction} {points} {'point' if points == 1 else 'points'} from {before}"


def _in_words(share: str) -> str:
    return share.replace("<", "less than ").replace(">", "more than ")
