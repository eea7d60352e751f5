"""When a contact of a campaign is called next, and why not sooner."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydantic import BaseModel

from outdial.db.queries.campaign_contacts import CampaignContactDetail
from outdial.dialer.admission import (
    Admission,
    Admit,
    ContactFacts,
    PlaceFacts,
    Skip,
    SkipReason,
    Wait,
    WaitReason,
    admit_contact,
    admit_place,
    admit_status,
    campaign_hours,
)
from outdial.dialer.doctor import countries_without_rules
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import OVER_RULE_CAP, WAITS_FOR_PART, ContactStatus
from outdial.domain.errors import InvalidCallingHours
from outdial.domain.explaining.rule_sentences import forbidden_sentence, no_rules_sentence
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import RuleBook

_NO_NEXT_CALL: Final[Mapping[WaitReason | SkipReason, str]] = {
    WaitReason.DRAFT: "The campaign has not started.",
    WaitReason.SCHEDULED: "The campaign is scheduled, but has not started yet.",
    WaitReason.PAUSED: "The campaign is paused. No calls are placed until it is resumed.",
    SkipReason.CANCELLED: "The campaign is cancelled. No further calls.",
    SkipReason.FINISHED: "The campaign is completed.",
    SkipReason.DO_NOT_CALL: "The number is on the do-not-call list. The contact will be skipped.",
    SkipReason.ATTEMPTS_USED: "All attempts have been used. The contact will be skipped.",
    SkipReason.CALLER_BLOCKED: "The caller number was marked as spam or blocked. The contact will be skipped.",
    SkipReason.NEVER_OPENS: "The contact's possible time zones have no calling hours in common.",
    SkipReason.LAW_NEVER_OPENS: "The calling rules that apply to the contact allow no calls within the calling hours.",
    WaitReason.KEYS_MISSING: "Outdial is working out where the contact is.",
}


class NextCall(BaseModel):
    """The earliest time of the next call, null when none is planned, and the reason."""

    at: datetime | None
    reason: str


def plan_next_call(row: CampaignContactDetail, rules: RuleBook, now: datetime) -> NextCall:
    """Return when a contact of a campaign is called next under the rules of its organization, and why not sooner."""
    if row.status == ContactStatus.CALLING:
        return NextCall(at=None, reason="A call is in progress.")
    if row.status == ContactStatus.REVIEW:
        return NextCall(at=None, reason="This contact needs a decision and will not be called until then.")
    if row.status != ContactStatus.PENDING:
        return NextCall(at=None, reason="No further call is planned.")
    return _planned_pending(row, rules, now)


def _planned_pending(row: CampaignContactDetail, rules: RuleBook, now: datetime) -> NextCall:
    contact = admit_contact(
        ContactFacts(
            do_not_call=row.do_not_call,
            attempts=row.attempts,
            max_attempts=row.max_attempts,
            is_callback=row.callback_at is not None,
        ),
        now,
    )
    place = Place(row.zone_key, row.jurisdiction_key)
    facts = PlaceFacts(place=place, first_due_at=row.next_attempt_at, first_reason=row.status_reason or "")
    countries: Sequence[str] = ()
    zone: Admission
    try:
        hours = campaign_hours(row.calling_hours, row.purpose, rules)
        zone = admit_place(hours, facts, now)
        countries = countries_without_rules(hours.at(place), now)
    except InvalidCallingHours:
        zone = Skip(reason=SkipReason.NEVER_OPENS)
    campaign = admit_status(CampaignStatus(row.campaign_status), None)
    for admission in (contact, zone, campaign):
        if isinstance(admission, Skip) and admission.rule is not None:
            return NextCall(at=None, reason=f"{forbidden_sentence(admission.rule)}. The contact will be skipped.")
        if not isinstance(admission, Admit) and admission.reason in _NO_NEXT_CALL:
            return NextCall(at=None, reason=_NO_NEXT_CALL[admission.reason])
    if countries:
        return NextCall(at=None, reason=f"{no_rules_sentence(countries, Purpose(row.purpose))}.")
    attempts = f"{row.attempts} of {row.max_attempts} attempts made."
    if not isinstance(zone, Wait):
        return NextCall(at=now, reason=f"Due as soon as a line is free. {attempts}")
    waits = {
        WaitReason.ZONE_OPENS: "Waiting for calling hours to open in the contact's time zone.",
        WaitReason.LAW_OPENS: "Waiting until the calling rules that apply to the contact allow a call.",
        WaitReason.DAILY_CAP: "The number has reached the daily call cap.",
        WaitReason.DAY_PART: f"Waiting for the {facts.first_reason.removeprefix(WAITS_FOR_PART)}.",
        WaitReason.RULE_CAP: f"{facts.first_reason.removeprefix(OVER_RULE_CAP)}.",
    }
    why = waits.get(zone.reason, "Then due as soon as a line is free.")
    return NextCall(at=zone.until, reason=f"{why} {attempts}")
