"""Holds contacts back until the part of the day in which the campaign makes their next attempt."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

from outdial.db.queries.batches import LockedCampaign
from outdial.db.queries.dialing import day_parts
from outdial.db.queries.due_contacts import DueContact
from outdial.db.session import Connection
from outdial.dialer.admission import CampaignHours
from outdial.dialer.plan import DeferredContact, place_of
from outdial.domain.contact import CALLBACK_RANK, WAITS_FOR_PART
from outdial.domain.place import Place
from outdial.domain.policies.day_parts import DayPart, part_of_attempt, part_opens_at

HOLD_PORTION: Final = 200
"""Contacts that a claim reads in a campaign with parts of the day: most of them may have to be held."""


def contacts_to_read(campaign: LockedCampaign, starts: int) -> int:
    """Return how many due contacts a claim reads to find `starts` that it can call."""
    return max(starts, HOLD_PORTION) if campaign.day_parts else starts


async def hold_for_day_part(
    connection: Connection,
    campaign: LockedCampaign,
    hours: CampaignHours,
    contacts: Sequence[DueContact],
    now: datetime,
) -> list[DueContact]:
    """Defer the contacts whose part of the day is not now, and return the others. Callbacks come at any time."""
    parts = [DayPart(part) for part in campaign.day_parts]
    if not parts:
        return list(contacts)

    @lru_cache
    def opens_at(place: Place, part: DayPart, since: datetime) -> datetime | None:
        return part_opens_at(hours.at(place), part, now, since)

    callable_: list[DueContact] = []
    held: list[DeferredContact] = []
    for contact in contacts:
        part = part_of_attempt(parts, contact.attempts)
        until = None if part is None else opens_at(place_of(contact), part, contact.part_due_since or now)
        if part is None or until is None or until <= now or contact.rank == CALLBACK_RANK:
            callable_.append(contact)
        else:
            held.append(DeferredContact(id=contact.id, until=until, reason=f"{WAITS_FOR_PART}{part}"))
    if held:
        await day_parts.hold_contacts(
            connection,
            ids=[contact.id for contact in held],
            next_attempt_ats=[contact.until for contact in held],
            reasons=[contact.reason for contact in held],
            now=now,
        )
    return callable_
