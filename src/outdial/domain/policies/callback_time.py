"""Reads the time at which a contact asked to be called back."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from outdial.domain.calling_hours import zones_of

LATEST_DAYS: Final = 60
"""A callback is at most this many days away."""

_UNITS: Final[Mapping[str, timedelta]] = MappingProxyType(
    {
        "minute": timedelta(minutes=1),
        "min": timedelta(minutes=1),
        "hour": timedelta(hours=1),
        "hr": timedelta(hours=1),
        "day": timedelta(days=1),
        "week": timedelta(weeks=1),
    }
)
_COUNTS: Final[Mapping[str, float]] = MappingProxyType(
    {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "half an": 0.5}
)
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DISTANCE: Final = re.compile(
    r"in (?:about )?(half an|an?|one|two|three|[0-9]{1,4}(?:\.[0-9])?) (minute|min|hour|hr|day|week)s?"
)
_DAY: Final = rf"(?P<day>today|tomorrow|(?:(?P<next>next )|on |this )?(?P<weekday>{'|'.join(_WEEKDAYS)}))"
_CLOCK: Final = (
    r"(?:at )?(?:(?P<noon>noon)|(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2}))? ?(?P<half>am|pm)?(?: o'?clock)?)"
)
_DAY_FIRST: Final = re.compile(rf"{_DAY}(?: |, ?){_CLOCK}")
_CLOCK_FIRST: Final = re.compile(rf"{_CLOCK}(?: |, ?){_DAY}")
_CLOCK_ONLY: Final = re.compile(_CLOCK)


class UnreadableTime(ValueError):
    """A text from which no time of a callback can be read; the message says why."""


class _WallTime(NamedTuple):
    day: date
    at: time


def read_callback_time(text: str, *, zone_key: str, ended_at: datetime) -> datetime:
    """Return, in UTC, the time that a contact asked for in a call that ended at `ended_at`.

    Reads ISO 8601 with or without an offset, a distance (`in 2 hours`), and a day with a clock time (`tomorrow at 3pm`,
    `Tuesday 15:30`, `at noon`). A clock time without am or pm is of the 24-hour clock. A weekday is the next one with
    that clock time ahead, and `next Tuesday` is never today. Clock times are the contact's. Of several zones in which
    the contact may be, the one where that time comes last holds: no one is called earlier than asked.

    Raises UnreadableTime for other texts, and for times that have passed or are more than 60 days away.
    """
    words = " ".join(text.replace("a.m.", "am").replace("p.m.", "pm").strip().rstrip(".!").split())
    at = _read(words, zone_key, ended_at)
    if at <= ended_at:
        raise UnreadableTime("that time has passed")
    if at > ended_at + timedelta(days=LATEST_DAYS):
        raise UnreadableTime(f"that is more than {LATEST_DAYS} days away")
    return at


def _read(words: str, zone_key: str, ended_at: datetime) -> datetime:
    try:
        iso = datetime.fromisoformat(words)
    except ValueError:
        iso = None
    if iso is not None and ("T" in words.upper() or ":" in words):
        if iso.tzinfo is not None:
            return _utc(lambda: iso.astimezone(UTC))
        return _latest(zone_key, ended_at, lambda _: _WallTime(iso.date(), iso.time()))
    lower = words.lower()
    if match := _DISTANCE.fullmatch(lower):
        count = _COUNTS.get(match[1]) or float(match[1])
        return _utc(lambda: ended_at.astimezone(UTC) + count * _UNITS[match[2]])
    clock = _DAY_FIRST.fullmatch(lower) or _CLOCK_FIRST.fullmatch(lower) or _CLOCK_ONLY.fullmatch(lower)
    if clock is None:
        raise UnreadableTime("no time can be read from it")
    return _latest(zone_key, ended_at, lambda now: _on_day(clock, now))


def _on_day(match: re.Match[str], now: datetime) -> _WallTime:
    """Return the first day and clock time after the local time `now` that match."""
    at, parts, today = _clock(match), match.groupdict(), now.date()
    is_ahead = at > now.time()
    if (weekday := parts.get("weekday")) is not None:
        days = (_WEEKDAYS.index(weekday) - today.weekday()) % 7
        if days == 0 and (parts["next"] or not is_ahead):
            days = 7
    elif (day := parts.get("day")) is not None:
        days = 1 if day == "tomorrow" else 0
    else:
        days = 0 if is_ahead else 1
    return _WallTime(today + timedelta(days=days), at)


def _clock(match: re.Match[str]) -> time:
    if match["noon"]:
        return time(12)
    hour, half = int(match["hour"]), match["half"]
    if half is None and match["minute"] is None and hour < 13:
        raise UnreadableTime("it does not say whether that is in the morning or in the afternoon")
    if half is not None:
        if not 1 <= hour <= 12:
            raise UnreadableTime("that is not a clock time")
        hour = hour % 12 + (12 if half == "pm" else 0)
    try:
        return time(hour, int(match["minute"] or 0))
    except ValueError as error:
        raise UnreadableTime("that is not a clock time") from error


def _latest(zone_key: str, ended_at: datetime, wall: Callable[[datetime], _WallTime]) -> datetime:
    """Return the last point in time at which a wall clock of one of the zones shows the time that `wall` reads.

    A clock time that occurs twice is the second one, and one that is skipped is an hour later.
    """

    def in_zone(zone: ZoneInfo) -> datetime:
        read = wall(ended_at.astimezone(zone))
        local = datetime.combine(read.day, read.at, tzinfo=zone)
        return max(local.astimezone(UTC), local.replace(fold=1).astimezone(UTC))

    return _utc(lambda: max(in_zone(zone) for zone in zones_of(zone_key)))


def _utc(compute: Callable[[], datetime]) -> datetime:
    try:
        return compute()
    except OverflowError as error:
        raise UnreadableTime("that is not a time") from error
