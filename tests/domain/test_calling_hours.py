"""Calling hours hold in every zone of a contact, on every day of the year, the odd ones included."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outdial.domain.calling_hours import (
    DEFAULT_HOURS,
    CallingHours,
    is_zone_name,
    local_times,
    parse_calling_hours,
    zones_of,
)
from outdial.domain.errors import InvalidCallingHours, UnknownZone
from outdial.domain.openings import SEARCH, Window
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import UNRESTRICTED, EffectiveWindow

MINUTE = timedelta(minutes=1)
ZONES = sorted(name for name in available_timezones() if is_zone_name(name))

# Moments near a change of offset, and the zones that have it.
ODD_MOMENTS = [
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Europe/London", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/London", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 23, 22, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Pacific/Kwajalein", datetime(1993, 8, 21, 12, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(1985, 12, 31, 18, 30, tzinfo=UTC)),
]


def window(hours: CallingHours, key: str) -> EffectiveWindow:
    return UNRESTRICTED.window(hours, Place(key, ""), Purpose.SALES)


def is_open(hours: CallingHours, key: str, at: datetime) -> bool:
    return window(hours, key).is_open(at)


def next_open(hours: CallingHours, key: str, after: datetime) -> datetime | None:
    return window(hours, key).next_open(after)


def never_opens(hours: CallingHours, key: str, at: datetime) -> bool:
    return window(hours, key).never_opens(at)


def hours_of(**raw: Any) -> CallingHours:
    return parse_calling_hours(raw)


@st.composite
def some_hours(draw: st.DrawFn) -> CallingHours:
    """Draw hours with up to two windows a day and some excluded dates around the drawn moments."""
    week = []
    for _ in range(7):
        edges = draw(st.lists(st.integers(0, 1440), max_size=4, unique=True).map(sorted))
        week.append(tuple(Window(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)))
    return CallingHours(
        tuple(week), frozenset(draw(st.lists(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=3)))
    )


keys = st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True).map(lambda names: "|".join(sorted(names)))
moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def odd_places(draw: st.DrawFn) -> tuple[str, datetime]:
    """Draw a zone and a moment within a day and a half before one of its changes of offset."""
    zone, change = draw(st.sampled_from(ODD_MOMENTS))
    return zone, change - draw(st.timedeltas(timedelta(hours=-3), timedelta(hours=36)))


def scan(hours: CallingHours, key: str, after: datetime, span: timedelta) -> datetime | None:
    """Return the first open moment by trying `after` and then every whole minute, the slow and certain way."""
    moment, end = after, after + span
    while moment < end:
        if is_open(hours, key, moment):
            return moment
        moment = moment.replace(second=0, microsecond=0) + MINUTE
    return None


@settings(max_examples=60, deadline=None)
@given(some_hours(), keys, moments)
def test_next_open_is_what_a_scan_of_the_minutes_finds(hours: CallingHours, key: str, after: datetime) -> None:
    span = timedelta(days=2)

    found = next_open(hours, key, after)

    assert (found if found is not None and found < after + span else None) == scan(hours, key, after, span)


@settings(max_examples=150, deadline=None)
@given(some_hours(), odd_places())
def test_next_open_is_what_a_scan_finds_where_the_offset_changes(
    hours: CallingHours, place: tuple[str, datetime]
) -> None:
    zone, after = place
    span = timedelta(days=2)

    found = next_open(hours, zone, after)

    assert (found if found is not None and found < after + span else None) == scan(hours, zone, after, span)


@settings(deadline=None)
@given(some_hours(), keys, moments)
def test_next_open_is_open_and_within_the_search(hours: CallingHours, key: str, after: datetime) -> None:
    found = next_open(hours, key, after)

    if found is not None:
        assert is_open(hours, key, found)
        assert after <= found < after + SEARCH
        assert found == after or not is_open(hours, key, found - timedelta(microseconds=1))


@pytest.mark.parametrize("zone", ZONES)
def test_every_zone_opens_at_nine_local_time_all_year_round(zone: str) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(52):
        found = next_open(DEFAULT_HOURS, zone, at)
        assert found is not None
        local = found.astimezone(zones_of(zone)[0])
        assert found == at or (local.hour, local.minute, local.second) == (9, 0, 0)
        assert local.weekday() < 5
        at += timedelta(days=7)


@given(some_hours(), keys, moments)
def test_several_zones_are_open_exactly_when_each_of_them_is(hours: CallingHours, key: str, at: datetime) -> None:
    assert is_open(hours, key, at) is all(is_open(hours, name, at) for name in key.split("|"))


@given(some_hours(), keys, moments)
def test_several_zones_never_open_before_each_of_them(hours: CallingHours, key: str, after: datetime) -> None:
    together = next_open(hours, key, after)

    alone = [next_open(hours, name, after) for name in key.split("|")]
    if together is not None:
        assert all(moment is not None and moment <= together for moment in alone)


def test_a_window_that_starts_in_the_missing_hour_opens_at_the_change() -> None:
    hours = hours_of(sunday=[["02:30", "04:00"]])

    found = next_open(hours, "America/New_York", datetime(2026, 3, 8, 5, tzinfo=UTC))

    assert found == datetime(2026, 3, 8, 7, tzinfo=UTC)


def test_a_window_inside_the_missing_hour_never_opens_that_day() -> None:
    hours = hours_of(sunday=[["02:15", "02:45"]])

    found = next_open(hours, "America/New_York", datetime(2026, 3, 8, 5, tzinfo=UTC))

    assert found == datetime(2026, 3, 15, 6, 15, tzinfo=UTC)


def test_a_window_in_the_repeated_hour_opens_twice() -> None:
    hours = hours_of(sunday=[["01:15", "01:30"]])
    midnight = datetime(2026, 11, 1, 4, tzinfo=UTC)

    assert next_open(hours, "America/New_York", midnight) == midnight + timedelta(hours=1, minutes=15)
    closed = midnight + timedelta(hours=1, minutes=30)
    assert next_open(hours, "America/New_York", closed) == midnight + timedelta(hours=2, minutes=15)


def test_a_window_that_has_closed_opens_again_when_the_clock_goes_back_into_it() -> None:
    hours = hours_of(sunday=[["00:00", "01:30"]])
    closed = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)

    assert not is_open(hours, "America/New_York", closed)
    assert next_open(hours, "America/New_York", closed) == datetime(2026, 11, 1, 6, tzinfo=UTC)


def test_lord_howe_moves_by_half_an_hour() -> None:
    hours = hours_of(sunday=[["02:10", "03:00"]])

    found = next_open(hours, "Australia/Lord_Howe", datetime(2026, 10, 3, 14, tzinfo=UTC))

    assert found == datetime(2026, 10, 3, 15, 30, tzinfo=UTC)  # 02:00 became 02:30


def test_the_friday_that_samoa_skipped_has_no_hours() -> None:
    hours = hours_of(friday=[["09:00", "20:00"]])

    found = next_open(hours, "Pacific/Apia", datetime(2011, 12, 30, 8, tzinfo=UTC))

    assert found is not None
    assert found.astimezone(zones_of("Pacific/Apia")[0]).date() == date(2012, 1, 6)


def test_the_end_of_a_window_is_closed_and_midnight_may_be_its_end() -> None:
    hours = hours_of(monday=[["09:00", "24:00"]], tuesday=[["00:00", "00:01"]])
    monday = datetime(2026, 3, 2, tzinfo=UTC)

    assert not is_open(hours, "UTC", monday + timedelta(hours=9) - timedelta(microseconds=1))
    assert is_open(hours, "UTC", monday + timedelta(hours=9))
    assert is_open(hours, "UTC", monday + timedelta(hours=24, seconds=59))
    assert not is_open(hours, "UTC", monday + timedelta(hours=24, minutes=1))


def test_an_excluded_date_is_a_date_of_the_contact() -> None:
    hours = hours_of(every_day=[["00:00", "24:00"]], excluded_dates=["2026-12-25"])
    eve = datetime(2026, 12, 24, 12, tzinfo=UTC)  # 01:00 on the 25th in Auckland

    assert is_open(hours, "America/New_York", eve)
    assert next_open(hours, "Pacific/Auckland", eve) == datetime(2026, 12, 25, 11, tzinfo=UTC)
    assert not is_open(hours, "America/New_York|Pacific/Auckland", eve)


def test_zones_that_share_no_hour_never_open() -> None:
    june = datetime(2026, 6, 1, tzinfo=UTC)
    morning = hours_of(weekdays=[["09:00", "12:00"]])

    assert next_open(morning, "America/St_Johns|Pacific/Guam", june) is None
    assert never_opens(morning, "America/St_Johns|Pacific/Guam", june)
    # With the default hours, they share half an hour, but only in winter.
    assert next_open(DEFAULT_HOURS, "America/St_Johns|Pacific/Guam", june) == datetime(2026, 11, 2, 23, tzinfo=UTC)


@given(keys, st.integers(0, 365), moments)
def test_the_hours_open_after_excluded_dates_however_many_there_are(key: str, days: int, after: datetime) -> None:
    week = [["00:00", "24:00"]]
    dates = [after.date() + timedelta(days=n) for n in range(-1, days + 1)]
    hours = hours_of(every_day=week, excluded_dates=[day.isoformat() for day in dates])

    found = next_open(hours, key, after)

    assert found is not None
    assert {found.astimezone(zone).date() for zone in zones_of(key)}.isdisjoint(dates)
    assert found - after < timedelta(days=days + 3)


def test_dates_excluded_for_longer_than_the_search_do_not_mean_that_the_hours_never_open() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    dates = [(at + timedelta(days=n)).date().isoformat() for n in range(800)]
    hours = hours_of(excluded_dates=dates)

    assert next_open(hours, "UTC", at) is None
    assert not never_opens(hours, "UTC", at)


def test_zones_that_share_hours_for_one_week_a_year_open_in_that_week() -> None:
    # New York is five hours behind London, but four while only one of them has daylight saving time.
    hours = hours_of(every_day=[["09:00", "09:10"], ["13:00", "13:10"]])
    june = datetime(2026, 6, 1, tzinfo=UTC)

    assert next_open(hours, "America/New_York|Europe/London", june) == datetime(2026, 10, 25, 13, tzinfo=UTC)


def test_zones_that_share_hours_only_between_their_changes_of_offset_open_for_that_hour() -> None:
    # New York goes back an hour before Chicago does, and for that hour both have the same time.
    hours = hours_of(every_day=[["01:20", "01:30"]])
    june = datetime(2026, 6, 1, tzinfo=UTC)

    found = next_open(hours, "America/Chicago|America/New_York", june)

    assert found == datetime(2026, 11, 1, 6, 20, tzinfo=UTC)


def candidates(hours: CallingHours, key: str, after: datetime) -> Iterator[datetime]:
    """Return the moments of 400 days at which hours without excluded dates may begin: each zone's own openings."""
    for zone in zones_of(key):
        day = after.astimezone(zone).date()
        for number in range(400):
            local = datetime.combine(day + timedelta(days=number), time(), tzinfo=zone)
            for window in hours.week[local.weekday()]:
                yield (local + timedelta(minutes=window.start_minute)).astimezone(UTC)


