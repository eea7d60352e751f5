"""Numbers, money, durations and times as people read them: filters of the templates."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NOTHING = "–"


def number(value: float | Decimal | None, digits: int = 0) -> str:
    """Return a number with its thousands apart."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def percent(part: float, whole: float) -> str:
    """Return what share of `whole` the `part` is; a share that is neither all nor nothing never looks like it."""
    if not whole:
        return NOTHING
    share = 100 * part / whole
    if 0 < share < 1:
        return "<1 %"
    if 99 < share < 100:
        return ">99 %"
    return f"{share:.0f} %"


def duration(ms: float | None) -> str:
    """Return a length of time, such as 0:07, 12:40, 3 h 05 min or 2 d 4 h; below a second in milliseconds."""
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
    """Return an amount of cents in dollars; what is less than a cent is not lost."""
    if cents is None:
        return NOTHING
    dollars = Decimal(str(cents)) / 100
    return f"${dollars:,.4f}" if 0 < dollars < Decimal("0.01") else f"${dollars:,.2f}"


def iso(value: datetime) -> str:
    """Return a time as programs read it."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(value: datetime) -> str:
    """Return a time in UTC, as a person reads it who has no JavaScript."""
    return f"{value.astimezone(UTC):%d %b %Y, %H:%M} UTC"


def in_zone(value: datetime, zone: str) -> str:
    """Return the time of day at a place: "13:05 in New York"; a zone that is not one place is only named."""
    try:
        local = value.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"in {zone}"
    place = zone.rpartition("/")[2].replace("_", " ")
    return f"{local:%H:%M} in {place}" if place != "UTC" else f"{local:%H:%M} UTC"
