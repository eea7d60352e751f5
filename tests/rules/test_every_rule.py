"""No call starts outside any rule, over every area code, change of clocks, holiday and change of law of two years.

The judge is `outdial.promises.law`, which reads the packs itself and shares no code with the engine. With any single
row taken from the engine's book, the same comparison must fail.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from phonenumbers.tzdata import TIMEZONE_DATA

from outdial.domain.calling_hours import ALWAYS_OPEN, parse_calling_hours
from outdial.domain.geography.area_zones import jurisdictions_of_area_code, zones_of_area_code
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import CallingRule, EffectiveWindow, NoRules, RuleBook
from outdial.promises.law import Law, LawOfPlace, written_law
from outdial.rules.pack import shipped_rules

ALWAYS = parse_calling_hours(ALWAYS_OPEN)
FIRST, LAST = date(2026, 1, 1), date(2027, 12, 31)
HALF_HOUR = timedelta(minutes=30)


@cache
def area_codes() -> list[str]:
    """Return the area codes of the United States and Canada that libphonenumber knows."""
    codes = {prefix[1:4] for prefix in map(str, TIMEZONE_DATA) if prefix[0] == "1" and len(prefix) >= 4}
    return sorted(code for code in codes if any(name[:2] in ("US", "CA") for name in jurisdictions_of_area_code(code)))


@cache
def places() -> list[Place]:
    """Return each place that an area code stands for, once, and the places that rules name but no area code does."""
    found = [
        Place("|".join(sorted(zones_of_area_code(code))), "|".join(sorted(jurisdictions_of_area_code(code))))
        for code in area_codes()
    ]
    elsewhere = [
        Place("America/Chicago|America/New_York", "US-ZZ"),
        Place("America/Chicago|America/Denver", "US-NE|US-SD"),
        Place("Europe/London", "GB"),
        Place("Europe/Paris", "FR"),
        Place("Europe/Berlin", "DE"),
        Place("Australia/Sydney", "AU"),
        Place("Asia/Kolkata", "IN"),
    ]
    return list(dict.fromkeys([*found, *elsewhere]))


@cache
def odd_days(country: str) -> list[date]:
    """Return the days to try in a country: each change of clocks, holiday and change of law, and two plain weeks."""
    book = shipped_rules()
    days = {first + timedelta(days=n) for first in (date(2026, 6, 1), date(2027, 1, 25)) for n in range(7)}
    every_day = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    zones = {zone for place in places() if country in place.jurisdiction_key for zone in place.zone_key.split("|")}
    for zone in zones:
        noons = [datetime.combine(day, time(12), ZoneInfo(zone)) for day in every_day]
        days |= {later.date() for earlier, later in pairwise(noons) if earlier.utcoffset() != later.utcoffset()}
    rules = [rule for rule in book.rules if rule.country in (country, "EU")]
    calendars = {calendar for rule in rules for calendar in rule.holidays}
    days |= {day for day in every_day if any(book.calendars.name_of(calendar, day) for calendar in calendars)}
    changes = {day for rule in rules for day in (rule.in_force_from, rule.in_force_to) if day is not None}
    days |= {change + timedelta(days=n) for change in changes for n in (-1, 0, 1)}
    return sorted(day for day in days if FIRST <= day <= LAST)


def days_of(place: Place) -> list[date]:
    return odd_days(place.jurisdiction_key[:2])


def moments(day: date) -> Iterator[datetime]:
    """Return each half hour of a day in UTC: every rule begins and ends on one."""
    midnight = datetime.combine(day, time(), UTC)
    return (midnight + n * HALF_HOUR for n in range(48))


def window(book: RuleBook, place: Place, purpose: Purpose) -> EffectiveWindow:
    return book.window(ALWAYS, place, purpose)


def closing(law: LawOfPlace) -> LawOfPlace:
    """Return only the rows that can forbid a call at a time; duties and caps cannot."""
    return law.without([row["id"] for row in law.rows if not row.keys() & {"hours", "holidays", "prohibited"}])


def unlawful_starts(book: RuleBook, law: Law, place: Place, purpose: Purpose, days: list[date]) -> Iterator[str]:
    """Return each moment at which the engine would call and the law forbids it, or the other way around."""
    hours, zones = window(book, place, purpose), place.zone_key.split("|")
    local_law = closing(law.in_place(place.jurisdictions, purpose))
    for day in days:
        for at in moments(day):
            breaches = local_law.breaches(at, zones)
            if hours.is_open(at) is bool(breaches):
                yield f"{place} {purpose} {at}: open is {hours.is_open(at)}, but {breaches or 'nothing forbids it'}"


def wrong_rules(book: RuleBook, law: Law, place: Place, purpose: Purpose, days: list[date]) -> Iterator[str]:
    """Return each day on which the engine lists other rules or caps than the law has."""
    hours, local_law = window(book, place, purpose), law.in_place(place.jurisdictions, purpose)
    for day in days:
        at = datetime.combine(day, time(18), UTC)
        rows = local_law.in_force(at, place.zone_key.split("|"))
        rules = hours.rules_at(at)
        listed = sorted(rule.id for rule in rules)
        if listed != sorted(row["id"] for row in rows):
            yield f"{place} {purpose} {at}: {listed}"
        caps = {(rule.cap.count, rule.cap.period) for rule in rules if rule.cap is not None}
        if caps != {(row["cap"]["count"], period(row["cap"]["period"])) for row in rows if "cap" in row}:
            yield f"{place} {purpose} {at}: {caps}"


def period(text: str) -> timedelta:
    return timedelta(hours=int(text[:-1])) if text.endswith("h") else timedelta(days=int(text[:-1]))


def test_there_is_a_place_for_every_state_and_province() -> None:
    found = {name for place in places() for name in place.jurisdictions}

    assert len(area_codes()) > 380
    assert {rule.jurisdiction for rule in shipped_rules().rules if "-" in rule.jurisdiction} <= found
    assert len({name for name in found if name.startswith("US-")}) >= 52
    assert len({name for name in found if name.startswith("CA-")}) == 13


def test_every_rule_begins_and_ends_on_a_half_hour() -> None:
    for rule in shipped_rules().rules:
        for windows in rule.week or ():
            assert all(edge % 30 == 0 for window in windows for edge in (window.start_minute, window.end_minute))


def test_no_sales_call_starts_outside_any_applicable_rule() -> None:
    book, law = shipped_rules(), written_law()

    for place in places():
        assert not list(unlawful_starts(book, law, place, Purpose.SALES, days_of(place)))[:3]
        assert not list(wrong_rules(book, law, place, Purpose.SALES, days_of(place)))[:3]


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.SALES])
def test_no_other_call_starts_outside_any_applicable_rule(purpose: Purpose) -> None:
    book, law = shipped_rules(), written_law()

    for place in places():
        assert not list(unlawful_starts(book, law, place, purpose, days_of(place)[::6]))[:3]
        assert not list(wrong_rules(book, law, place, purpose, days_of(place)))[:3]


def test_next_open_is_the_first_lawful_moment() -> None:
    book, law = shipped_rules(), written_law()

    for place in places():
        hours, zones = window(book, place, Purpose.SALES), place.zone_key.split("|")
        local_law = law.in_place(place.jurisdictions, Purpose.SALES)
        for day in days_of(place)[::9]:
            after = datetime.combine(day, time(3, 7), UTC)
            found = hours.next_open(after)
            if found is None:
                assert hours.never_opens(after) or isinstance(hours.blocked_at(after), NoRules)
                continue
            assert not local_law.breaches(found, zones)
            assert found == after or local_law.breaches(found - timedelta(seconds=1), zones)


@cache
def concerned(rule: CallingRule) -> Place:
    """Return a place to try a rule in, the one with the fewest jurisdictions."""
    book = shipped_rules()
    fitting = [place for place in places() if any(book.applies(rule, name) for name in place.jurisdictions)]
    return min(fitting, key=lambda place: (len(place.jurisdictions), len(place.zone_key)))


def planted_removal(book: RuleBook, rule: CallingRule) -> RuleBook:
    return RuleBook(
        [other for other in book.rules if other is not rule],
        pack_date=book.pack_date,
        calendars=book.calendars,
        groups=book.groups,
        covered=book.rules,
        default_hours=book.default_hours,
    )


def matters(rule: CallingRule, law: Law) -> bool:
    """Return whether the law itself allows more calls without a row: not if others forbid the same hours."""
    place, purpose = concerned(rule), min(rule.purposes)
    whole, zones = closing(law.in_place(place.jurisdictions, purpose)), place.zone_key.split("|")
    without = whole.without([rule.id])
    times = (at for day in days_of(place) for at in moments(day))
    return any(whole.breaches(at, zones) and not without.breaches(at, zones) for at in times)


def test_the_removal_of_any_single_rule_is_found() -> None:
    book, law = shipped_rules(), written_law()
    by_starts = set()
    for rule in book.rules:
        if not rule.adopted:
            continue
        place, purpose, planted = concerned(rule), min(rule.purposes), planted_removal(book, rule)
        assert next(wrong_rules(planted, law, place, purpose, days_of(place)), None), rule.id
        if rule.week is not None or rule.holidays or rule.prohibited:
            found = next(unlawful_starts(planted, law, place, purpose, days_of(place)), None)
            assert (found is not None) is matters(rule, law), rule.id
            by_starts |= {rule.id} if found else set()

    assert by_starts >= {
        *("US-PA-HOURS", "US-PA-HOURS-2026", "US-MS-HOURS", "US-MS-LOCAL-HOURS", "US-WA-AUTOMATED", "US-ZZ-AUTOMATED"),
        *("US-OR-HOURS-2026", "US-NE-RECORDED-HOURS", "US-IL-RECORDED-HOURS", "FR-HOURS", "AU-HOURS"),
    }
    assert len(by_starts) > 30
