"""Decides whether a request without a response may be repeated: only if its contact could be claimed now.

Up to an hour lies between the two requests. Consent may have been revoked meanwhile, a list or a rule may have come.
"""

from datetime import datetime
from uuid import UUID

from outdial.db.queries import settlements
from outdial.db.session import Connection
from outdial.dialer.admission import Admit, CampaignHours, ContactFacts, admit_contact, campaign_hours, may_ring
from outdial.dialer.organization_rules import organization_rules
from outdial.dialer.plan import capping_rules
from outdial.dialer.screening import Screening, screening_lists, screening_of
from outdial.domain.permission.screening import missing_lists
from outdial.domain.place import Place
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
    place = Place(facts.zone_key, facts.jurisdiction_key)
    window = hours.at(place)
    if not may_ring(window, now):
        return None
    lists = await screening_lists(connection, organization_id)
    required = [ListKind(kind) for kind in facts.lists_required]
    if missing_lists(required, list(lists.values()), place.jurisdictions, now.date()):
        return None
    return window if _is_admitted(facts, screening_of(facts, lists), hours, place, now) else None


def _is_admitted(
    facts: settlements.RepeatFacts, screening: Screening, hours: CampaignHours, place: Place, now: datetime
) -> bool:
    contact = ContactFacts(
        do_not_call=facts.do_not_call,
        has_consent=screening.has_consent(facts),
        is_listed=screening.list_with(facts) is not None,
        attempts=facts.attempts,
        max_attempts=facts.max_attempts,
        live=facts.live,
        caller_blocked=facts.caller_blocked,
        recent_calls=facts.recent_calls,
        daily_call_cap=facts.daily_call_cap,
        capping_rules=capping_rules(hours, [place], now)[place],
    )
    return isinstance(admit_contact(contact, now), Admit)
