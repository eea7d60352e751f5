"""Promise.LAW: a call outside the law's hours is found, by the clocks of every zone and by what its decision names."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from outdial.db.queries.evidence import CallPlace, ContactPlace
from outdial.promises.law import written_law
from outdial.promises.lawful import LawEvidence, check_law, law_numbers

CALL_ID = UUID(int=1)
NOON = datetime(2027, 2, 9, 18, tzinfo=UTC)  # Mardi Gras, 12:00 in Chicago


def evidence(
    jurisdiction_key: str = "US-TX",
    zone_key: str = "America/Chicago",
    *,
    at: datetime = NOON,
    purpose: str = "sales",
    called: int = 1,
    **changes: Any,
) -> LawEvidence:
    """Return the evidence of a run with one call, whose decision names what applied."""
    own: list[Mapping[str, Any]] = changes.get("own_rules", [])
    judged = at + changes.get("ahead", timedelta())
    law = written_law().in_place(jurisdiction_key.split("|"), purpose, own=own).without(changes.get("switched_off", ()))
    rule_ids = [row["id"] for row in law.in_force(judged, zone_key.split("|") if zone_key else [])]
    place = {"zone_key": zone_key, "jurisdiction_key": jurisdiction_key, "purpose": purpose}
    call = CallPlace(id=CALL_ID, phone="+12105550123", requested_at=at, decided_at=at, rule_ids=rule_ids, **place)
    found = LawEvidence(
        calls=[call],
        contacts=[ContactPlace(called=called, not_called=0, **place)],
        arrivals={},
        switched_off=frozenset(),
        own_rules=(),
        ahead=timedelta(),
        started_at=at,
    )
    return replace(found, **changes)


def breaches(found: LawEvidence) -> list[str]:
    return list(check_law(found, written_law()).breaches)


def test_a_call_within_every_rule_is_lawful() -> None:
    check = check_law(evidence(), written_law())

    assert check.holds
    assert check.examined.startswith("1 calls in 1 states and countries")


@pytest.mark.parametrize(
    ("found", "breach"),
    [
        (
            evidence(at=NOON - timedelta(hours=4)),
            "US-TX-HOURS: outside its hours (Tue 2027-02-09 08:00 in America/Chicago)",
        ),
        (evidence("US-LA"), "US-LA-HOURS: a holiday of US-LA"),
        (evidence("US-LA|US-TX"), "US-LA-HOURS: a holiday of US-LA"),
        (evidence("US-WA", "America/Los_Angeles"), "US-WA-AUTOMATED: such calls are prohibited"),
        (evidence("US-FL", "America/Chicago|America/New_York", at=NOON.replace(hour=13)), "07:00 in America/Chicago)"),
        (evidence("US-MS", at=datetime(2027, 7, 6, 13, 30, tzinfo=UTC)), "US-MS-HOURS: outside its hours"),
        (evidence("IN", "Asia/Kolkata", at=NOON.replace(hour=6)), "IN-NO-RULE: the country has no rule"),
        (evidence("FR", "Europe/Paris", at=datetime(2027, 2, 9, 12, 30, tzinfo=UTC)), "FR-HOURS: outside its hours"),
        (evidence("", ""), "the place of its contact was not known"),
        (evidence(arrivals={CALL_ID: [NOON + timedelta(hours=10)]}), "US-TX-HOURS: outside its hours"),
        (evidence(ahead=timedelta(hours=10)), "US-TX-HOURS: outside its hours"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_call_outside_a_rule_is_found(found: LawEvidence, breach: str) -> None:
    assert any(breach in text for text in breaches(found)), breaches(found)


def test_a_decision_that_names_other_rules_is_found() -> None:
    found = evidence()
    wrong = replace(found, calls=[replace(found.calls[0], rule_ids=["US-FCC-HOURS"])])

    assert breaches(wrong)[0].startswith(f"the decision of call {CALL_ID} names US-FCC-HOURS, but US-AI-VOICE-SALES")


def test_rules_that_an_organization_switched_off_or_added_count() -> None:
    india = evidence("IN", "Asia/Kolkata", at=NOON.replace(hour=6), switched_off=frozenset({"IN-NO-RULE"}))
    own = {"id": "OWN-1", "jurisdiction": "US-TX", "purpose": "any", "hours": {"every_day": [["13:00", "14:00"]]}}

    assert not breaches(india)
    for jurisdiction in ("US-TX", "US-ZZ"):
        found = evidence(jurisdiction, own_rules=[own])
        assert any("OWN-1: outside its hours" in text for text in breaches(found))


def test_the_report_counts_who_waited_and_who_was_not_called() -> None:
    opened = evidence(at=NOON - timedelta(hours=2))
    place = {"zone_key": "America/Chicago", "purpose": "sales"}
    contacts = [
        ContactPlace(jurisdiction_key="US-TX", called=3, not_called=0, **place),
        ContactPlace(jurisdiction_key="US-LA", called=0, not_called=2, **place),
        ContactPlace(jurisdiction_key="US-WA", called=0, not_called=4, **place),
    ]
    found = replace(opened, contacts=contacts, started_at=NOON - timedelta(hours=4))

    numbers = law_numbers(found, written_law())

    assert numbers["contacts that waited for the law"] == 3
    assert numbers["first call on local clocks"] == "US-TX 10:00:00"
    assert numbers["contacts that the law kept from calls"] == (
        "2 in US-LA: a holiday of US-LA (US-LA-HOURS); 4 in US-WA: such calls are prohibited (US-WA-AUTOMATED)"
    )
