"""The usual week of a place is what the rules in force leave of the hours, on the contact's clock."""

from datetime import UTC, date, datetime

from outdial.domain.calling_hours import ALWAYS_OPEN, parse_calling_hours
from outdial.domain.explaining.closed_contacts import COUNTED, closed_contacts
from outdial.domain.explaining.effective_week import (
    US_STATES,
    EffectiveWeek,
    effective_week,
    monday_of,
    places_with_rules,
    usual_place,
)
from outdial.domain.explaining.rule_wording import week_text
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import UNRESTRICTED, Prohibited
from outdial.rules.pack import shipped_rules

NOVEMBER = date(2026, 11, 30)
JULY = date(2026, 7, 6)
ALWAYS = parse_calling_hours(ALWAYS_OPEN)
DAYTIME = parse_calling_hours({"weekdays": [["09:00", "20:00"]]})


def week(place: str | Place, monday: date = NOVEMBER, purpose: Purpose = Purpose.SALES) -> EffectiveWeek:
    """Return the week that the shipped rules leave of all hours."""
    at = usual_place(place) if isinstance(place, str) else place
    return effective_week(shipped_rules(), hours=ALWAYS, place=at, purpose=purpose, monday=monday)


def test_each_state_has_the_hours_of_its_rules() -> None:
    texas, florida = week("US-TX"), week("US-FL")

    assert week_text(texas.week) == "Mon–Sat 09:00–21:00; Sun 12:00–21:00"
    assert "US-TX-HOURS" in {rule.id for rule in texas.narrowing}
    assert week_text(florida.week) == "Every day 08:00–20:00"
    assert "US-TX-HOURS" not in {rule.id for rule in florida.narrowing}
    assert week_text(week("US-TX", purpose=Purpose.SURVEY).week) == "Every day 08:00–21:00"


def test_a_law_that_changes_changes_the_week() -> None:
    before, after = week("US-PA", date(2026, 10, 5)), week("US-PA", date(2026, 10, 19))

    assert week_text(before.week) == "Every day 08:00–21:00"
    assert week_text(after.week) == "Mon–Sat 09:00–19:00; Sun closed"


def test_a_rule_on_another_clock_is_shown_on_the_contacts() -> None:
    winter, summer = week("US-MS"), week("US-MS", JULY)

    assert winter.week[0][0].start_minute == 8 * 60
    # Central Standard Time is an hour behind the clock in summer.
    assert summer.week[0][0].start_minute == 9 * 60


def test_two_zones_share_fewer_hours() -> None:
    both = week(Place("America/Chicago|America/New_York", "US-TN"))

    # 08:00 to 21:00 in both, on the clock of Chicago.
    assert week_text(both.week) == "Every day 08:00–20:00"


def test_hours_around_midnight_join() -> None:
    night = parse_calling_hours({"every_day": [["00:00", "06:00"], ["18:00", "24:00"]]})
    far = effective_week(
        UNRESTRICTED, hours=night, place=Place("Asia/Tokyo", "US-NY"), purpose=Purpose.SURVEY, monday=NOVEMBER
    )

    assert week_text(far.week) == "Every day 00:00–06:00, 18:00–24:00"


def test_a_prohibited_place_is_closed() -> None:
    washington = week("US-WA")

    assert isinstance(washington.block, Prohibited)
    assert washington.is_closed
    assert not week("US-OR").is_closed


def test_the_places_are_each_state_the_unknown_one_and_the_countries_with_rules() -> None:
    keys = [place.jurisdiction_key for place in places_with_rules(shipped_rules())]

    assert len(US_STATES) == 51
    assert keys[:51] == list(US_STATES)
    assert keys[51] == "US-ZZ"
    assert {"GB", "FR", "CA"} <= set(keys[52:])
    assert "EU" not in keys
    assert monday_of(date(2026, 12, 6)) == NOVEMBER


def test_contacts_that_no_hour_opens_are_counted_by_reason() -> None:
    counts = {
        Place("Europe/Madrid", "ES"): 10,
        Place("Atlantic/Canary", "ES"): 2,
        Place("America/Los_Angeles", "US-WA"): 1,
        Place("America/New_York", ""): 3,
        Place("America/New_York", "US-NY"): 5,
        Place("Europe/Lisbon", "PT"): COUNTED,
    }
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)

    closed = closed_contacts(shipped_rules(), hours=DAYTIME, purpose=Purpose.SALES, counts=counts, at=at)

    assert [(each.text, each.rule_id) for each in closed] == [
        ("1,000 or more contacts in Portugal: no rule", "PT-NO-RULE"),
        ("12 contacts in Spain: no rule", "ES-NO-RULE"),
        ("3 contacts: the place is not computed yet", None),
        ("1 contact in Washington: such calls are prohibited (US-WA-AUTOMATED)", "US-WA-AUTOMATED"),
    ]


def test_hours_that_never_meet_the_rules_are_counted_too() -> None:
    sundays = parse_calling_hours({"sunday": [["09:00", "20:00"]]})
    counts = {Place("America/New_York", "US-PA"): 4, Place("America/New_York", "US-NY"): 5}

    (closed,) = closed_contacts(
        shipped_rules(), hours=sundays, purpose=Purpose.SALES, counts=counts, at=datetime(2026, 11, 30, tzinfo=UTC)
    )

    assert closed.text == "4 contacts in Pennsylvania: the calling hours never meet the rules"