@settings(max_examples=40, deadline=None)
@given(some_hours(), keys, moments)
def test_hours_that_never_open_open_at_no_moment_of_a_year(hours: CallingHours, key: str, after: datetime) -> None:
    always = replace(hours, excluded_dates=frozenset())
    never = never_opens(hours, key, after)

    assert never is (next_open(always, key, after) is None)
    if never:
        assert next_open(hours, key, after) is None
        assert not any(is_open(always, key, moment) for moment in candidates(hours, key, after))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "Europe/Nowhere",
        "EST",
        "GMT",
        "Factory",
        "localtime",
        "Etc/GMT+5",
        "Etc/Unknown",
        "europe/paris",
        "Europe/Paris|",
        "Europe/Paris|Mars/Base",
        "../etc/passwd",
        "/usr/share/zoneinfo/UTC",
    ],
)
def test_an_unknown_zone_is_never_open(key: str) -> None:
    always = hours_of(every_day=[["00:00", "24:00"]])
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)

    assert not is_open(always, key, at)
    assert next_open(always, key, at) is None
    with pytest.raises(UnknownZone, match="IANA"):
        zones_of(key)


def test_a_moment_without_a_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        is_open(DEFAULT_HOURS, "UTC", datetime(2026, 3, 2, 12))  # noqa: DTZ001
    with pytest.raises(ValueError, match="aware"):
        next_open(DEFAULT_HOURS, "UTC", datetime(2026, 3, 2, 12))  # noqa: DTZ001


