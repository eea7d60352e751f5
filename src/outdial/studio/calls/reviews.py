"""Reviews of calls: the mark that a member has listened to one, with a note."""

from datetime import datetime
from typing import Annotated, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.campaigns.operations.call_review import CallReviewed, review_call, review_calls, unreview_call
from outdial.campaigns.selection import MOST_TICKED
from outdial.db.queries.dialing import listening
from outdial.db.session import Connection
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import PermissionDenied, ResourceNotFound


class CallReview(BaseModel):
    """Who has listened to a call, when, and what they noted."""

    model_config = ConfigDict(from_attributes=True)
    reviewed_by: str
    reviewed_at: datetime
    note: str | None


class ReviewNote(BaseModel):
    """A note about a call. Null for none."""

    model_config = ConfigDict(extra="forbid")
    note: Annotated[str | None, Field(max_length=LONGEST_DECISION_NOTE, pattern=r"^[^\x00]*$")] = None


class CallsToReview(ReviewNote):
    """Calls to mark as reviewed, with one note for all of them."""

    call_ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_TICKED)]


class CallsMarked(BaseModel):
    """How many calls were marked. The others had a mark already, which stays, or have been deleted.

    The act can be undone; null: nothing was changed.
    """

    changed: int
    left_out: int
    act_id: UUID | None


async def find_review(connection: Connection, organization_id: UUID, call_id: UUID) -> CallReview | None:
    """Return the review of a call."""
    row = await listening.find_review(connection, organization_id=organization_id, call_id=call_id)
    return None if row is None else CallReview.model_validate(row)


async def mark_reviewed(connection: Connection, context: OrganizationContext, call_id: UUID, note: str | None) -> None:
    """Mark a call as reviewed by the caller; raises ResourceNotFound or PermissionDenied."""
    _check(
        await review_call(
            connection,
            organization_id=context.organization_id,
            call_id=call_id,
            by=context.caller.display_name,
            note=(note or "").strip() or None,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    )


async def mark_calls(connection: Connection, context: OrganizationContext, new: CallsToReview) -> CallsMarked:
    """Mark calls that no one has marked yet as reviewed by the caller; raises PermissionDenied."""
    result = await review_calls(
        connection,
        organization_id=context.organization_id,
        call_ids=new.call_ids,
        by=context.caller.display_name,
        note=(new.note or "").strip() or None,
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    if isinstance(result, Forbidden):
        raise PermissionDenied("You need the Operator role to do this")
    return CallsMarked(changed=result.changed, left_out=len(set(new.call_ids)) - result.changed, act_id=result.act_id)


async def remove_mark(connection: Connection, context: OrganizationContext, call_id: UUID) -> None:
    """Remove the mark of a call; raises ResourceNotFound or PermissionDenied."""
    _check(
        await unreview_call(connection, organization_id=context.organization_id, call_id=call_id, actor=context.actor)
    )


def _check(result: CallReviewed | NotFound | Forbidden) -> None:
    match result:
        case CallReviewed():
            return
        case NotFound():
            raise ResourceNotFound("Call not found, or not reviewed")
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)
