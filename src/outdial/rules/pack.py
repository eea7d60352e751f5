"""Loads rule packs: TOML files of rules, of holidays that the library lacks, and of groups of countries.

A file that is not valid does not load, and the error names its line. docs/calling-rules.md describes the format.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import msgspec

from outdial.domain.errors import InvalidRule
from outdial.domain.openings import Windows
from outdial.domain.public_holidays import ExtraHoliday, calendars_with
from outdial.domain.rule_parsing import check_versions, parse_hours, parse_rule
from outdial.domain.rules import CallingRule, RuleBook
from outdial.rules.errors import InvalidPack

_TABLES: Final = ("rule", "holiday")
_DEFAULT_HOURS: Final = "default_hours"
_HOLIDAY_FIELDS: Final = frozenset({"calendar", "name", "month", "day", "weekday", "easter", "every"})
_ROW = re.compile(r"\[\[\s*(rule|holiday)\s*\]\]\s*(#.*)?")
_SYNTAX = re.compile(r"(?P<problem>.*) \(at line (?P<line>[0-9]+), column [0-9]+\)", re.DOTALL)


@dataclass(slots=True)
class _Pack:
    rules: list[CallingRule] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    holidays: list[ExtraHoliday] = field(default_factory=list)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    default_hours: tuple[Windows, ...] | None = None


@lru_cache(maxsize=1)
def shipped_rules() -> RuleBook:
    """Return the rules of the packs in this package; loaded once, in about 0.15 s with the library of holidays."""
    package = files("outdial.rules")
    return load_packs(sorted((file for file in package.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name))


def load_packs(paths: Iterable[Traversable]) -> RuleBook:
    """Read pack files into one book; raises InvalidPack naming the file and the line."""
    pack = _Pack()
    for path in paths:
        _read_file(path.name, path.read_text("utf-8"), pack)
    try:
        check_versions(pack.rules)
    except InvalidRule as error:
        raise InvalidPack(f"{pack.places[error.field]}: {error}") from None
    if not pack.rules:
        raise InvalidPack("the rule packs have no rule; reinstall Outdial")
    return RuleBook(
        pack.rules,
        pack_date=max(rule.checked_on for rule in pack.rules),
        calendars=calendars_with(pack.holidays),
        groups=pack.groups,
        default_hours=pack.default_hours,
    )


def _read_file(name: str, text: str, pack: _Pack) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # An error at the end of the file names no line: it is the last one.
        found = _SYNTAX.fullmatch(str(error))
        line = found["line"] if found else len(text.splitlines())
        raise InvalidPack(f"{name}:{line}: not valid TOML: {found['problem'] if found else error}") from None
    lines = text.splitlines()
    for key in document:
        if key not in ("checked_on", "groups", _DEFAULT_HOURS, *_TABLES):
            raise InvalidPack(f"{name}:{_line_of(lines, key)}: {key}: is not a field of a pack")
    checked_on = document.get("checked_on")
    if not isinstance(checked_on, date) or isinstance(checked_on, datetime):
        raise InvalidPack(f"{name}:1: checked_on: must be a date such as 2026-11-28")
    _read_groups(name, document.get("groups", {}), lines, pack)
    _read_default_hours(name, document, lines, pack)
    for table in _TABLES:
        starts = [number for number, line in enumerate(lines) if (row := _ROW.match(line.strip())) and row[1] == table]
        rows = document.get(table, [])
        if not isinstance(rows, list) or len(rows) != len(starts):
            raise InvalidPack(f"{name}:1: write each row under a separate line [[{table}]]")
        for start, row in zip(starts, rows, strict=True):
            try:
                if table == "rule":
                    _read_rule(row, checked_on, f"{name}:{start + 1}", pack)
                else:
                    pack.holidays.append(_holiday(row))
            except InvalidRule as error:
                raise InvalidPack(f"{name}:{_line_in_row(lines, error.field, start)}: {error}") from None


def _read_rule(row: Mapping[str, object], checked_on: date, place: str, pack: _Pack) -> None:
    rule = parse_rule(row, checked_on=checked_on)
    # The line of the second row with an id is the one to name.
    pack.places[rule.id] = place
    pack.rules.append(rule)


def _read_default_hours(name: str, document: Mapping[str, object], lines: list[str], pack: _Pack) -> None:
    if _DEFAULT_HOURS in document:
        try:
            pack.default_hours = parse_hours(document[_DEFAULT_HOURS])
        except InvalidRule as error:
            raise InvalidPack(f"{name}:{_line_of(lines, _DEFAULT_HOURS)}: default_{error}") from None


def _read_groups(name: str, raw: object, lines: list[str], pack: _Pack) -> None:
    line = _line_of(lines, "groups")
    if not isinstance(raw, dict):
        raise InvalidPack(f"{name}:{line}: groups: must be a table such as EU = [...]")
    for group, members in raw.items():
        if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
            raise InvalidPack(f"{name}:{_line_of(lines, group)}: {group}: must be a list of countries")
        pack.groups[group] = frozenset(members)


def _holiday(row: Mapping[str, object]) -> ExtraHoliday:
    unknown = row.keys() - _HOLIDAY_FIELDS
    if unknown:
        fields = ", ".join(sorted(_HOLIDAY_FIELDS))
        raise InvalidRule(min(unknown), f"is not a field of a holiday; the fields are {fields}")
    if ("easter" in row) == ("month" in row):
        raise InvalidRule("month", "a holiday needs either month, with day or weekday, or easter")
    try:
        holiday = msgspec.convert(row, ExtraHoliday)
        # A leap year and the years around it.
        for year in range(2023, 2027):
            holiday.in_year(year)
    except msgspec.ValidationError as error:
        raise InvalidRule(str(error).rpartition("$.")[2].rstrip("`"), str(error)) from None
    except (ValueError, ZeroDivisionError):
        raise InvalidRule("day", "is not a date of every year") from None
    return holiday


def _line_in_row(lines: list[str], name: str, start: int) -> int:
    # The line of a field of the row that starts at `start`, or else that of the row; lines count from 1.
    end = next((number for number in range(start + 1, len(lines)) if _ROW.match(lines[number].strip())), len(lines))
    return start + _line_of(lines[start:end], name)


def _line_of(lines: list[str], name: str) -> int:
    key = re.compile(rf'[\[\s]*"?{re.escape(name)}\b')
    return next((number + 1 for number, line in enumerate(lines) if name and key.match(line)), 1)
