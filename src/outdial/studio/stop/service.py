"""Stops all calls of an organization, and resumes them."""

from datetime import datetime
from typing import Annotated, assert_never

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.campaigns.operations.stop import StopState, StopStatus, read_stop, resume_all_calls, stop_all_calls
from outdial.db.session import Connection
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import PermissionDenied, ResourceNotFound

ActionReason = Annotated[str | None, Field(max_length=LONGEST_DECISION_NOTE, pattern=r"^[^\x00]*$")]


class ReasonGiven(BaseModel):
    """Why a member acts, for the audit log."""

    model_config = ConfigDict(extra="forbid")
    reason: ActionReason = None

    @property
    def text(self) -> str | None:
        """The reason without spaces around it, None if it is empty."""
        return (self.reason or "").strip() or None


class CallStop(BaseModel):
    """Whether all calls are stopped. While `stopping`, requests that left before the stop are still in flight."""

    status: StopStatus
    requests_in_flight: int
    stopped_at: datetime | None
    stopped_by: str | None
    reason: str | None


async def show_stop(connection: Connection, context: OrganizationContext) -> CallStop:
    """Return whether all calls are stopped."""
    return _shown(await read_stop(connection, context.organization_id, context.studio.clock.now()))


async def stop(connection: Connection, context: OrganizationContext, given: ReasonGiven) -> CallStop:
    """Stop all calls; once the result is `stopped`, no request for a call leaves."""
    return _shown(
        await stop_all_calls(
            connection,
            organization_id=context.organization_id,
            by=context.caller.display_name,
            reason=given.text,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    )


async def resume(connection: Connection, context: OrganizationContext, given: ReasonGiven) -> CallStop:
    """Allow calls again."""
    return _shown(
        await resume_all_calls(
            connection,
            organization_id=context.organization_id,
            reason=given.text,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    )


def _shown(result: StopState | NotFound | Forbidden) -> CallStop:
    match result:
        case StopState():
            return CallStop.model_validate(result, from_attributes=True)
        case NotFound():
            raise ResourceNotFound("Organization not found, or you are not a member")
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)
