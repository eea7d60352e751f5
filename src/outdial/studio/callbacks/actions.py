"""What a member can do about a contact of a campaign now: call it back or again, skip it, never call it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from outdial.campaigns.callbacks import why_no_callback
from outdial.campaigns.erasure import is_erased
from outdial.db.queries.dialing.callbacks import OpenCallback
from outdial.db.session import Connection
from outdial.dialer.callbacks.outlook import never_allowed, opens_at
from outdial.dialer.doctor import read_rules
from outdial.domain.contact import MAY_COME_AGAIN, ContactStatus
from outdial.domain.policies.callback_time import UnreadableTime, read_callback_time
from outdial.domain.rules import RuleBook
from outdial.studio.callbacks.service import find_contact
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext

_PRESETS: Final = (
    ("in 1 hour", "In 1 hour"),
    ("in 3 hours", "In 3 hours"),
    ("tomorrow at 9am", "Tomorrow morning"),
    ("tomorrow at 2pm", "Tomorrow afternoon"),
    ("next monday at 9am", "Monday morning"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactActions:
    """The actions on a contact of a campaign. `why_not` says why it cannot be called, if so."""

    id: UUID
    campaign_id: UUID
    status: str
    zone_key: str
    callback_at: datetime | None
    may_call_back: bool
    may_retry: bool
    may_skip: bool
    may_block: bool
    why_not: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePreset:
    """A time at a press: what the form sends, its label, and when that is.

    `opens_at` is later where no call is allowed at that time, and None where none ever is.
    """

    text: str
    label: str
    at: datetime
    opens_at: datetime | None


async def read_actions(
    connection: Connection, context: OrganizationContext, campaign_contact_id: UUID
) -> ContactActions | None:
    """Return what the caller can do about a contact; None for a viewer."""
    if not context.may("operator"):
        return None
    contact = await find_contact(connection, context, campaign_contact_id)
    rules = await read_rules(connection, context.organization_id, context.studio.rules)
    return actions_of(contact, rules, context.studio.clock.now())


def actions_of(contact: OpenCallback, rules: RuleBook, now: datetime) -> ContactActions:
    """Return what a member can do about a contact. `rules` are those of its organization."""
    why_not = why_no_callback(contact) or never_allowed(contact, rules, now)
    return ContactActions(
        id=contact.id,
        campaign_id=contact.campaign_id,
        status=contact.status,
        zone_key=contact.zone_key,
        callback_at=contact.callback_at,
        may_call_back=why_not is None,
        may_retry=why_not is None and contact.status in MAY_COME_AGAIN,
        may_skip=contact.status == ContactStatus.PENDING,
        may_block=not contact.do_not_call and not is_erased(contact.phone),
        why_not=None if why_not is None else sentence_case(why_not),
    )


def time_presets(contact: OpenCallback, rules: RuleBook, now: datetime) -> Sequence[TimePreset]:
    """Return the times to choose from, in the contact's time zone. `rules` are those of its organization."""
    presets: list[TimePreset] = []
    for text, label in _PRESETS:
        try:
            at = read_callback_time(text, zone_key=contact.zone_key, ended_at=now)
        except UnreadableTime:
            continue
        # On a Sunday, tomorrow morning is Monday morning.
        if all(preset.at != at for preset in presets):
            presets.append(TimePreset(text=text, label=label, at=at, opens_at=opens_at(contact, rules, at)))
    return presets
