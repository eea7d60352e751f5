"""Decides whether a requested test call may be placed now, and plans its request.

Members who state that a phone is their own have asked for this call. Calling hours, screening lists and consent protect
people from calls that they have not asked for, and do not apply to it. Any other phone has a contact's protection, and
the phone of a contact is left to campaigns, which know its place and count its calls.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from outdial.db.queries.dialing.test_calls import TestCallFacts
from outdial.db.session import Connection
from outdial.dialer.admission import campaign_hours, may_ring
from outdial.dialer.callbacks.planning import NO_CALLBACK
from outdial.dialer.organization_rules import organization_rules
from outdial.dialer.plan import dynamic_variables
from outdial.dialer.screening import screening_lists, screening_of
from outdial.domain.location import StatedPlace, locate_stored
from outdial.domain.permission.consent import no_consent
from outdial.domain.permission.screening import listed_on, missing_lists
from outdial.domain.phone import phone_of
from outdial.domain.place import Place
from outdial.domain.policies import test_calls
from outdial.domain.policies.voicemail import parse_voicemail_policy, voicemail_order
from outdial.domain.purpose import ListKind
from outdial.domain.rules import RuleBook
from outdial.provider import CallRequest


@dataclass(frozen=True, slots=True)
class RefusedTest:
    """The call is not placed; the reason says what to do."""

    reason: str


async def admit_test_call(
    connection: Connection, facts: TestCallFacts, rules: RuleBook, now: datetime
) -> str | RefusedTest:
    """Return the caller number of a test call that may be placed now, or why it may not.

    `rules` are the shipped ones; what the organization changes about them is read here.
    """
    if now - facts.requested_at >= test_calls.LATEST:
        return RefusedTest(test_calls.NOT_SENT_IN_TIME)
    if facts.is_stopped:
        return RefusedTest(test_calls.ALL_STOPPED)
    if facts.do_not_call:
        return RefusedTest(test_calls.on_do_not_call_list(facts.to_number))
    if facts.live:
        return RefusedTest(test_calls.ALREADY_LIVE)
    if facts.from_number is None:
        return RefusedTest(test_calls.ALL_NUMBERS_REST)
    if facts.is_own_phone:
        return facts.from_number
    return await _protection(connection, facts, rules, now) or facts.from_number


async def _protection(
    connection: Connection, facts: TestCallFacts, rules: RuleBook, now: datetime
) -> RefusedTest | None:
    """Return what protects the phone of someone else now, as it protects the phone of a contact."""
    if facts.is_contact:
        return RefusedTest(test_calls.IS_CONTACT)
    if facts.has_hook:
        return RefusedTest(test_calls.HOOK_IS_NOT_ASKED)
    place = _place(facts.to_number)
    book = await organization_rules(connection, facts.organization_id, rules)
    window = campaign_hours(facts.calling_hours, facts.purpose, book).at(place)
    if not may_ring(window, now):
        return RefusedTest(test_calls.outside_hours(window.next_open(now)))
    lists = await screening_lists(connection, facts.organization_id)
    required = [ListKind(kind) for kind in facts.lists_required]
    missing = missing_lists(required, list(lists.values()), place.jurisdictions, now.date())
    if missing:
        return RefusedTest(test_calls.not_permitted(f"the campaign requires a current {missing[0].kind} list"))
    screening = screening_of(facts, lists)
    if not screening.has_consent(facts):
        return RefusedTest(test_calls.not_permitted(no_consent(screening.consent_required, screening.purpose)))
    if (listed := screening.list_with(facts)) is not None:
        return RefusedTest(test_calls.not_permitted(listed_on(listed.name, listed.registry_date)))
    return None


def planned_request(
    facts: TestCallFacts, from_number: str, at: datetime, fills_variable: Callable[[str], bool]
) -> CallRequest:
    """Return the request of a test call: that of the campaign's next call to its contact, to another phone.

    On voicemail, the agent does what it does in the attempt that leaves a message.
    """
    contact = facts if facts.zone_key else replace(facts, zone_key=_place(facts.to_number).zone_key)
    variables = dynamic_variables(facts, contact, at, NO_CALLBACK)
    policy = parse_voicemail_policy(msgspec.json.decode(facts.voicemail_policy))
    return CallRequest(
        call_id=facts.id,
        campaign_id=facts.campaign_id,
        to_number=facts.to_number,
        from_number=from_number,
        agent_id=facts.retell_agent_id,
        dynamic_variables=variables,
        on_voicemail=voicemail_order(
            policy,
            attempts=(policy.on_attempt or facts.max_attempts) - 1,
            last_attempt=facts.max_attempts,
            has_message=False,
            variables=variables,
            is_filled_later=fills_variable,
        ),
        is_test=True,
    )


def _place(e164: str) -> Place:
    return locate_stored(phone_of(e164), StatedPlace(), "UTC").place
