"""Parts of the day: each attempt has its own, within hours and law, and no contact waits for one that never opens."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.calling_hours import local_times, parse_calling_hours
from outdial.domain.place import Place
from outdial.domain.policies.day_parts import (
    LONGEST_PART_WAIT,
    PART_WINDOWS,
    DayPart,
    part_of_attempt,
    part_of_call,
    part_opens_at,
)
from outdial.domain.purpose import Purpose
from outdial.domain.rules import EffectiveWindow, RuleBook

WEEKDAYS = {"weekdays": [["09:00", "20:00"]]}
MONDAY = datetime(2026, 3, 9, tzinfo=UTC)


def window(zones: str, hours: dict[str, object]) -> EffectiveWindow:
    return RuleBook((), pack_date=None).window(parse_calling_hours(hours), Place(zones, ""), Purpose.SALES)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ("", [None, None]),
        ("morning", ["morning", "morning"]),
        ("morning evening afternoon", ["morning", "evening", "afternoon", "morning", "evening"]),
    ],
)
def test_the_parts_follow_each_other_and_start_again(parts: str, expected: list[str | None]) -> None:
    chosen = [DayPart(part) for part in parts.split()]
    assert [part_of_attempt(chosen, attempts) for attempts in range(len(expected))] == expected


@pytest.mark.parametrize(
    ("zones", "attempts", "hour", "expected"),
    [
        ("Europe/Berlin", 0, 10, "morning"),
        ("Europe/Berlin", 0, 11, None),
        ("Europe/Berlin", 1, 16, "evening"),
        ("Europe/Berlin", 1, 15, None),
        ("America/New_York|America/Los_Angeles", 2, 15, "morning"),
        ("America/New_York|America/Los_Angeles", 0, 16, None),
    ],
)
def test_a_call_has_the_part_of_its_attempt_if_it_is_that_part_in_every_zone(
    zones: str, attempts: int, hour: int, expected: str | None
) -> None:
    parts = [DayPart.MORNING, DayPart.EVENING]
    assert part_of_call(parts, attempts, zones, MONDAY.replace(hour=hour, minute=59)) == expected


@pytest.mark.parametrize(
    ("zones", "hours", "part", "now", "opens"),
    [
        ("Europe/Berlin", WEEKDAYS, "morning", MONDAY, MONDAY.replace(hour=8)),
        ("Europe/Berlin", WEEKDAYS, "morning", MONDAY.replace(hour=10), MONDAY.replace(hour=10)),
        ("Europe/Berlin", WEEKDAYS, "morning", MONDAY.replace(hour=11), MONDAY.replace(day=10, hour=8)),
        ("Europe/Berlin", WEEKDAYS, "evening", MONDAY.replace(hour=11), MONDAY.replace(hour=16)),
        ("Europe/Berlin", WEEKDAYS, "evening", MONDAY.replace(day=13, hour=19), MONDAY.replace(day=16, hour=16)),
        # 15:00 in New York is 12:00 in Los Angeles: the afternoon of both is shorter, and they share no evening.
        ("America/New_York|America/Los_Angeles", WEEKDAYS, "afternoon", MONDAY, MONDAY.replace(hour=19)),
        ("America/New_York|America/Los_Angeles", WEEKDAYS, "evening", MONDAY, None),
        ("Europe/Berlin", {"every_day": [["13:00", "16:00"]]}, "morning", MONDAY, None),
    ],
)
def test_a_part_opens_within_the_hours_in_every_zone(
    zones: str, hours: dict[str, object], part: str, now: datetime, opens: datetime | None
) -> None:
    assert part_opens_at(window(zones, hours), DayPart(part), now, now) == opens


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]),
    part=st.sampled_from(DayPart),
    minutes=st.integers(0, 400 * 24 * 60),
    waited=st.integers(0, 20 * 24),
)
def test_no_wait_is_longer_than_eight_days_and_each_ends_in_the_part(
    zone: str, part: DayPart, minutes: int, waited: int
) -> None:
    now = MONDAY + timedelta(minutes=minutes)
    since = now - timedelta(hours=waited)
    hours = window(zone, WEEKDAYS)
    opens = part_opens_at(hours, part, now, since)
    if opens is None:
        assert now + timedelta(days=4) > since + LONGEST_PART_WAIT  # A weekend and a night lie between two openings.
        return
    local = datetime.fromisoformat(local_times(zone, opens)[zone])
    minute = local.hour * 60 + local.minute
    assert now <= opens < since + LONGEST_PART_WAIT
    assert hours.is_open(opens)
    assert PART_WINDOWS[part].start_minute <= minute < PART_WINDOWS[part].end_minute
