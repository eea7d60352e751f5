"""Hangs up a live call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, cast
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.db.queries import audit
from outdial.db.queries.dialing import hang_ups
from outdial.db.session import Connection, encode_json
from outdial.domain.call import LIVE


@dataclass(frozen=True, slots=True)
class HangingUp:
    """The dialer ends the call within seconds; its outcome comes as that of any call."""


@dataclass(frozen=True, slots=True)
class NotLive:
    """The call has ended, or was never placed: its `status` says which."""

    status: str


UnreachableReason: TypeAlias = Literal["former_workspace", "no_key"]
_OUT_OF_REACH: Final[Mapping[UnreachableReason, str]] = {
    "former_workspace": "This call is in a Retell workspace whose key Outdial no longer has. End it in Retell, or enter"
    " the key of that workspace again",
    "no_key": "Outdial has no API key for the Retell workspace of this call. End it in Retell, or enter the key",
}


@dataclass(frozen=True, slots=True)
class OutOfReach:
    """Outdial has no key that reaches the call: it is in a former workspace, or its account has no key."""

    reason: UnreachableReason

    @property
    def sentence(self) -> str:
        """Return why the call cannot be hung up, and what to do."""
        return _OUT_OF_REACH[self.reason]


async def find_unreachable(
    connection: Connection, organization_id: UUID, call_ids: Sequence[UUID], now: datetime
) -> Mapping[UUID, OutOfReach]:
    """Return those of the live calls that cannot be hung up, each with the reason."""
    if not call_ids:
        return {}
    found = await hang_ups.unreachable_calls(
        connection, organization_id=organization_id, call_ids=list(call_ids), now=now
    )
    return {call.call_id: OutOfReach(cast("UnreachableReason", call.reason)) for call in found}


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
    if call.status in LIVE:
        unreachable = await find_unreachable(connection, organization_id, [call_id], now)
        if call_id in unreachable:
            return unreachable[call_id]
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
