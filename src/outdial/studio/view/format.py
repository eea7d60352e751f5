"""Template filters that format numbers, money, durations and times."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NOTHING = "–"


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
    """Format a duration, such as 0:07, 12:40, 3 h 05 min or 2 d 4 h; milliseconds below one second."""
    if ms is None:
        return NOTHING
    if 0 < ms < 1000:
        return f"{ms:.0f} ms"
    seconds = round(ms / 1000)
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


def utc(value: datetime) -> str:
    """Format a time in UTC, for readers without JavaScript."""
    return f"{value.astimezone(UTC):%d %b %Y, %H:%M} UTC"


def in_zone(value: datetime, zone: str) -> str:
    """Format the time of day in a time zone, such as "13:05 in New York"; unknown zones are only named."""
    try:
        local = value.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"in {zone}"
    place = zone.rpartition("/")[2].replace("_", " ")
    return f"{local:%H:%M} in {place}" if place != "UTC" else f"{local:%H:%M} UTC"
