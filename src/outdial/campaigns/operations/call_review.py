"""Marks calls as reviewed: a member has listened to one, and may leave a note."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.db.queries import audit
from outdial.db.queries.dialing import listening
from outdial.db.session import Connection


@dataclass(frozen=True, slots=True)
class CallReviewed:
    """The call is marked as reviewed, or no longer."""


async def review_call(
    connection: Connection,
    *,
    organization_id: UUID,
    call_id: UUID,
    by: str,
    note: str | None,
    actor: Actor,
    now: datetime,
) -> CallReviewed | NotFound | Forbidden:
    """Mark a call as reviewed by `by`, an email address, with a note. A later mark replaces an earlier one.

    A call whose transcript is not kept any more keeps no note either.
    """
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    marked = await listening.review_call(
        connection, organization_id=organization_id, call_id=call_id, reviewed_by=by, note=note or None, now=now
    )
    if marked is None:
        return NotFound()
    await _record(connection, organization_id, call_id, "review_call", actor)
    return CallReviewed()


async def unreview_call(
    connection: Connection, *, organization_id: UUID, call_id: UUID, actor: Actor
) -> CallReviewed | NotFound | Forbidden:
    """Remove the mark of a call, with its note. NotFound also for a call without a mark."""
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    if await listening.unreview_call(connection, organization_id=organization_id, call_id=call_id) is None:
        return NotFound()
    await _record(connection, organization_id, call_id, "unreview_call", actor)
    return CallReviewed()


async def _record(connection: Connection, organization_id: UUID, call_id: UUID, action: str, actor: Actor) -> None:
    # Without the note, which an erasure empties.
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action=action,
        subject_type="call",
        subject_id=str(call_id),
        details="{}",
    )
