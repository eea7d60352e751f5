"""Marks calls as reviewed: a member has listened to one, and may leave a note."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.campaigns.undoing.acts import record_act
from outdial.db.queries import audit
from outdial.db.queries.dialing import bulk_work, listening
from outdial.db.session import Connection, encode_json
from outdial.domain.policies.undo import ActKind


@dataclass(frozen=True, slots=True)
class CallReviewed:
    """The call is marked as reviewed, or no longer."""


@dataclass(frozen=True, slots=True)
class CallsReviewed:
    """How many calls are marked as reviewed now that were not before. Without any, there is no act to undo."""

    changed: int
    act_id: UUID | None


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


async def review_calls(
    connection: Connection,
    *,
    organization_id: UUID,
    call_ids: Sequence[UUID],
    by: str,
    note: str | None,
    actor: Actor,
    now: datetime,
) -> CallsReviewed | Forbidden:
    """Mark calls as reviewed that no one has marked yet, in one statement. Marks and notes of others stay."""
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    act_id = await record_act(connection, organization_id=organization_id, kind=ActKind.REVIEW, now=now)
    marked = await bulk_work.mark_calls_of_act(
        connection,
        organization_id=organization_id,
        act_id=act_id,
        ids=list(call_ids),
        reviewed_by=by,
        note=note or None,
        now=now,
    )
    if marked:
        await audit.record_audit(
            connection,
            organization_id=organization_id,
            actor=actor.name,
            action="review_call" if len(marked) == 1 else "review_calls",
            subject_type="call",
            subject_id=str(marked[0]) if len(marked) == 1 else f"{len(marked)} calls",
            details=encode_json({"act": act_id} if len(marked) == 1 else {"act": act_id, "calls": sorted(marked)}),
        )
    return CallsReviewed(len(marked), act_id if marked else None)


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
