"""Reads and writes calling rules as packs and the database store them, and checks that versions of a rule meet."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, NoReturn, TypeVar

from outdial.domain.calling_hours import WEEKDAYS, clock_text, is_zone_name, parse_calling_hours, read_date
from outdial.domain.errors import InvalidCallingHours, InvalidRule
from outdial.domain.openings import Windows
from outdial.domain.public_holidays import library_holidays
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent
from outdial.domain.rules import CallingRule, RuleCap, RuleConfidence, RuleDevice, RuleParty

RULE_FIELDS: Final = frozenset(
    {
        "id", "jurisdiction", "purpose", "device", "party", "hours", "holidays", "zone", "area_code", "adopted",
        "prohibited", "cap", "consent", "lists", "disclosure", "note", "source", "in_force_from", "in_force_to",
        "checked_on", "confidence",
    }
)  # fmt: skip
"""The fields of a row as it is written."""

_ID = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")
_JURISDICTION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_PERIOD = re.compile(r"([1-9][0-9]{0,2})(h|d)")
_E = TypeVar("_E", bound=StrEnum)


def parse_rule(raw: Mapping[str, object], *, checked_on: date | None = None) -> CallingRule:
    """Read a row as packs and stored rules write it; raise InvalidRule naming the field.

    `checked_on` is used for a row without one. Fields left out have no effect: a row without `hours` sets none.
    """
    unknown = raw.keys() - RULE_FIELDS
    if unknown:
        raise InvalidRule(min(unknown), f"is not a field of a rule; the fields are {', '.join(sorted(RULE_FIELDS))}")
    first, last = _date(raw, "in_force_from"), _date(raw, "in_force_to")
    if first is not None and last is not None and last < first:
        raise InvalidRule("in_force_to", f"{last} is before the rule comes into force on {first}")
    return CallingRule(
        id=_matching(raw, "id", _ID, "an id such as US-TX-HOURS"),
        jurisdiction=_matching(raw, "jurisdiction", _JURISDICTION, "an ISO 3166 code such as US-TX or GB"),
        purposes=_purposes(raw),
        device=_member(raw, "device", RuleDevice, RuleDevice.ANY),
        party=_member(raw, "party", RuleParty, RuleParty.ANY),
        week=_week(raw),
        holidays=_calendars(raw),
        zone=_zone(raw),
        by_area_code=_flag(raw, "area_code"),
        adopted=_flag(raw, "adopted", default=True),
        prohibited=_flag(raw, "prohibited"),
        cap=_cap(raw),
        consent=_member(raw, "consent", RequiredConsent, RequiredConsent.NONE),
        lists=tuple(_enum("lists", ListKind, item) for item in _items(raw, "lists")),
        disclosure=_text(raw, "disclosure"),
        note=_text(raw, "note"),
        source=_text(raw, "source").strip() or _missing("source"),
        in_force_from=first,
        in_force_to=last,
        checked_on=_date(raw, "checked_on") or checked_on or _missing("checked_on"),
        confidence=_member(raw, "confidence", RuleConfidence, None),
    )


def rule_document(rule: CallingRule) -> dict[str, object]:
    """Return a rule as JSON that `parse_rule` reads back, with every field that has an effect."""
    document: dict[str, object] = {
        "id": rule.id,
        "jurisdiction": rule.jurisdiction,
        "purpose": "any" if rule.purposes == frozenset(Purpose) else sorted(rule.purposes),
        "device": rule.device,
        "party": rule.party,
        "hours": None if rule.week is None else _hours_document(rule.week),
        "holidays": list(rule.holidays),
        "zone": rule.zone,
        "area_code": rule.by_area_code,
        "prohibited": rule.prohibited,
        "cap": None if rule.cap is None else {"count": rule.cap.count, "period": _period_text(rule.cap.period)},
        "consent": rule.consent,
        "lists": list(rule.lists),
        "disclosure": rule.disclosure,
        "note": rule.note,
        "source": rule.source,
        "in_force_from": None if rule.in_force_from is None else rule.in_force_from.isoformat(),
        "in_force_to": None if rule.in_force_to is None else rule.in_force_to.isoformat(),
        "checked_on": rule.checked_on.isoformat(),
        "confidence": rule.confidence,
    }
    if not rule.adopted:
        document["adopted"] = False
    return {name: value for name, value in document.items() if value not in (None, [], "")}


def check_versions(rules: Iterable[CallingRule]) -> None:
    """Raise InvalidRule for two rows with one id, and for rows of a family that overlap or leave a gap in time.

    The error's `field` is the id of the later row.
    """
    by_family: dict[str, list[CallingRule]] = {}
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise InvalidRule(rule.id, "another row has this id; a change of law needs a new id")
        seen.add(rule.id)
        by_family.setdefault(rule.family, []).append(rule)
    for versions in by_family.values():
        versions.sort(key=lambda rule: rule.in_force_from or date.min)
        for earlier, later in pairwise(versions):
            starts = later.in_force_from or date.min
            if earlier.in_force_to is None or starts <= earlier.in_force_to:
                raise InvalidRule(
                    later.id, f"overlaps {earlier.id}; end that one the day before this one comes into force"
                )
            if starts != earlier.in_force_to + timedelta(days=1):
                raise InvalidRule(
                    later.id,
                    f"leaves a gap: {earlier.id} ends on {earlier.in_force_to}, and this one starts on {starts}",
                )


def _hours_document(week: tuple[Windows, ...]) -> dict[str, list[list[str]]]:
    return {
        name: [[clock_text(window.start_minute), clock_text(window.end_minute)] for window in windows]
        for name, windows in zip(WEEKDAYS, week, strict=True)
    }


def _period_text(period: timedelta) -> str:
    hours = period // timedelta(hours=1)
    return f"{hours // 24}d" if hours > 24 and hours % 24 == 0 else f"{hours}h"


def _purposes(raw: Mapping[str, object]) -> frozenset[Purpose]:
    if raw.get("purpose") == "any":
        return frozenset(Purpose)
    items = raw.get("purpose")
    purposes = frozenset(
        _enum("purpose", Purpose, item) for item in (items if isinstance(items, list | tuple) else [items])
    )
    if not purposes:
        raise InvalidRule("purpose", "must name a purpose, or be 'any'")
    return purposes


def _week(raw: Mapping[str, object]) -> tuple[Windows, ...] | None:
    hours = raw.get("hours")
    return None if hours is None else parse_hours(hours)


def parse_hours(hours: object) -> tuple[Windows, ...]:
    """Return the windows of each weekday, Monday first; raise InvalidRule for the field `hours`."""
    if not isinstance(hours, dict) or not hours or "excluded_dates" in hours:
        raise InvalidRule("hours", 'must have days with windows, such as { weekdays = [["09:00", "20:00"]] }')
    try:
        return parse_calling_hours(hours).week
    except InvalidCallingHours as error:
        raise InvalidRule("hours", str(error)) from None


def _calendars(raw: Mapping[str, object]) -> tuple[str, ...]:
    calendars = tuple(str(item) for item in _items(raw, "holidays"))
    for calendar in calendars:
        library_holidays(calendar, 2026)
    return calendars


def _zone(raw: Mapping[str, object]) -> str | None:
    zone = raw.get("zone")
    if zone is None:
        return None
    if not isinstance(zone, str) or not is_zone_name(zone):
        raise InvalidRule("zone", f"{zone!r} is not a known time zone; use an IANA name such as America/Regina")
    return zone


def _cap(raw: Mapping[str, object]) -> RuleCap | None:
    match raw.get("cap"):
        case None:
            return None
        case {"count": int(count), "period": str(text), **rest} if not rest and count > 0:
            found = _PERIOD.fullmatch(text)
            if found is not None:
                number = int(found[1])
                return RuleCap(count, timedelta(hours=number) if found[2] == "h" else timedelta(days=number))
    raise InvalidRule("cap", 'must be a count and a period, such as { count = 3, period = "24h" } or "30d"')


def _items(raw: Mapping[str, object], name: str) -> list[object]:
    value = raw.get(name, [])
    if not isinstance(value, list | tuple):
        raise InvalidRule(name, "must be a list")
    return list(value)


def _enum(name: str, kind: type[_E], value: object) -> _E:
    if not isinstance(value, str) or value not in {member.value for member in kind}:
        raise InvalidRule(name, f"must be one of {', '.join(kind)}, not {value!r}")
    return kind(value)


def _member(raw: Mapping[str, object], name: str, kind: type[_E], default: _E | None) -> _E:
    if default is not None and name not in raw:
        return default
    return _enum(name, kind, raw.get(name))


def _text(raw: Mapping[str, object], name: str) -> str:
    value = raw.get(name, "")
    if not isinstance(value, str):
        raise InvalidRule(name, "must be text")
    return value


def _matching(raw: Mapping[str, object], name: str, pattern: re.Pattern[str], form: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise InvalidRule(name, f"must be {form}, not {value!r}")
    return value


def _flag(raw: Mapping[str, object], name: str, *, default: bool = False) -> bool:
    value = raw.get(name, default)
    if not isinstance(value, bool):
        raise InvalidRule(name, "must be true or false")
    return value


def _date(raw: Mapping[str, object], name: str) -> date | None:
    value = raw.get(name)
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    day = read_date(value)
    if day is None:
        raise InvalidRule(name, f"{value!r} is not a date; write it as 2026-12-25")
    return day


def _missing(name: str) -> NoReturn:
    raise InvalidRule(name, "is missing")
