"""Consent and screening lists are gates of an explained call, as the claim decides about them."""

from datetime import date

import pytest

from outdial.domain.explaining.permission_gates import permission_gates
from outdial.domain.permission.screening import ScreeningList, missing_lists
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent

TODAY = date(2026, 11, 30)
NATIONAL = ScreeningList(kind=ListKind.NATIONAL, jurisdiction="US", registry_date=date(2026, 11, 20))
OLD = ScreeningList(kind=ListKind.LITIGATOR, jurisdiction=None, registry_date=date(2026, 1, 1))


def closed(
    purpose: Purpose = Purpose.SALES,
    required: RequiredConsent = RequiredConsent.NONE,
    lists_required: tuple[ListKind, ...] = (),
    consent: str = "",
    listed_on: tuple[ScreeningList, ...] = (),
    jurisdictions: tuple[str, ...] = ("US-TX",),
) -> dict[str, str]:
    """Return the closed gates with their texts."""
    gates = permission_gates(
        purpose,
        consent_required=required,
        lists_required=lists_required,
        consent=consent,
        listed_on=listed_on,
        lists=[NATIONAL, OLD],
        jurisdictions=jurisdictions,
        today=TODAY,
    )
    return {gate.name: gate.text for gate in gates if not gate.is_open}


@pytest.mark.parametrize(
    ("required", "consent", "is_open"),
    [
        (RequiredConsent.NONE, "", True),
        (RequiredConsent.EXPRESS, "", False),
        (RequiredConsent.EXPRESS, "written", True),
        (RequiredConsent.WRITTEN, "express", False),
    ],
)
def test_consent_is_a_gate_where_it_is_required(required: RequiredConsent, consent: str, is_open: bool) -> None:
    assert ("consent" not in closed(required=required, consent=consent)) is is_open


def test_a_list_with_the_number_closes_unless_written_consent_lifts_it() -> None:
    assert closed(listed_on=(NATIONAL,)) == {"screening lists": "on the national list of US of 2026-11-20"}
    assert closed(listed_on=(NATIONAL,), consent="written") == {}
    assert closed(Purpose.SURVEY, listed_on=(NATIONAL,)) == {}
    assert "screening lists" in closed(listed_on=(OLD,), consent="written")


def test_a_required_list_that_is_not_current_closes() -> None:
    assert closed(lists_required=(ListKind.NATIONAL,)) == {}
    assert set(closed(lists_required=(ListKind.LITIGATOR, ListKind.STATE))) == {"litigator list", "state list"}


def test_a_list_of_another_country_or_state_does_not_screen_a_place() -> None:
    both = (ListKind.NATIONAL, ListKind.STATE)
    texas = ScreeningList(kind=ListKind.STATE, jurisdiction="US-TX", registry_date=TODAY)

    missing = missing_lists(both, [NATIONAL, texas], ["CA-ON", "US-FL", "US-TX"], TODAY)

    assert [each.advice() for each in missing] == [
        "upload a national list of CA with a registry date of 2026-10-30 or later",
        "upload a state list of CA-ON and of US-FL with a registry date of 2026-10-30 or later",
    ]
    assert missing_lists(both, [NATIONAL, texas], ["US-TX"], TODAY) == []
    assert "national list" in closed(lists_required=(ListKind.NATIONAL,), jurisdictions=("CA-ON",))
