"""The hours of a campaign hold within every rule of a place, through changes of law, holidays and daylight saving."""

from datetime import UTC, datetime

from outdial.domain.calling_hours import ALWAYS_OPEN, parse_calling_hours
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import UNRESTRICTED, EffectiveWindow, KeysMissing, NoRules, Prohibited
from outdial.rules.pack import shipped_rules

ALWAYS = parse_calling_hours(ALWAYS_OPEN)
SUNDAY = datetime(2026, 11, 29, 12, tzinfo=UTC)


def window(zones: str, jurisdictions: str, purpose: Purpose = Purpose.SALES) -> EffectiveWindow:
    return shipped_rules().window(ALWAYS, Place(zones, jurisdictions), purpose)


def test_pennsylvania_closes_at_seven_and_on_sundays_from_the_day_its_law_changes() -> None:
    pennsylvania = window("America/New_York", "US-PA")
    saturday_evening = datetime(2026, 10, 18, 0, 30, tzinfo=UTC)  # 20:30 on the last day of the old law

    assert pennsylvania.is_open(saturday_evening)
    assert pennsylvania.next_open(datetime(2026, 10, 18, 1, tzinfo=UTC)) == datetime(2026, 10, 19, 13, tzinfo=UTC)
    assert not pennsylvania.is_open(datetime(2026, 10, 19, 23, 30, tzinfo=UTC))


def test_mississippi_keeps_standard_time_in_summer() -> None:
    mississippi = window("America/Chicago", "US-MS")
    morning = datetime(2026, 7, 6, 13, tzinfo=UTC)  # 08:00 on the clock there, 07:00 standard time

    assert mississippi.next_open(morning) == datetime(2026, 7, 6, 14, tzinfo=UTC)


def test_a_prohibited_place_never_opens_and_names_its_rule() -> None:
    washington = window("America/Los_Angeles", "US-WA")

    block = washington.blocked_at(SUNDAY)

    assert isinstance(block, Prohibited)
    assert block.rule.id == "US-WA-AUTOMATED"
    assert washington.never_opens(SUNDAY)
    assert not window("America/Los_Angeles", "US-WA", Purpose.SURVEY).never_opens(SUNDAY)


def test_a_country_without_a_rule_and_a_place_without_keys_wait() -> None:
    india, unknown = window("Asia/Kolkata", "IN"), window("America/New_York", "")

    assert india.blocked_at(SUNDAY) == NoRules(("IN",))
    assert unknown.blocked_at(SUNDAY) == KeysMissing()
    for closed in (india, unknown):
        assert not closed.is_open(SUNDAY)
        assert closed.next_open(SUNDAY) is None
        assert not closed.never_opens(SUNDAY)
    switched = shipped_rules().for_organization(frozenset({"IN-NO-RULE"}), ())
    assert switched.window(ALWAYS, Place("Asia/Kolkata", "IN"), Purpose.SALES).is_open(SUNDAY)


def test_a_book_without_rules_restricts_nothing() -> None:
    anywhere = UNRESTRICTED.window(ALWAYS, Place("Asia/Kolkata", ""), Purpose.SALES)

    assert anywhere.is_open(SUNDAY)
    assert anywhere.blocked_at(SUNDAY) is None
