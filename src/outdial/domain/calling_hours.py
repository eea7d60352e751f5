"""The calling hours of a campaign: windows of local time, and the time zones in which they must be open."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from outdial.domain.errors import InvalidCallingHours, UnknownZone
from outdial.domain.openings import ALL_DAY, Window, Windows, local_time

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_GROUPS = {"every_day": WEEKDAYS, "weekdays": WEEKDAYS[:5], "weekend": WEEKDAYS[5:]}
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


@dataclass(frozen=True, slots=True)
class CallingHours:
    """The windows of each weekday, Monday first and in order of time, and the local dates without calls."""

    week: tuple[Windows, ...]
    excluded_dates: frozenset[date]


_NINE_TO_EIGHT = (Window(9 * 60, 20 * 60),)

DEFAULT_HOURS = CallingHours(week=(_NINE_TO_EIGHT,) * 5 + ((),) * 2, excluded_dates=frozenset())
"""Monday to Friday, 09:00 to 20:00, in the contact's own time."""

ALL_HOURS: Final = CallingHours(week=(ALL_DAY,) * 7, excluded_dates=frozenset())
"""The whole week: shows what the rules alone allow."""

ALWAYS_OPEN: Final[Mapping[str, object]] = {"every_day": [["00:00", "24:00"]]}
"""Calling hours that never close, as input of `parse_calling_hours`: for tests and simulated calls."""


def parse_calling_hours(raw: Mapping[str, object]) -> CallingHours:
    """Return the hours written in `campaigns.calling_hours`; raise InvalidCallingHours naming the key.

    The form is `{"monday": [["09:00", "20:00"]], ..., "excluded_dates": ["2026-12-25"]}`. The keys `every_day`,
    `weekdays` and `weekend` stand for several days; a narrower key wins, and a day without any is closed.
    Without a key for days, the week is that of DEFAULT_HOURS.
    """
    days: dict[str, tuple[Window, ...]] = {}
    for key in (*_GROUPS, *WEEKDAYS):
        if key in raw:
            windows = _parse_day(key, raw[key])
            days.update(dict.fromkeys(_GROUPS.get(key, (key,)), windows))
    unknown = raw.keys() - {*_GROUPS, *WEEKDAYS, "excluded_dates"}
    if unknown:
        raise InvalidCallingHours(f"unknown key {min(unknown)!r}; use days such as 'monday' or 'weekdays'")
    if days and not any(days.values()):
        raise InvalidCallingHours("no day has a window, so no contact could ever be called; open at least one day")
    week = tuple(days.get(day, ()) for day in WEEKDAYS) if days else DEFAULT_HOURS.week
    return CallingHours(week, _parse_dates(raw.get("excluded_dates", [])))


def read_date(value: object) -> date | None:
    """Return the date that a text such as 2026-12-25 states; None for anything else, also for 20261225."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return day if day is not None and day.isoformat() == value else None


def clock_text(minute: int) -> str:
    """Return a minute of the day as `09:00`, and the end of the day as `24:00`."""
    return f"{minute // 60:02}:{minute % 60:02}"


def is_zone_name(name: str) -> bool:
    """Return whether `name` is an IANA zone of the form Area/City, or UTC.

    Abbreviations such as EST (no daylight saving) and Etc/GMT+5 (five hours *behind*) mean something else to most
    users than to the zone database, so they are refused.
    """
    return name in _zone_names()


@lru_cache(maxsize=4096)
def zones_of(zone_key: str) -> tuple[ZoneInfo, ...]:
    """Return the zones of a key: one name, or several joined by `|`; raise UnknownZone for any other text."""
    names = zone_key.split("|")
    for name in names:
        if not is_zone_name(name):
            raise UnknownZone(f"{name!r} is not a known time zone; use an IANA name such as America/New_York")
    return tuple(ZoneInfo(name) for name in names)


def local_times(zone_key: str, at: datetime) -> dict[str, str]:
    """Return the ISO local time of `at` for each zone of the key; raise UnknownZone."""
    return {zone.key: local_time(at, zone).isoformat() for zone in zones_of(zone_key)}


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    # 50 ms: it lists the directories of the zone database.
    names = {name for name in available_timezones() if "/" in name and not name.startswith("Etc/")}
    return frozenset(names | {"UTC", "Etc/UTC"})


def _parse_day(key: str, raw: object) -> tuple[Window, ...]:
    if not isinstance(raw, list | tuple):
        raise InvalidCallingHours(f'{key}: must be a list of windows, such as [["09:00", "20:00"]]')
    windows = []
    for item in raw:
        match item:
            case [str() as start, str() as end]:
                try:
                    windows.append(Window(_parse_minute(start), _parse_minute(end)))
                except InvalidCallingHours as error:
                    raise InvalidCallingHours(f"{key}: {error}") from None
            case _:
                raise InvalidCallingHours(f'{key}: {item!r} is not a window; write it as ["09:00", "20:00"]')
    windows.sort(key=lambda window: window.start_minute)
    for earlier, later in pairwise(windows):
        if later.start_minute < earlier.end_minute:
            raise InvalidCallingHours(f"{key}: two windows overlap; merge them")
    return tuple(windows)


def _parse_minute(text: str) -> int:
    if _CLOCK.fullmatch(text) is None:
        raise InvalidCallingHours(f"{text!r} is not a time of day; write it as HH:MM, from 00:00 to 24:00")
    return int(text[:2]) * 60 + int(text[3:])


def _parse_dates(raw: object) -> frozenset[date]:
    if not isinstance(raw, list | tuple):
        raise InvalidCallingHours('excluded_dates: must be a list of dates, such as ["2026-12-25"]')
    days = set()
    for item in raw:
        day = read_date(item)
        if day is None:
            raise InvalidCallingHours(f"excluded_dates: {item!r} is not a date; write it as 2026-12-25")
        days.add(day)
    return frozenset(days)
