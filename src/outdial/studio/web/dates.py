"""Moments and days that a request narrows a list by."""

from datetime import UTC, date, datetime, time

from outdial.studio.web.errors import InvalidInput


def moment_of(name: str, value: datetime | None) -> datetime | None:
    """Return a moment that the database can hold; raises InvalidInput for one before 1970 or at the end of time."""
    if value is not None and not 1970 <= value.year < 9999:
        raise InvalidInput("There is nothing at that time", {name: "from 1970 on"})
    return value


def day_of(name: str, text: str) -> datetime | None:
    """Return the beginning, in UTC, of a day such as 2026-12-24, None for none; raises InvalidInput."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidInput("This is no date", {name: "write it as 2026-12-24"}) from None
    return moment_of(name, datetime.combine(day, time(), UTC))
