"""Decides whether a request without a response may be repeated: only if its contact could be claimed now.

Up to an hour lies between the two requests. Consent may have been revoked meanwhile, a list or a rule may have come.
Whether its caller number may still make the call is decided under the account's lock (`dialer/numbers/pool.py`).
"""

from datetime import datetime
from uuid import UUID

from outdial.db.queries import settlements
from outdial.db.session import Connection
from outdial.dialer.admission import Admit, admit_contact, campaign_hours, may_ring
from outdial.dialer.organization_rules import organization_rules
from outdial.dialer.plan import capping_rules, contact_facts, place_of
from outdial.dialer.screening import screening_lists, screening_of
from outdial.domain.permission.screening import missing_lists
from outdial.domain.purpose import ListKind
from outdial.domain.rules import EffectiveWindow, RuleBook


async def window_to_repeat(
    connection: Connection, organization_id: UUID, call_id: UUID, rules: RuleBook, now: datetime
) -> EffectiveWindow | None:
    """Return the hours of a call whose request may be repeated now, or None.

    `rules` are the shipped ones; what the organization changes about them is read here.
    """
    facts = await settlements.repeat_facts(connection, call_id=call_id)
    book = await organization_rules(connection, organization_id, rules)
    hours = campaign_hours(facts.calling_hours, facts.purpose, book)
    place = place_of(facts)
    window = hours.at(place)
    if not may_ring(window, now):
        return None
    lists = await screening_lists(connection, organization_id)
    required = [ListKind(kind) for kind in facts.lists_required]
    if missing_lists(required, list(lists.values()), place.jurisdictions, now.date()):
        return None
    contact = contact_facts(
        facts,
        screening_of(facts, lists),
        max_attempts=facts.max_attempts,
        daily_call_cap=facts.daily_call_cap,
        capping_rules=capping_rules(hours, [place], now)[place],
        caller_blocked=facts.caller_blocked,
    )
    return window if isinstance(admit_contact(contact, now), Admit) else None
