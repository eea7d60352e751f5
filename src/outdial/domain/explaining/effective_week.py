"""The usual week of a place: what the calling rules leave of the hours of a campaign, in the contact's local time.

Pages and the API show it while hours are edited. Holidays and excluded dates are not part of a usual week.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from outdial.domain.calling_hours import CallingHours
from outdial.domain.geography.area_zones import zones_of_region
from outdial.domain.geography.countries import zones_of_country
from outdial.domain.geography.regions import REGION_OF_CODE, REGIONS, TERRITORIES
from outdial.domain.openings import MINUTES_OF_DAY, LocalSchedule, Window, Windows, intersect
from outdial.domain.place import UNKNOWN_STATE, Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import Block, CallingRule, RuleBook

_DAY: Final = timedelta(days=1)
US_STATES: Final = tuple(
    region.jurisdiction for region in REGIONS if region.country == "US" and region.code not in TERRITORIES
)
"""The fifty states and the District of Columbia."""

Week = tuple[Windows, ...]
"""The windows of each weekday, Monday first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveWeek:
    """The usual week of a place. `narrowing` are the rules that take hours away; `block` blocks all calls."""

    place: Place
    week: Week
    narrowing: tuple[CallingRule, ...]
    block: Block | None

    @property
    def is_closed(self) -> bool:
        """Whether no call can start in a usual week."""
        return self.block is not None or not any(self.week)


def effective_week(
    book: RuleBook, *, hours: CallingHours, place: Place, purpose: Purpose, monday: date
) -> EffectiveWeek:
    """Return what the rules in force in the week of `monday` leave of the hours, in the first zone."""
    window = book.window(hours, place, purpose)
    days = [monday + number * _DAY for number in range(7)]
    week = tuple(_common_windows(window.schedules, day) for day in days)
    return EffectiveWeek(
        place=place,
        week=week,
        narrowing=tuple(rule for rule in window.rules if _narrows(rule, hours=hours, days=days, week=week)),
        block=window.blocked_at(datetime.combine(monday, time(12), UTC)),
    )


def usual_place(jurisdiction: str) -> Place:
    """Return a place in one zone that stands for a state or a country. Its rules apply in each contact's local time."""
    country, _, region = jurisdiction.partition("-")
    zones = zones_of_region(region) if region in REGION_OF_CODE else zones_of_country(country)
    return Place(min(zones, default="UTC"), jurisdiction)


def places_with_rules(book: RuleBook) -> tuple[Place, ...]:
    """Return the states of the US, the unknown state, and each other country that has a rule, by code."""
    countries = {rule.country for rule in book.rules} - book.groups.keys() - {"US"}
    return tuple(usual_place(name) for name in (*US_STATES, UNKNOWN_STATE, *sorted(countries)))


def monday_of(day: date) -> date:
    """Return the Monday of the week of a date."""
    return day - day.weekday() * _DAY


def _narrows(rule: CallingRule, *, hours: CallingHours, days: Sequence[date], week: Week) -> bool:
    if rule.week is None:
        return False
    if rule.zone is not None and week != hours.week:
        # Its windows are in the time of another zone, so they cannot be compared with those of the campaign.
        return any(rule.in_force_on(day) for day in days)
    return any(
        rule.in_force_on(day) and intersect(usual, allowed) != usual
        for day, usual, allowed in zip(days, hours.week, rule.week, strict=True)
    )


def _common_windows(schedules: Sequence[LocalSchedule], day: date) -> Windows:
    # A day of the first zone may touch two dates of another one.
    if not schedules:
        return ()
    zone = schedules[0].zone
    begin, end = _moment(day, 0, zone), _moment(day + _DAY, 0, zone)
    common = [(begin, end)]
    for schedule in schedules:
        common = _intersect_spans(common, _open_spans(schedule, begin, end))
    windows = (Window(*minutes) for span in common if (minutes := _local_minutes(span, zone, day)) is not None)
    return _merged(windows)


def _open_spans(schedule: LocalSchedule, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    day, last = begin.astimezone(schedule.zone).date(), end.astimezone(schedule.zone).date()
    spans = []
    while day <= last:
        for window in schedule.hours.usual_windows(day):
            spans.append(
                (_moment(day, window.start_minute, schedule.zone), _moment(day, window.end_minute, schedule.zone))
            )
        day += _DAY
    return spans


def _intersect_spans(
    left: Iterable[tuple[datetime, datetime]], right: Sequence[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    return [
        (max(begin, start), min(end, stop))
        for begin, end in left
        for start, stop in right
        if max(begin, start) < min(end, stop)
    ]


def _moment(day: date, minute: int, zone: ZoneInfo) -> datetime:
    if minute == MINUTES_OF_DAY:
        return _moment(day + _DAY, 0, zone)
    return datetime.combine(day, time(*divmod(minute, 60)), zone).astimezone(UTC)


def _local_minutes(span: tuple[datetime, datetime], zone: ZoneInfo, day: date) -> tuple[int, int] | None:
    start, stop = (moment.astimezone(zone) for moment in span)
    first = start.hour * 60 + start.minute
    last = MINUTES_OF_DAY if stop.date() > day else stop.hour * 60 + stop.minute
    # Where a clock goes back, the same minutes come twice.
    return (first, last) if first < last else None


def _merged(windows: Iterable[Window]) -> Windows:
    ordered = sorted(windows, key=lambda window: window.start_minute)
    merged = ordered[:1]
    for window in ordered[1:]:
        if window.start_minute <= merged[-1].end_minute:
            end = max(merged[-1].end_minute, window.end_minute)
            merged[-1] = Window(merged[-1].start_minute, end)
        else:
            merged.append(window)
    return tuple(merged)
