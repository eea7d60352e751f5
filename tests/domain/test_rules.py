"""The hours of a campaign hold within every rule of a place, through changes of law, holidays and daylight saving."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from outdial.domain.calling_hours import ALWAYS_OPEN, parse_calling_hours
from outdial.domain.location import Location, StatedPlace, locate
from outdial.domain.phone import Phone, parse_phone
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rule_parsing import parse_rule
from outdial.domain.rules import UNRESTRICTED, CallingRule, EffectiveWindow, KeysMissing, NoRules, Prohibited, RuleBook
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


def test_a_country_without_a_rule_for_the_purpose_waits() -> None:
    for zone, country in (("America/Toronto", "CA-ON"), ("Europe/Berlin", "DE"), ("Australia/Sydney", "AU")):
        assert window(zone, country).blocked_at(SUNDAY) is None
        assert window(zone, country, Purpose.SURVEY).blocked_at(SUNDAY) == NoRules((country[:2],))
        assert not window(zone, country, Purpose.SURVEY).is_open(SUNDAY)
    assert window("America/New_York", "US-NY", Purpose.SURVEY).blocked_at(SUNDAY) is None


def test_default_hours_hold_where_no_rule_sets_hours_and_an_own_rule_replaces_them() -> None:
    berlin, monday = Place("Europe/Berlin", "DE"), datetime(2026, 11, 30, tzinfo=UTC)
    long = rule(id="OWN-DE", jurisdiction="DE", hours={"every_day": [["06:00", "22:00"]]})
    own = shipped_rules().for_organization(frozenset(), (long,))

    germany, replaced = window("Europe/Berlin", "DE"), own.window(ALWAYS, berlin, Purpose.SALES)

    assert germany.next_open(monday) == monday.replace(hour=7)
    assert not germany.is_open(monday.replace(hour=20))
    assert replaced.next_open(monday) == monday.replace(hour=5)
    assert shipped_rules().default_window(berlin, Purpose.SALES, monday) is not None
    assert own.default_window(berlin, Purpose.SALES, monday) is None
    assert window("America/New_York", "US-NY", Purpose.SURVEY).next_open(monday.replace(hour=3)) == monday.replace(
        hour=13
    )


def test_default_hours_hold_in_each_jurisdiction_without_hours() -> None:
    both = window("America/Chicago", "US-IL|US-TX", Purpose.SURVEY)  # Illinois sets hours for any purpose.
    texas = rule(hours={"every_day": [["00:00", "24:00"]]}, in_force_from="2026-12-07")
    unknown = shipped_rules().for_organization(frozenset({"US-ZZ-ANY-HOURS"}), (texas,))

    assert both.next_open(datetime(2026, 11, 30, 6, tzinfo=UTC)) == datetime(2026, 11, 30, 15, tzinfo=UTC)
    assert not window("America/Chicago", "US-TX", Purpose.SURVEY).is_open(NOON.replace(hour=8))
    for day, opens in ((6, 14), (8, 6)):
        midnight = datetime(2026, 12, day, 6, tzinfo=UTC)
        found = shipped_rules().for_organization(frozenset(), (texas,)).window(ALWAYS, TEXAS, Purpose.SURVEY)
        assert found.next_open(midnight) == midnight.replace(hour=opens)
    zz = unknown.window(ALWAYS, Place("America/Chicago", "US-ZZ"), Purpose.SURVEY)
    assert zz.next_open(datetime(2026, 12, 8, 6, tzinfo=UTC)) == datetime(2026, 12, 8, 14, tzinfo=UTC)


def test_a_book_without_rules_restricts_nothing() -> None:
    anywhere = UNRESTRICTED.window(ALWAYS, Place("Asia/Kolkata", ""), Purpose.SALES)

    assert anywhere.is_open(SUNDAY)
    assert anywhere.blocked_at(SUNDAY) is None


def rule(**raw: object) -> CallingRule:
    """Return a rule of the state of Texas for every purpose."""
    row = {"id": "OWN-RULE", "jurisdiction": "US-TX", "purpose": "any", "source": "ours", "confidence": "q"}
    return parse_rule({**row, **raw}, checked_on=date(2026, 11, 28))


def book(*rules: CallingRule) -> RuleBook:
    """Return a book of rules, and of one without effect: the country has a rule at any time."""
    return RuleBook([rule(id="US-BASE", jurisdiction="US"), *rules], pack_date=date(2026, 11, 28))


TEXAS = Place("America/Chicago", "US-TX")
NOON = datetime(2026, 11, 30, 18, tzinfo=UTC)


def test_several_rules_and_the_campaign_are_open_together() -> None:
    late = rule(id="US-LATE", hours={"every_day": [["09:00", "12:00"], ["15:00", "21:00"]]})
    early = rule(id="US-EARLY", hours={"every_day": [["08:00", "20:00"]]})
    hours = parse_calling_hours({"every_day": [["10:00", "24:00"]], "excluded_dates": ["2026-12-01"]})

    texas = book(late, early).window(hours, TEXAS, Purpose.SURVEY)

    assert texas.next_open(datetime(2026, 11, 30, 14, tzinfo=UTC)) == datetime(2026, 11, 30, 16, tzinfo=UTC)
    assert texas.next_open(NOON) == datetime(2026, 11, 30, 21, tzinfo=UTC)
    assert texas.next_open(datetime(2026, 12, 1, 2, tzinfo=UTC)) == datetime(2026, 12, 2, 16, tzinfo=UTC)


def test_a_law_that_closes_for_a_while_is_looked_through() -> None:
    closed = rule(prohibited=True, in_force_from="2026-12-01", in_force_to="2027-02-28")

    texas = book(closed).window(ALWAYS, TEXAS, Purpose.SALES)

    assert texas.is_open(NOON)
    assert texas.blocked_at(NOON) is None
    assert texas.blocked_at(NOON + timedelta(days=3)) == Prohibited(closed)
    assert texas.next_open(NOON + timedelta(days=3)) == datetime(2027, 3, 1, 6, tzinfo=UTC)
    assert not texas.never_opens(NOON + timedelta(days=3))


def test_a_law_that_opens_in_several_years_is_not_taken_for_never() -> None:
    closed = rule(prohibited=True, in_force_to="2031-06-30")

    texas = book(closed).window(ALWAYS, TEXAS, Purpose.SALES)

    assert texas.next_open(NOON) is None
    assert not texas.never_opens(NOON)


def test_hours_that_a_coming_law_closes_for_good_open_until_then_and_never_after() -> None:
    morning = rule(hours={"every_day": [["08:00", "09:00"]]}, in_force_from="2027-01-01")
    hours = parse_calling_hours({"every_day": [["10:00", "11:00"]]})

    texas = book(morning).window(hours, TEXAS, Purpose.SALES)

    assert not texas.never_opens(NOON)
    assert texas.never_opens(datetime(2027, 1, 2, 12, tzinfo=UTC))
    assert texas.next_open(datetime(2026, 12, 31, 18, tzinfo=UTC)) is None


def test_a_law_changes_at_midnight_of_each_zone_of_the_contact() -> None:
    closed = rule(jurisdiction="US", prohibited=True, in_force_from="2026-12-01")

    both = book(closed).window(ALWAYS, Place("America/Denver|America/New_York", "US-TX"), Purpose.SALES)

    assert both.is_open(datetime(2026, 12, 1, 4, 59, tzinfo=UTC))
    assert not both.is_open(datetime(2026, 12, 1, 5, tzinfo=UTC))
    assert [rule.id for rule in both.rules_at(datetime(2026, 12, 1, 5, tzinfo=UTC))] == ["OWN-RULE", "US-BASE"]


def test_a_holiday_ends_and_the_days_of_the_packs_close_too() -> None:
    louisiana = window("America/Chicago", "US-LA")

    # Sunday, All Saints' Day, then an election and Veterans Day.
    assert louisiana.next_open(datetime(2026, 11, 1, 15, tzinfo=UTC)) == datetime(2026, 11, 2, 14, tzinfo=UTC)
    assert louisiana.next_open(datetime(2026, 11, 3, 15, tzinfo=UTC)) == datetime(2026, 11, 4, 14, tzinfo=UTC)
    assert not louisiana.never_opens(datetime(2026, 11, 3, 15, tzinfo=UTC))
    alabama = window("America/Chicago", "US-AL")
    assert alabama.next_open(datetime(2027, 2, 9, 15, tzinfo=UTC)) == datetime(
        2027, 2, 10, 14, tzinfo=UTC
    )  # Mardi Gras


def test_an_organization_switches_rules_off_and_adds_its_own() -> None:
    shipped = shipped_rules()
    own = rule(id="OWN-TEXAS", hours={"weekdays": [["12:00", "13:00"]]})

    mine = shipped.for_organization(frozenset({"US-WA-AUTOMATED"}), (own,))

    washington = mine.window(ALWAYS, Place("America/Los_Angeles", "US-WA"), Purpose.SALES)
    assert washington.blocked_at(NOON) is None
    assert washington.is_open(NOON)
    assert mine.window(ALWAYS, TEXAS, Purpose.SALES).is_open(NOON)
    assert not mine.window(ALWAYS, TEXAS, Purpose.SALES).is_open(NOON + timedelta(hours=1))
    assert mine is shipped.for_organization(frozenset({"US-WA-AUTOMATED"}), (own,))
    assert mine.pack_date == shipped.pack_date
    # The contact may be in Texas.
    anywhere = mine.window(ALWAYS, Place("America/Chicago", "US-ZZ"), Purpose.SURVEY)
    assert not anywhere.is_open(NOON + timedelta(hours=1))


def test_switching_off_every_rule_of_a_country_does_not_close_it() -> None:
    off = shipped_rules().for_organization(frozenset({"GB-PECR"}), ())

    britain = off.window(ALWAYS, Place("Europe/London", "GB"), Purpose.SALES)

    assert britain.rules == ()
    assert britain.is_open(NOON)


def test_rules_of_the_european_union_do_not_open_its_countries() -> None:
    ireland = window("Europe/Dublin", "IE")

    assert {rule.id for rule in ireland.rules_at(NOON)} == {"EU-AI-DISCLOSE", "EU-AUTOMATED"}
    assert ireland.blocked_at(NOON) == NoRules(("IE",))


def test_a_territory_has_the_federal_rules_and_a_caribbean_country_has_none() -> None:
    puerto_rico, jamaica = window("America/Puerto_Rico", "US-PR"), window("America/Jamaica", "JM")

    assert {"US-FCC-HOURS", "US-FTC-HOURS"} <= {rule.id for rule in puerto_rico.rules_at(NOON)}
    assert puerto_rico.is_open(NOON)
    assert jamaica.blocked_at(NOON) == NoRules(("JM",))


def test_a_country_opens_from_the_day_on_which_its_first_rule_is_in_force() -> None:
    india = rule(
        id="OWN-INDIA", jurisdiction="IN", in_force_from="2026-12-01", hours={"every_day": [["09:00", "18:00"]]}
    )
    mine = shipped_rules().for_organization(frozenset(), (india,))

    calls = mine.window(ALWAYS, Place("Asia/Kolkata", "IN"), Purpose.SALES)

    assert calls.blocked_at(datetime(2026, 11, 30, 5, tzinfo=UTC)) == NoRules(("IN",))
    assert calls.is_open(datetime(2026, 12, 1, 5, tzinfo=UTC))


def test_a_rule_of_one_province_does_not_open_the_other_one_of_an_area_code() -> None:
    for province, other in (("CA-NS", "CA-PE"), ("CA-PE", "CA-NS")):
        mine = shipped_rules().for_organization(frozenset(), (rule(jurisdiction=province),))

        either = mine.window(ALWAYS, Place("America/Halifax", "CA-NS|CA-PE"), Purpose.SURVEY)

        assert either.blocked_at(NOON) == NoRules(("CA",))
        assert mine.window(ALWAYS, Place("America/Halifax", province), Purpose.SURVEY).blocked_at(NOON) is None
        assert mine.window(ALWAYS, Place("America/Halifax", other), Purpose.SURVEY).blocked_at(NOON) == NoRules(("CA",))


def test_an_unknown_zone_is_never_open() -> None:
    nowhere = shipped_rules().window(ALWAYS, Place("Mars/Base", "US-TX"), Purpose.SALES)

    assert not nowhere.is_open(NOON)
    assert nowhere.next_open(NOON) is None
    assert nowhere.never_opens(NOON)


def test_rules_that_go_by_the_area_code_are_those_that_the_location_goes_by() -> None:
    by_area_code = {rule.jurisdiction for rule in shipped_rules().rules if rule.by_area_code}

    assert by_area_code == {"US-SC", "US-VA"}
    phone = parse_phone("+18042345678", None)
    assert isinstance(phone, Phone)
    moved = locate(phone, StatedPlace(country="US", region="TX"))
    assert isinstance(moved, Location)
    assert "US-VA" in moved.place.jurisdictions


def test_a_demo_judges_rules_and_hours_at_another_time() -> None:
    ahead = timedelta(days=100, hours=3)
    late = shipped_rules().at_another_time(ahead)
    hours = parse_calling_hours({"weekdays": [["10:00", "19:00"]]})
    place = Place("America/Chicago", "US-LA")
    now, later = (each.window(hours, place, Purpose.SALES) for each in (shipped_rules(), late))

    for n in range(0, 400, 3):
        at = NOON + timedelta(hours=n)
        assert later.is_open(at) is now.is_open(at + ahead)
        opens = now.next_open(at + ahead)
        assert later.next_open(at) == (opens and opens - ahead)
        assert later.rules_at(at) == now.rules_at(at + ahead)
        assert later.judged_at(at) == at + ahead
    assert late.without_rules().window(hours, place, Purpose.SALES).next_open(NOON) == NOON
    assert late.for_organization(frozenset({"US-LA-HOURS"}), ()).ahead == ahead
    assert shipped_rules().without_rules() is UNRESTRICTED
    assert shipped_rules().at_another_time(timedelta()) is shipped_rules()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 47), st.integers(1, 48), st.integers(0, 700), st.integers(1, 400)), max_size=3),
    st.integers(0, 47),
    st.integers(0, 600),
)
def test_never_opens_is_proven(laws: list[tuple[int, int, int, int]], start: int, begin: int) -> None:
    """Compare with a walk through each Monday until every law has ended or begun."""
    day = date(2026, 1, 1)
    rules = [
        rule(
            id=f"OWN-{number}",
            hours={"weekdays": [[clock(min(a, b - 1)), clock(b)]]} if a < b else None,
            in_force_from=(day + timedelta(days=first)).isoformat(),
            in_force_to=(day + timedelta(days=first + length)).isoformat() if length < 300 else None,
        )
        for number, (a, b, first, length) in enumerate(laws)
    ]
    hours = parse_calling_hours({"monday": [[clock(start), clock(start + 1)]]})
    texas = book(*rules).window(hours, TEXAS, Purpose.SALES)
    after = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=begin)
    zone = ZoneInfo("America/Chicago")

    mondays = (datetime.combine(date(2026, 1, 5) + timedelta(weeks=n), time(), zone) for n in range(170))
    moments = [monday + timedelta(minutes=30 * start) for monday in mondays]
    opens = any(texas.is_open(moment) for moment in moments if moment.astimezone(UTC) >= after)

    assert texas.never_opens(after) is not opens


def clock(half_hours: int) -> str:
    return f"{half_hours // 2:02}:{half_hours % 2 * 30:02}"


@given(
    st.sampled_from(
        [("America/New_York|America/Chicago", "US-PA"), ("Asia/Kathmandu", "US-MS"), ("Europe/London", "GB")]
    ),
    st.lists(st.integers(-90_000_000, 90_000_000), min_size=2, max_size=6),
)
def test_what_was_computed_last_is_valid_for_its_minute_only(place: tuple[str, str], offsets: list[int]) -> None:
    known = window(*place)
    for offset in offsets:
        for moment in (SUNDAY + timedelta(milliseconds=offset), SUNDAY + timedelta(milliseconds=offset + 59_000)):
            fresh = EffectiveWindow(
                place=known.place,
                purpose=known.purpose,
                rules=known.rules,
                schedules=known.schedules,
                covering=known._covering,
                ahead=timedelta(),
            )
            assert known.is_open(moment) == fresh.is_open(moment)
            assert known.rules_at(moment) == fresh.rules_at(moment)
