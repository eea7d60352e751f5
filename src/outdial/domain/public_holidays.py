"""Public holidays by calendar: a country such as `FR`, or a state with those of its country, such as `US-AL`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache, lru_cache

from outdial.domain.errors import InvalidRule


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraHoliday:
    """A holiday that the library of holidays lacks: a date, a weekday of a month, or days from Easter Sunday.

    `month` with `day` is a date. `month` with `weekday` (Monday is 0) is the first such weekday on or after `day`.
    `easter` counts days from Easter Sunday. `every` is 2 for a holiday in even years only.
    """

    calendar: str
    name: str
    month: int = 0
    day: int = 1
    weekday: int | None = None
    easter: int | None = None
    every: int = 1

    def in_year(self, year: int) -> date | None:
        """Return its date in a year, None in a year without it."""
        if year % self.every:
            return None
        if self.easter is not None:
            return easter_sunday(year) + timedelta(days=self.easter)
        first = date(year, self.month, self.day)
        return first if self.weekday is None else first + timedelta(days=(self.weekday - first.weekday()) % 7)


@dataclass(frozen=True, slots=True, eq=False)
class HolidayCalendars:
    """The holidays of every calendar: those of the library `holidays`, and the extra ones given."""

    extra: Mapping[str, tuple[ExtraHoliday, ...]] = field(default_factory=dict)

    def name_of(self, calendar: str, day: date) -> str | None:
        """Return the name of the holiday of a date, None on a working day; a holiday moved to a weekday closes both."""
        found = library_holidays(calendar, day.year).get(day)
        if found is not None:
            return found
        return next((extra.name for extra in self.extra.get(calendar, ()) if extra.in_year(day.year) == day), None)


def calendars_with(extra: Iterable[ExtraHoliday]) -> HolidayCalendars:
    """Return calendars with the extra holidays added to those of the library."""
    by_calendar: dict[str, tuple[ExtraHoliday, ...]] = {}
    for holiday in extra:
        by_calendar[holiday.calendar] = (*by_calendar.get(holiday.calendar, ()), holiday)
    return HolidayCalendars(by_calendar)


@lru_cache(maxsize=1024)
def library_holidays(calendar: str, year: int) -> dict[date, str]:
    """Return the public holidays of a year that the library knows; raise InvalidRule for an unknown calendar."""
    # 100 ms: only what evaluates rules imports it.
    import holidays

    country, _, subdivision = calendar.partition("-")
    try:
        found = holidays.country_holidays(country, subdiv=subdivision or None, years=[year - 1, year, year + 1])
    except NotImplementedError:
        raise InvalidRule(
            "holidays", f"{calendar!r} has no calendar of holidays; use a code such as FR or US-AL"
        ) from None
    return {day: name for day, name in found.items() if day.year == year}


def has_calendar(code: str) -> bool:
    """Return whether the library knows the public holidays of a country such as `FR`, or of a state such as `US-AL`."""
    country, _, subdivision = code.partition("-")
    return country in _countries() and (not subdivision or subdivision in _subdivisions(country))


@cache
def _countries() -> frozenset[str]:
    from holidays.registry import COUNTRIES

    return frozenset(codes[1] for codes in COUNTRIES.values())


@cache
def _subdivisions(country: str) -> frozenset[str]:
    import holidays

    return frozenset(holidays.country_holidays(country).subdivisions)


def easter_sunday(year: int) -> date:
    """Return the date of Easter Sunday in the Gregorian calendar, by the algorithm of Meeus, Jones and Butcher."""
    century, rest = divmod(year, 100)
    golden = year % 19
    correction = (century - (century + 8) // 25 + 1) // 3
    moon = (19 * golden + century - century // 4 - correction + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    shift = (golden + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)
