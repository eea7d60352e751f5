"""Judges calls by the rule packs alone, for the promise that no call leaves outside the law's hours.

It shares only the files with the engine that places calls: it reads them itself, and evaluates one moment at a
time, rule by rule and zone by zone. Slow and simple, so that a mistake in the engine is not repeated here.
"""

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

PROHIBITED: Final = "such calls are prohibited"
DEFAULT_HOURS: Final = "default hours"
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True, kw_only=True)
class LawBreach:
    """What forbids a call: a rule, the reason, and the local time of the call."""

    rule_id: str
    reason: str
    clock: str = ""

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.reason}{self.clock and f' ({self.clock})'}"


class Law:
    """The rows of rule packs as they are written."""

    def __init__(self, documents: Iterable[Mapping[str, Any]]) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self._groups: dict[str, list[str]] = {}
        self._extra: list[Mapping[str, Any]] = []
        self._default_hours: Mapping[str, Any] = {}
        for document in documents:
            self.rows += document.get("rule", [])
            self._groups.update(document.get("groups", {}))
            self._extra += document.get("holiday", [])
            self._default_hours = document.get("default_hours", self._default_hours)

    def in_place(
        self, jurisdictions: Sequence[str], purpose: str, *, own: Sequence[Mapping[str, Any]] = ()
    ) -> "LawOfPlace":
        """Return the rows that may apply to calls of a purpose in a place, and those that an organization added."""
        # The packs have rows for the unknown state; a rule that an organization added may be that of the contact's.
        possible = [*jurisdictions, *("US" for name in jurisdictions if name == "US-ZZ")]
        rows = [row for row in self.rows if self._covers(row, jurisdictions, purpose)]
        rows += [row for row in own if self._covers(row, possible, purpose)]
        known = {row["jurisdiction"] for row in rows}
        return LawOfPlace(
            rows=rows,
            jurisdictions={
                name: [name, name[:2], *(group for group, members in self._groups.items() if name[:2] in members)]
                for name in jurisdictions
            },
            default_hours=self._default_hours,
            unruled=sorted({name[:2] for name in jurisdictions if name not in known and name[:2] not in known}),
            extra_holidays=self._extra,
        )

    def _covers(self, row: Mapping[str, Any], jurisdictions: Iterable[str], purpose: str) -> bool:
        if row["purpose"] != "any" and purpose not in row["purpose"]:
            return False
        where = row["jurisdiction"]
        # A country whose part is not known may be any of its parts.
        return any(
            where in (name, name[:2])
            or name[:2] in self._groups.get(where, [])
            or (len(name) == 2 and where[:2] == name)
            for name in jurisdictions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LawOfPlace:
    """The rows that may apply in a place, and its countries without any.

    `jurisdictions` has, for each one of the place, the names that its own rows may have.
    """

    rows: Sequence[Mapping[str, Any]]
    jurisdictions: Mapping[str, Sequence[str]]
    default_hours: Mapping[str, Any]
    unruled: Sequence[str]
    extra_holidays: Sequence[Mapping[str, Any]]
    _closed: dict[tuple[str, int], frozenset[date]] = field(default_factory=dict)

    def without(self, rule_ids: Collection[str]) -> "LawOfPlace":
        """Return the law of the place without some rows, or without the need of a rule: `IN-NO-RULE`."""
        return replace(
            self,
            rows=[row for row in self.rows if row["id"] not in rule_ids],
            unruled=[country for country in self.unruled if f"{country}-NO-RULE" not in rule_ids],
        )

    def in_force(self, at: datetime, zones: Sequence[str]) -> list[Mapping[str, Any]]:
        """Return the rows in force at a time, on the local date of any of the zones."""
        days = {at.astimezone(ZoneInfo(zone)).date() for zone in zones}
        return [row for row in self.rows if any(_in_force(row, day) for day in days)]

    def breaches(self, at: datetime, zones: Sequence[str]) -> list[LawBreach]:
        """Return what forbids a call at a time to a contact who may be in each of the zones; empty if it is lawful."""
        return list(self._breaches(at, zones))

    def _breaches(self, at: datetime, zones: Sequence[str]) -> Iterator[LawBreach]:
        for country in self.unruled:
            yield LawBreach(rule_id=f"{country}-NO-RULE", reason="the country has no rule")
        local_times = {zone: at.astimezone(ZoneInfo(zone)) for zone in zones}
        for row in self.rows:
            own = row.get("zone")
            clocks = local_times if own is None else {own: at.astimezone(ZoneInfo(own))}
            for zone, local in clocks.items():
                if _in_force(row, local.date()) and (why := self._forbids(row, local)):
                    yield LawBreach(rule_id=row["id"], reason=why, clock=f"{local:%a %Y-%m-%d %H:%M} in {zone}")
        for zone, local in local_times.items():
            if not self.default_hours or _is_within(self.default_hours, local):
                continue
            hourly = {row["jurisdiction"] for row in self.rows if "hours" in row and _in_force(row, local.date())}
            for name, sources in self.jurisdictions.items():
                if not hourly.intersection(sources):
                    clock = f"{local:%a %Y-%m-%d %H:%M} in {zone}"
                    yield LawBreach(rule_id=DEFAULT_HOURS, reason=f"no rule sets hours in {name}", clock=clock)

    def _forbids(self, row: Mapping[str, Any], local: datetime) -> str | None:
        if row.get("prohibited"):
            return PROHIBITED
        for calendar in row.get("holidays", []):
            if local.date() in self._holidays(calendar, local.year):
                return f"a holiday of {calendar}"
        if "hours" not in row:
            return None
        return None if _is_within(row["hours"], local) else "outside its hours"

    def _holidays(self, calendar: str, year: int) -> frozenset[date]:
        if (calendar, year) not in self._closed:
            extra = [_extra_holiday(row, year) for row in self.extra_holidays if row["calendar"] == calendar]
            listed = _listed_holidays(calendar, year)
            self._closed[calendar, year] = listed | {day for day in extra if day is not None}
        return self._closed[calendar, year]


@lru_cache(maxsize=1)
def written_law() -> Law:
    """Read the rule packs that this package ships."""
    packs = [file for file in files("outdial.rules").iterdir() if file.name.endswith(".toml")]
    return Law(tomllib.loads(pack.read_text("utf-8")) for pack in packs)


def _in_force(row: Mapping[str, Any], day: date) -> bool:
    first, last = row.get("in_force_from", date.min), row.get("in_force_to", date.max)
    return bool(row.get("adopted", True) and first <= day <= last)


def _is_within(hours: Mapping[str, Any], local: datetime) -> bool:
    clock = f"{local.hour:02}:{local.minute:02}"
    return any(start <= clock < end for start, end in _windows(hours, local.weekday()))


def _windows(hours: Mapping[str, Any], weekday: int) -> list[list[str]]:
    # The narrowest key that names the day counts.
    for key in (_DAYS[weekday], "weekdays" if weekday < 5 else "weekend", "every_day"):
        if key in hours:
            windows: list[list[str]] = hours[key]
            return windows
    return []


@lru_cache(maxsize=256)
def _listed_holidays(calendar: str, year: int) -> frozenset[date]:
    import holidays

    country, _, part = calendar.partition("-")
    listed = holidays.country_holidays(country, subdiv=part or None, years=(year, year + 1))
    return frozenset(day for day in listed if day.year == year)


@lru_cache(maxsize=64)
def _easter(year: int) -> date:
    import holidays

    return holidays.country_holidays("US", years=year, categories=("unofficial",)).get_named("Easter Sunday")[0]


def _extra_holiday(row: Mapping[str, Any], year: int) -> date | None:
    if year % row.get("every", 1):
        return None
    if "easter" in row:
        return _easter(year) + timedelta(days=row["easter"])
    day = date(year, row["month"], row.get("day", 1))
    while "weekday" in row and day.weekday() != row["weekday"]:
        day += timedelta(days=1)
    return day
