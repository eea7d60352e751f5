"""Finds when several local schedules are open together, across changes of clocks and of law.

A schedule is a time zone with the windows of each of its dates. This module knows nothing of campaigns or rules: it
walks time in stretches of constant UTC offset and intersects what the schedules allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from outdial.domain.errors import InvalidCallingHours

SEARCH: Final = timedelta(days=400)
"""How far `next_opening` looks ahead: past every change of offset that comes once a year."""

MINUTES_OF_DAY: Final = 1440
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of one local day, in minutes since midnight: 0 <= start < end <= 1440, the end exclusive."""

    start_minute: int
    end_minute: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_minute < self.end_minute <= MINUTES_OF_DAY:
            raise InvalidCallingHours(
                "a window must end after it starts, on the same day; split one that crosses midnight in two"
            )


Windows = tuple[Window, ...]
"""The windows of one day, in order of time."""

ALL_DAY: Final = (Window(0, MINUTES_OF_DAY),)


class DatedHours(Protocol):
    """The windows of each local date."""

    @property
    def changes(self) -> Sequence[date]:
        """The dates from which `usual_windows` may change, as when a law comes into force."""

    def windows(self, day: date) -> Windows:
        """Return when calls are allowed on a date."""

    def usual_windows(self, day: date) -> Windows:
        """Return when calls are allowed on a date if it is neither excluded nor a holiday."""


@dataclass(frozen=True, slots=True)
class LocalSchedule:
    """Hours in the local time of one zone."""

    zone: ZoneInfo
    hours: DatedHours


def all_open(schedules: Sequence[LocalSchedule], at: datetime) -> bool:
    """Return whether the aware moment `at` lies in a window of every schedule."""
    for schedule in schedules:
        local = local_time(at, schedule.zone)
        minute = local.hour * 60 + local.minute
        windows = schedule.hours.windows(local.date())
        if not any(window.start_minute <= minute < window.end_minute for window in windows):
            return False
    return True


def next_opening(schedules: Sequence[LocalSchedule], after: datetime, limit: datetime) -> datetime | None:
    """Return the earliest moment from `after` on and before `limit`, both in UTC, when every schedule is open."""
    begin = after
    while begin < limit:
        latest = max(_next_open_in(schedule, begin, limit) for schedule in schedules)
        if latest == begin:
            return begin
        begin = latest
    return None


def ever_open(schedules: Sequence[LocalSchedule], day: date) -> bool:
    """Return whether the schedules are ever open together from `day` on, apart from excluded dates and holidays.

    While no zone changes its offset and no law changes, every week is like the first, so one week of each such stretch
    decides. The stretches considered reach SEARCH past the last change of law: offsets repeat within a year.
    """
    usual = [LocalSchedule(schedule.zone, _Usual(schedule.hours)) for schedule in schedules]
    begin = datetime.combine(day, time(), UTC)
    changes = sorted(
        change
        for schedule in schedules
        for date_ in schedule.hours.changes
        if (change := _start(date_, schedule.zone)) > begin
    )
    limit = max([begin, *changes]) + SEARCH
    for stretch_end in [*changes, limit]:
        while begin < stretch_end:
            end = _next_offset_change(schedules, begin, stretch_end)
            # A day more than a week: a law may begin in an hour that the clock repeats.
            if next_opening(usual, begin, min(end, begin + _WEEK + _DAY)) is not None:
                return True
            begin = end
    return False


def local_time(at: datetime, zone: tzinfo) -> datetime:
    """Return an aware moment in the local time of a zone; raise ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("the time has no zone; pass an aware datetime")
    return at.astimezone(zone)


def intersect(left: Windows, right: Windows) -> Windows:
    """Return the times of a day that lie in a window of both."""
    common = []
    for one in left:
        for other in right:
            start = max(one.start_minute, other.start_minute)
            end = min(one.end_minute, other.end_minute)
            if start < end:
                common.append(Window(start, end))
    return tuple(common)


@dataclass(frozen=True, slots=True)
class _Usual:
    hours: DatedHours

    @property
    def changes(self) -> Sequence[date]:
        return self.hours.changes

    def windows(self, day: date) -> Windows:
        return self.hours.usual_windows(day)

    def usual_windows(self, day: date) -> Windows:
        return self.hours.usual_windows(day)


def _start(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _next_offset_change(schedules: Sequence[LocalSchedule], begin: datetime, limit: datetime) -> datetime:
    zones = {schedule.zone for schedule in schedules}
    while begin < limit:
        end = min(begin + _DAY, limit)
        changing = [zone for zone in zones if _offset(zone, end) != _offset(zone, begin)]
        if changing:
            return min(_first_change(zone, begin, end) for zone in changing)
        begin = end
    return limit


def _next_open_in(schedule: LocalSchedule, begin: datetime, limit: datetime) -> datetime:
    # The earliest opening, or `limit`. Walks stretches of constant UTC offset, in which local time runs
    # straight: gaps, repeated hours and skipped days need no special case. Daily steps miss no change:
    # since 1970 no zone has changed its offset twice within six days.
    while begin < limit:
        offset = _offset(schedule.zone, begin)
        end = min(begin + _DAY, limit)
        if _offset(schedule.zone, end) != offset:
            end = _first_change(schedule.zone, begin, end)
        opening = _first_opening(schedule.hours, begin.replace(tzinfo=None) + offset, end.replace(tzinfo=None) + offset)
        if opening is not None:
            return (opening - offset).replace(tzinfo=UTC)
        begin = end
    return limit


def _first_opening(hours: DatedHours, begin: datetime, end: datetime) -> datetime | None:
    midnight = datetime.combine(begin.date(), time())
    while midnight < end:
        for window in hours.windows(midnight.date()):
            opening = max(begin, midnight + timedelta(minutes=window.start_minute))
            if opening < min(end, midnight + timedelta(minutes=window.end_minute)):
                return opening
        midnight += _DAY
    return None


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _first_change(zone: ZoneInfo, begin: datetime, end: datetime) -> datetime:
    offset = _offset(zone, begin)
    before = begin.replace(microsecond=0)
    low, high = 0, -((before - end) // _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, before + middle * _SECOND) == offset:
            low = middle
        else:
            high = middle
    return before + high * _SECOND
