"""Moves the callbacks of contacts, for the command line and the studio."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.db.queries import audit, batches
from outdial.db.queries.dialing import callbacks
from outdial.db.session import Connection, encode_json
from outdial.domain.policies.callback_time import UnreadableTime, read_callback_time


@dataclass(frozen=True, slots=True)
class Moved:
    """The contact is called back at this time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class InvalidCallbackTime:
    """The time was refused; `reason` says why and what to write instead."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoOpenCallback:
    """The contact waits for no callback, or is being called back right now; `reason` says which."""

    reason: str


MoveResult = Moved | InvalidCallbackTime | NoOpenCallback | NotFound | Forbidden


async def move_callback(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_contact_id: UUID,
    time: str,
    actor: Actor,
    now: datetime,
) -> MoveResult:
    """Call a contact back at another time, such as `2026-12-01T15:00` in the contact's time or `tomorrow at 3pm`."""
    contact = await callbacks.find_callback(
        connection, organization_id=organization_id, campaign_contact_id=campaign_contact_id
    )
    if contact is None:
        return NotFound()
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    if contact.callback_at is None:
        return NoOpenCallback(f"the contact is {contact.status} and is not waiting for a callback")
    try:
        at = read_callback_time(time, zone_key=contact.zone_key, ended_at=now)
    except UnreadableTime as error:
        examples = "2026-12-01T15:00, 2026-12-01T15:00-05:00, tomorrow at 3pm, or in 2 hours"
        return InvalidCallbackTime(f"{error}: write a time within the next 60 days, such as {examples}")
    moved = await callbacks.move_callback(
        connection, organization_id=organization_id, campaign_contact_id=contact.id, callback_at=at, now=now
    )
    if moved is None:
        return NoOpenCallback("the contact is being called back right now")
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="move_callback",
        subject_type="campaign_contact",
        subject_id=str(contact.id),
        details=encode_json({"campaign_id": moved, "from": contact.callback_at, "to": at}),
    )
    # It skips a locked campaign: what locks a campaign and then its contacts could wait for this contact.
    await batches.wake_campaigns(connection, now=now, ids=[moved], provider_account_ids=[])
    await batches.notify_campaigns(connection, ids=[moved])
    return Moved(at)
