"""An explanation names every gate of a call, which of them is closed, and the next moment when all are open."""

from datetime import UTC, datetime

import pytest

from outdial.domain.calling_hours import CallingHours, parse_calling_hours
from outdial.domain.explaining.rule_explanation import RuleExplanation, explain_rules
from outdial.domain.explaining.rule_wording import force_text, hours_text, rule_text, week_text
from outdial.domain.openings import Window
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rule_parsing import parse_rule
from outdial.rules.pack import shipped_rules

EVENING = datetime(2026, 12, 1, 1, 30, tzinfo=UTC)  # 20:30 on Monday in New York
WEEKDAYS = parse_calling_hours({"weekdays": [["09:00", "20:00"]]})


def explain(
    place: Place, at: datetime, hours: CallingHours | None = None, purpose: Purpose = Purpose.SALES
) -> RuleExplanation:
    """Explain by the shipped rules."""
    return explain_rules(shipped_rules(), hours=hours, place=place, purpose=purpose, at=at)


def test_the_gate_that_is_closed_is_named_with_the_next_opening_of_all() -> None:
    found = explain(Place("America/New_York", "US-FL"), EVENING)

    closed = [gate for gate in found.gates if not gate.is_open]
    assert [(gate.name, gate.next_open) for gate in closed] == [("US-FL-HOURS", datetime(2026, 12, 1, 13, tzinfo=UTC))]
    assert not found.is_open
    assert found.next_open == datetime(2026, 12, 1, 13, tzinfo=UTC)
    assert found.local_times == {"America/New_York": "2026-11-30T20:30:00-05:00"}
    assert {rule.id for rule in found.rules} == {gate.name for gate in found.gates}
    assert "US-FTC-HOURS" in {gate.name for gate in found.gates}


def test_calling_hours_are_a_gate_of_their_own() -> None:
    found = explain(Place("America/New_York", "US-NY"), EVENING, WEEKDAYS)

    assert [gate.name for gate in found.gates if not gate.is_open] == ["calling hours"]
    assert found.next_open == datetime(2026, 12, 1, 14, tzinfo=UTC)


def test_an_open_place_opens_now() -> None:
    found = explain(Place("America/New_York", "US-NY"), EVENING)

    assert found.is_open
    assert found.next_open == EVENING


@pytest.mark.parametrize(
    ("place", "name", "text"),
    [
        (Place("Europe/Madrid", "ES"), "ES-NO-RULE", "no rule for ES"),
        (Place("America/Los_Angeles", "US-WA"), "US-WA-AUTOMATED", "No such calls"),
        (Place("America/New_York", ""), "place", "not computed yet"),
    ],
)
def test_what_keeps_every_call_away_is_a_gate_that_does_not_open(place: Place, name: str, text: str) -> None:
    found = explain(place, EVENING)

    (gate,) = [gate for gate in found.gates if gate.name == name]
    assert (gate.is_open, gate.next_open, found.is_open, found.next_open) == (False, None, False, None)
    assert text in gate.text


def test_a_rule_is_put_in_words() -> None:
    rule = parse_rule(
        {
            "id": "OWN-FR-HOURS",
            "jurisdiction": "FR",
            "purpose": ["sales"],
            "hours": {"weekdays": [["10:00", "13:00"], ["14:00", "20:00"]], "saturday": [["10:00", "24:00"]]},
            "holidays": ["FR"],
            "zone": "Europe/Paris",
            "cap": {"count": 4, "period": "30d"},
            "consent": "express",
            "lists": ["national", "state"],
            "disclosure": "Say that an AI calls.",
            "source": "A law",
            "in_force_from": "2026-08-11",
            "checked_on": "2026-11-28",
            "confidence": "s",
        }
    )

    assert hours_text(rule) == (
        "Mon–Fri 10:00–13:00, 14:00–20:00; Sat 10:00–24:00; Sun closed, in Europe/Paris time, "
        "closed on public holidays (FR)"
    )
    assert rule_text(rule).endswith(
        "At most 4 calls in 30 days to a number; Express consent; National and state list checked; Say that an AI calls"
    )
    assert force_text(rule) == "from 2026-08-11"


def test_equal_days_are_one_part_of_a_week() -> None:
    day = (Window(540, 1200),)

    assert week_text([day] * 7) == "Every day 09:00–20:00"
    assert week_text([day] * 7, lambda minute: f"{minute // 60} h") == "Every day 9 h–20 h"
    assert week_text([()] * 7) == "Closed every day"
    assert week_text([day, (), day, day, (), (), ()]) == (
        "Mon 09:00–20:00; Tue closed; Wed–Thu 09:00–20:00; Fri–Sun closed"
    )
