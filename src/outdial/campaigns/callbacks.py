"""Sets, moves and ends the callbacks of contacts, for the command line and the studio."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

from outdial.campaigns.erasure import is_erased
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.campaigns.operations.never_call import ContactErased, NeverCalled, NeverCallResult, never_call
from outdial.campaigns.review import Decided, Decision, ReviewConflict, decide_review
from outdial.campaigns.undoing.acts import record_act
from outdial.db.queries import audit, batches
from outdial.db.queries.dialing import acts, callbacks
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import OPEN_TO_IMPORT
from outdial.domain.contact import ContactStatus, ReviewDecision
from outdial.domain.policies.callback_time import UnreadableTime, read_callback_time
from outdial.domain.policies.undo import ActKind

NOW: Final = "now"
"""The time of a callback that is made as soon as the hours and the law allow."""
_S: Final = ContactStatus
_D: Final = ReviewDecision


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
    """The contact is not waiting for a callback, or is being called back right now; `reason` says which."""

    reason: str


class CallbackEnd(StrEnum):
    """What becomes of a contact whose callback is not made."""

    RETRY = "retry"
    DONE = "done"
    NEVER_CALL = "never_call"


@dataclass(frozen=True, slots=True)
class CallbackSet:
    """The contact is called back at this time; `former` is when it would have been called back before."""

    at: datetime
    former: datetime | None


@dataclass(frozen=True, slots=True)
class CallbackDropped:
    """The contact is not called back. `act_id` names what can be undone."""

    act_id: UUID | None


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
    """Move a callback to another time, such as `2026-12-01T15:00` in the contact's time or `tomorrow at 3pm`."""
    contact = await callbacks.find_callback(
        connection, organization_id=organization_id, campaign_contact_id=campaign_contact_id
    )
    if contact is None:
        return NotFound()
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    if contact.callback_at is None:
        return NoOpenCallback(f"the contact is {contact.status} and is not waiting for a callback")
    at = _read(time, contact.zone_key, now)
    if isinstance(at, InvalidCallbackTime):
        return at
    moved = await callbacks.move_callback(
        connection, organization_id=organization_id, campaign_contact_id=contact.id, callback_at=at, now=now
    )
    if moved is None:
        return NoOpenCallback("the contact is being called back right now")
    details = {"from": contact.callback_at, "to": at}
    await _record(connection, organization_id, contact, actor, "move_callback", details, now)
    return Moved(at)


SetResult = CallbackSet | InvalidCallbackTime | NoOpenCallback | NotFound | Forbidden


