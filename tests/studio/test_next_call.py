"""When a contact of a campaign is called next under calling rules, and why not sooner."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from outdial.db.queries.campaign_contacts import CampaignContactDetail
from outdial.domain.contact import OVER_RULE_CAP
from outdial.domain.explaining.rule_sentences import cap_sentence
from outdial.studio.campaign_contacts.next_call import NextCall, plan_next_call
from tests.support.rules import BOOK, FLORIDA

# A Tuesday: 08:00 in Paris, 03:00 in New York.
NOW = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=10)
CONTACT = CampaignContactDetail(
    id=UUID(int=1),
    organization_id=UUID(int=2),
    campaign_id=UUID(int=3),
    campaign_name="Spring",
    campaign_status="active",
    max_attempts=3,
    calling_hours='{"every_day": [["00:00", "24:00"]]}',
    purpose="sales",
    contact_id=UUID(int=4),
    phone="+33123456789",
    name=None,
    notes=None,
    external_id=None,
    zone_key="Europe/Paris",
    jurisdiction_key="FR",
    zone_source="number",
    status="pending",
    status_reason=None,
    attempts=1,
    faults=0,
    call_count=1,
    last_outcome=None,
    next_attempt_at=NOW,
    variables="{}",
    created_at=NOW,
    updated_at=NOW,
    decision=None,
    decision_note=None,
    decided_by=None,
    decided_at=None,
    voicemail_left_at=None,
    callback_at=None,
    do_not_call=False,
)


@pytest.mark.parametrize(
    ("row", "planned"),
    [
        (
            CONTACT,
            NextCall(
                at=NOW + timedelta(hours=2),
                reason="Waiting until the calling rules that apply to the contact allow a call. 1 of 3 attempts made.",
            ),
        ),
        (
            replace(CONTACT, zone_key="Europe/Madrid", jurisdiction_key="ES"),
            NextCall(at=None, reason="No calling rule for Spain: add one or switch the check off under Rules."),
        ),
        (
            replace(CONTACT, zone_key="America/Los_Angeles", jurisdiction_key="US-WA"),
            NextCall(at=None, reason="Washington forbids such calls (rule US-WA-BAN). The contact will be skipped."),
        ),
        (
            replace(CONTACT, jurisdiction_key=""),
            NextCall(at=None, reason="Outdial is working out where the contact is."),
        ),
        (
            replace(
                CONTACT,
                zone_key="America/New_York",
                jurisdiction_key="US-FL",
                next_attempt_at=LATER,
                status_reason=f"{OVER_RULE_CAP}{cap_sentence(FLORIDA)}",
            ),
            NextCall(at=LATER, reason="Florida allows 3 calls in 24 hours. 1 of 3 attempts made."),
        ),
        (
            replace(CONTACT, purpose="survey"),
            NextCall(
                at=None,
                reason="No calling rule for France for survey calls: add one or switch the check off under Rules.",
            ),
        ),
    ],
)
def test_the_next_call_names_the_calling_rule_that_it_waits_for(row: CampaignContactDetail, planned: NextCall) -> None:
    assert plan_next_call(row, BOOK, NOW) == planned