def test_local_times_are_told_for_each_zone() -> None:
    at = datetime(2026, 7, 1, 18, tzinfo=UTC)

    assert local_times("America/New_York|Asia/Kathmandu", at) == {
        "America/New_York": "2026-07-01T14:00:00-04:00",
        "Asia/Kathmandu": "2026-07-01T23:45:00+05:45",
    }


def test_no_hours_given_are_the_default_ones() -> None:
    assert parse_calling_hours({}) == DEFAULT_HOURS
    only_dates = hours_of(excluded_dates=["2026-12-25"])
    assert only_dates == CallingHours(DEFAULT_HOURS.week, frozenset({date(2026, 12, 25)}))


def test_a_narrower_key_wins_and_a_day_without_any_is_closed() -> None:
    hours = hours_of(every_day=[["10:00", "11:00"]], weekend=[], friday=[["14:00", "15:00"], ["08:00", "09:00"]])
    only_monday = hours_of(monday=[["10:00", "11:00"]])

    ten = (Window(600, 660),)
    assert hours.week == (ten, ten, ten, ten, (Window(480, 540), Window(840, 900)), (), ())
    assert only_monday.week == (ten, (), (), (), (), (), ())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"funday": []}, "unknown key 'funday'"),
        ({"monday": "09:00-20:00"}, "monday: must be a list"),
        ({"monday": ["09:00", "20:00"]}, "monday: '09:00' is not a window"),
        ({"monday": [["09:00"]]}, r"monday: \['09:00'\] is not a window"),
        ({"monday": [[9, 20]]}, "monday: .* is not a window"),
        ({"monday": [["9:00", "20:00"]]}, "monday: '9:00' is not a time of day"),
        ({"monday": [["09:00", "24:01"]]}, "monday: '24:01' is not a time of day"),
        ({"monday": [["09:60", "20:00"]]}, "monday: '09:60' is not a time of day"),
        ({"monday": [["20:00", "09:00"]]}, "monday: a window must end after it starts"),
        ({"monday": [["09:00", "09:00"]]}, "monday: a window must end after it starts"),
        ({"weekdays": [["09:00", "12:00"], ["11:59", "13:00"]]}, "weekdays: two windows overlap"),
        ({"monday": [], "weekend": []}, "no day has a window"),
        ({"excluded_dates": "2026-12-25"}, "excluded_dates: must be a list"),
        ({"excluded_dates": ["20261225"]}, "excluded_dates: '20261225' is not a date"),
        ({"excluded_dates": ["2026-02-30"]}, "excluded_dates: '2026-02-30' is not a date"),
        ({"excluded_dates": [20261225]}, "excluded_dates: 20261225 is not a date"),
    ],
)
def test_hours_that_are_not_valid_name_the_key(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidCallingHours, match=f"^{message}"):
        parse_calling_hours(raw)


def test_windows_may_touch() -> None:
    hours = hours_of(monday=[["09:00", "12:00"], ["12:00", "13:00"]])

    assert hours.week[0] == (Window(540, 720), Window(720, 780))