async def set_callback(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_contact_id: UUID,
    time: str,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> SetResult:
    """Call a contact back at a time as `move_callback` reads it, or `now`.

    The contact may be pending or finished, or in review. A callback passes the attempt limit.
    """
    contact = await callbacks.find_callback(
        connection, organization_id=organization_id, campaign_contact_id=campaign_contact_id
    )
    if contact is None:
        return NotFound()
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    if (refusal := why_no_callback(contact)) is not None:
        return NoOpenCallback(refusal)
    at = _read(time, contact.zone_key, now)
    if isinstance(at, InvalidCallbackTime):
        return at
    done = await callbacks.set_callback(
        connection,
        organization_id=organization_id,
        campaign_contact_id=contact.id,
        callback_at=at,
        by=actor.name,
        now=now,
    )
    if done is None:
        return NoOpenCallback("the contact has just changed: try again")
    details = {"from": contact.callback_at, "to": at, "reason": reason}
    await _record(connection, organization_id, contact, actor, "set_callback", details, now)
    return CallbackSet(at, contact.callback_at)


def why_no_callback(contact: callbacks.OpenCallback) -> str | None:
    """Return why a contact cannot be called back, and what to do instead; None if it can."""
    if is_erased(contact.phone):
        return "the contact was erased"
    if contact.status == _S.CALLING:
        return "the contact is in a call: wait until it has ended"
    if contact.campaign_status not in OPEN_TO_IMPORT or contact.status == _S.CANCELLED:
        return (
            f"the campaign is {contact.campaign_status} and places no more calls: add the contact to another campaign"
        )
    return "the number is on the do-not-call list" if contact.do_not_call else None


DropResult = CallbackDropped | NoOpenCallback | NotFound | Forbidden


async def drop_callback(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_contact_id: UUID,
    end: CallbackEnd,
    reason: str | None,
    by: str,
    actor: Actor,
    now: datetime,
) -> DropResult:
    """End the callback of a pending contact, or the request of one in review, without a call at the time asked for.

    `never_call` is possible for any contact of a campaign. `by` names the actor in the status reason of the contact.
    """
    contact = await callbacks.find_callback(
        connection, organization_id=organization_id, campaign_contact_id=campaign_contact_id
    )
    if contact is None:
        return NotFound()
    if end is CallbackEnd.NEVER_CALL:
        result = await never_call(
            connection,
            organization_id=organization_id,
            campaign_contact_id=contact.id,
            reason=reason,
            by=by,
            actor=actor,
            now=now,
        )
        return _blocked(result)
    if contact.status == _S.REVIEW:
        return await _decide(connection, contact, end, reason, actor, now)
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    if contact.status == _S.CALLING:
        return NoOpenCallback("the contact is being called back right now")
    if contact.callback_at is None:
        return NoOpenCallback(f"the contact is {contact.status} and is not waiting for a callback")
    if end is CallbackEnd.RETRY and contact.attempts >= contact.max_attempts:
        return NoOpenCallback(f"all {contact.max_attempts} attempts have been used: choose done instead")
    act_id = await _remember(connection, contact, organization_id, end, now)
    done = await callbacks.drop_callback(
        connection,
        organization_id=organization_id,
        campaign_contact_id=contact.id,
        is_done=end is CallbackEnd.DONE,
        reason=f"callback ended by {by}" if end is CallbackEnd.DONE else None,
        now=now,
    )
    if done is None:
        return NoOpenCallback("the contact has just changed: try again")
    details = {"from": contact.callback_at, "then": end, "reason": reason, "act": act_id}
    await _record(connection, organization_id, contact, actor, "drop_callback", details, now)
    return CallbackDropped(act_id)


async def _remember(
    connection: Connection, contact: callbacks.OpenCallback, organization_id: UUID, end: CallbackEnd, now: datetime
) -> UUID:
    """Store the end of a callback as an act. It undoes nothing when the guard of the change holds."""
    act_id = await record_act(
        connection,
        organization_id=organization_id,
        kind=ActKind.END_CALLBACK,
        now=now,
        campaign_id=contact.campaign_id,
    )
    await acts.remember_contacts(
        connection,
        organization_id=organization_id,
        act_id=act_id,
        ids=[contact.id],
        was=[_S.PENDING],
        status=_S.COMPLETED if end is CallbackEnd.DONE else _S.PENDING,
        now=now,
    )
    return act_id


def _blocked(result: NeverCallResult) -> DropResult:
    match result:
        case NeverCalled(act_id):
            return CallbackDropped(act_id)
        case ContactErased():
            return NoOpenCallback("the contact was erased")
        case NotFound() | Forbidden():
            return result
        case never:
            assert_never(never)


async def _decide(
    connection: Connection,
    contact: callbacks.OpenCallback,
    end: CallbackEnd,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> DropResult:
    result = await decide_review(
        connection,
        campaign_id=contact.campaign_id,
        campaign_contact_id=contact.id,
        decision=Decision(decision=_D.CALL_AGAIN if end is CallbackEnd.RETRY else _D.COMPLETED, note=reason),
        actor=actor,
        now=now,
    )
    match result:
        case Decided():
            return CallbackDropped(result.act_id)
        case ReviewConflict(reason=why):
            return NoOpenCallback(why)
        case NotFound() | Forbidden():
            return result
        case never:
            assert_never(never)


def _read(time: str, zone_key: str, now: datetime) -> datetime | InvalidCallbackTime:
    if time.strip().lower() == NOW:
        return now
    try:
        return read_callback_time(time, zone_key=zone_key, ended_at=now)
    except UnreadableTime as error:
        examples = "2026-12-01T15:00, 2026-12-01T15:00-05:00, tomorrow at 3pm, or in 2 hours"
        return InvalidCallbackTime(f"{error}: write a time within the next 60 days, such as {examples}")


async def _record(
    connection: Connection,
    organization_id: UUID,
    contact: callbacks.OpenCallback,
    actor: Actor,
    action: str,
    details: Mapping[str, object],
    now: datetime,
) -> None:
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action=action,
        subject_type="campaign_contact",
        subject_id=str(contact.id),
        details=encode_json({"campaign_id": contact.campaign_id, **details}),
    )
    # It skips a locked campaign: what locks a campaign and then its contacts could wait for this contact.
    await batches.wake_campaigns(connection, now=now, ids=[contact.campaign_id], provider_account_ids=[])
    await batches.notify_campaigns(connection, ids=[contact.campaign_id])
