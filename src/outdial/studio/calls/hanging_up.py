"""Hangs up a live call for a member."""

from typing import assert_never
from uuid import UUID

from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.campaigns.operations.hang_up import HangingUp, NotLive, OutOfReach, hang_up
from outdial.db.session import Connection
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import PermissionDenied, ResourceConflict, ResourceNotFound


async def hang_up_call(connection: Connection, context: OrganizationContext, call_id: UUID, reason: str | None) -> None:
    """Have the dialer hang up a call; raises ResourceNotFound, or ResourceConflict if it is not live or out of
    reach."""
    result = await hang_up(
        connection,
        organization_id=context.organization_id,
        call_id=call_id,
        reason=(reason or "").strip() or None,
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    match result:
        case HangingUp():
            return
        case NotLive(status):
            raise ResourceConflict(f"Only live calls can be hung up. This one is {status}", status=status)
        case OutOfReach() as unreachable:
            raise ResourceConflict(unreachable.sentence)
        case NotFound():
            raise ResourceNotFound("Call not found")
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)
