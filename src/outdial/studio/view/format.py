"""Template filters that format numbers, money, durations and times.

A page shows every time in one zone, the viewer's, and relative to now. `show_times_in` sets both for the pages that the
current task renders.
"""

import re
from contextvars import ContextVar
from datetime import UTC, date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NOTHING = "–"
MINUTES_OF_DAY = 24 * 60
_UTC_IN_TEXT = re.compile(r"(\d{4}-\d\d-\d\d) at (\d\d:\d\d(?::\d\d)?) UTC")
_VIEWER_ZONE: ContextVar[ZoneInfo] = ContextVar("viewer_zone")
_VIEWED_AT: ContextVar[datetime | None] = ContextVar("viewed_at", default=None)


def number(value: float | Decimal | None, digits: int = 0) -> str:
    """Format a number with thousands separators."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def percent(part: float, whole: float) -> str:
    """Format a share of `whole`. Only exact 0% and 100% are shown as such; near values are <1% and >99%."""
    if not whole:
        return NOTHING
    share = 100 * part / whole
    if 0 < share < 1:
        return "<1%"
    if 99 < share < 100:
        return ">99%"
    return f"{share:.0f}%"


def duration(ms: float | None) -> str:
    """Format a duration, such as 0:07, 12:40, 3 h 05 min or 2 d 4 h; 0:01 for less than a second."""
    if ms is None:
        return NOTHING
    seconds = max(round(ms / 1000), 1 if ms > 0 else 0)
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02}"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def money(cents: float | Decimal | None) -> str:
    """Format cents as dollars, with four decimals below one cent."""
    if cents is None:
        return NOTHING
    dollars = Decimal(str(cents)) / 100
    return f"${dollars:,.4f}" if 0 < dollars < Decimal("0.01") else f"${dollars:,.2f}"


def sentence_case(text: str) -> str:
    """Return text with a capital first letter."""
    return text[:1].upper() + text[1:]


def iso(value: datetime) -> str:
    """Format a time as ISO 8601 in UTC, with milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show_times_in(zone: ZoneInfo, now: datetime | None = None) -> None:
    """Format the times of this task's pages in `zone`, relative to `now` if it is given; without a call, in UTC."""
    _VIEWER_ZONE.set(zone)
    _VIEWED_AT.set(now)


def viewer_time(value: datetime) -> datetime:
    """Return a time in the viewer's zone."""
    zone = _VIEWER_ZONE.get(None)
    return value.astimezone(UTC if zone is None else zone)


def clock(value: datetime | time, *, seconds: bool = False) -> str:
    """Format the time of day of a local time, such as "9:00 AM" or "9:00:07 AM"."""
    return f"{value.hour % 12 or 12}:{value:%M:%S %p}" if seconds else f"{value.hour % 12 or 12}:{value:%M %p}"


def minute_text(minute: int) -> str:
    """Format a minute of the day, such as "9:00 AM". The end of the day is "midnight"."""
    return "midnight" if minute == MINUTES_OF_DAY else clock(time(minute // 60, minute % 60))


def hour_text(hour: str) -> str:
    """Format an hour of the day from its two digits, such as "9 AM"."""
    number = int(hour)
    return f"{number % 12 or 12} {'AM' if number < 12 else 'PM'}"


def day_text(value: date) -> str:
    """Format the day of a local time, such as "Nov 30"."""
    return f"{value:%b} {value.day}"


def date_text(value: date) -> str:
    """Format a day, such as "Nov 30, 2026"."""
    return f"{day_text(value)}, {value.year}"


def moment(value: datetime, seconds: bool = False) -> str:
    """Format a time of a sentence in the viewer's zone, such as "Nov 30, 2026 at 9:00 AM"."""
    local = viewer_time(value)
    return f"{date_text(local)} at {clock(local, seconds=seconds)}"


def relative_moment(value: datetime, seconds: bool = False) -> str:
    """Format a time like the script of the page, such as "today at 9:00 AM" or, in this year, "Nov 30 at 9:00 AM".

    A page whose script finds other texts than it would write moves while it is read.
    """
    now = _VIEWED_AT.get()
    if now is None:
        return moment(value, seconds)
    local, today = viewer_time(value), viewer_time(now).date()
    if local.date() == today:
        return f"today at {clock(local, seconds=seconds)}"
    return f"{day_text(local) if local.year == today.year else date_text(local)} at {clock(local, seconds=seconds)}"


def with_viewer_times(text: str) -> str:
    """Format each time in a sentence that commands and the API have too, such as "2026-12-01 at 09:00 UTC"."""
    return _UTC_IN_TEXT.sub(_shown_moment, text)


def _shown_moment(found: re.Match[str]) -> str:
    day, hour = found.groups()
    try:
        return moment(datetime.fromisoformat(f"{day}T{hour}+00:00"), seconds=hour.count(":") > 1)
    # No such time, or one that the viewer's zone moves out of the calendar.
    except (ValueError, OverflowError):
        return found[0]


def weekday_moment(value: datetime) -> str:
    """Format a time of the next days in the viewer's zone, such as "Mon 9:00 AM"."""
    local = viewer_time(value)
    return f"{local:%a} {clock(local)}"


def place_name(zone: str) -> str:
    """Return the place in a zone name: "New York" of America/New_York."""
    return zone.rpartition("/")[2].replace("_", " ")


def zone_label(zone: str) -> str:
    """Return the label of times in a zone: "New York time", or "UTC"."""
    return f"{place_name(zone)} time" if "/" in zone else place_name(zone)


def in_zone(value: datetime, zone: str) -> str:
    """Format the time of day in a zone, such as "9:00 AM in London", with the day when it is not the viewer's.

    For an unknown zone, returns its name without a time.
    """
    try:
        local = value.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"in {zone}"
    day = "" if local.date() == viewer_time(value).date() else f"{day_text(local)}, "
    place = place_name(zone)
    return f"{day}{clock(local)} UTC" if place == "UTC" else f"{day}{clock(local)} in {place}"
