"""Hangs up a live call."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.db.queries import audit
from outdial.db.queries.dialing import hang_ups
from outdial.db.session import Connection, encode_json
from outdial.domain.call import LIVE, CallWorkspace


@dataclass(frozen=True, slots=True)
class HangingUp:
    """The dialer ends the call within seconds; its outcome comes as that of any call."""


@dataclass(frozen=True, slots=True)
class NotLive:
    """The call has ended, or was never placed: its `status` says which."""

    status: str


@dataclass(frozen=True, slots=True)
class OutOfReach:
    """The call is in a former workspace of its account, and Outdial has no key of it."""


OUT_OF_REACH: Final = (
    "This call is in a Retell workspace whose key Outdial no longer has. End it in Retell, or enter the key of that"
    " workspace again"
)


async def hang_up(
    connection: Connection,
    *,
    organization_id: UUID,
    call_id: UUID,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> HangingUp | NotLive | OutOfReach | NotFound | Forbidden:
    """Have the dialer hang up a live call. Repeating it is harmless."""
    call = await hang_ups.find_call_to_hang_up(connection, organization_id=organization_id, call_id=call_id)
    if call is None:
        return NotFound()
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    workspace = await hang_ups.workspace_to_hang_up(
        connection, organization_id=organization_id, call_id=call_id, now=now
    )
    if call.status in LIVE and workspace == CallWorkspace.FORMER:
        return OutOfReach()
    if not await hang_ups.hang_up_call(connection, organization_id=organization_id, call_id=call_id, now=now):
        return NotLive(call.status)
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="hang_up_call",
        subject_type="call",
        subject_id=str(call_id),
        details=encode_json({"reason": reason}),
    )
    return HangingUp()
