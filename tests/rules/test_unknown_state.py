"""A contact of the United States whose state is unknown gets rules at least as strict as those of every state."""

from datetime import date, timedelta

import pytest

from outdial.domain.calling_hours import WEEKDAYS
from outdial.domain.openings import MINUTES_OF_DAY, Window, intersect
from outdial.domain.place import UNKNOWN_STATE
from outdial.domain.purpose import Purpose, RequiredConsent
from outdial.domain.rules import CallingRule
from outdial.rules.pack import shipped_rules

RULES = shipped_rules().rules
STATE_ROWS = [rule for rule in RULES if rule.jurisdiction.startswith("US-") and rule.jurisdiction != UNKNOWN_STATE]
UNKNOWN_ROWS = [rule for rule in RULES if rule.jurisdiction == UNKNOWN_STATE]
ALL_DAY = (Window(0, MINUTES_OF_DAY),)
STRENGTH = [RequiredConsent.NONE, RequiredConsent.EXPRESS, RequiredConsent.WRITTEN]


def unknown_rows(purpose: Purpose) -> list[CallingRule]:
    assert all(rule.in_force_from is None and rule.in_force_to is None for rule in UNKNOWN_ROWS)
    return [rule for rule in UNKNOWN_ROWS if purpose in rule.purposes]


def week(rules: list[CallingRule]) -> list[tuple[Window, ...]]:
    """Return the hours of each weekday that all of the rules allow, prohibitions left out."""
    days = [ALL_DAY for _ in WEEKDAYS]
    for rule in rules:
        if rule.week is not None:
            days = [intersect(windows, other) for windows, other in zip(days, rule.week, strict=True)]
    return days


@pytest.mark.parametrize("rule", STATE_ROWS, ids=lambda rule: rule.id)
@pytest.mark.parametrize("purpose", Purpose)
def test_an_unknown_state_is_at_least_as_strict_as_every_state(rule: CallingRule, purpose: Purpose) -> None:
    if purpose not in rule.purposes:
        return
    unknown = unknown_rows(purpose)

    # The hours of Mississippi are those of standard time: in summer its day is an hour later on the clock.
    shifts = [0, 60] if rule.zone else [0]
    for windows, allowed in zip(week(unknown), rule.week or (), strict=False):
        for shift in shifts:
            later = [(window.start_minute + shift, window.end_minute + shift) for window in allowed]
            assert all(any(a <= w.start_minute and w.end_minute <= b for a, b in later) for w in windows)
    assert set(rule.holidays) <= {calendar for row in unknown for calendar in row.holidays}
    assert not rule.prohibited or any(row.prohibited for row in unknown)
    if rule.cap is not None:
        caps = [row.cap for row in unknown if row.cap is not None]
        assert any(cap.count <= rule.cap.count and cap.period >= rule.cap.period for cap in caps)
    assert max(STRENGTH.index(row.consent) for row in unknown) >= STRENGTH.index(rule.consent)


def test_sales_calls_to_an_unknown_state_may_be_switched_on_within_the_strictest_hours() -> None:
    sales = unknown_rows(Purpose.SALES)

    assert week(sales) == [(Window(600, 1020),)] * 5 + [()] * 2
    assert {rule.id for rule in sales if rule.prohibited} == {"US-ZZ-AUTOMATED"}


def test_rules_that_are_not_checked_for_half_a_year_are_stale_and_stay_in_force() -> None:
    book = shipped_rules()
    checked = book.pack_date

    assert not book.stale(checked + timedelta(days=180))
    assert book.stale(checked + timedelta(days=181)) == book.rules
    assert all(rule.in_force_on(date(2036, 1, 1)) for rule in book.rules if rule.in_force_to is None and rule.adopted)
