"""The calls on the line, those that have just ended, and the next call."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from outdial.campaigns.operations.hang_up import OutOfReach, UnreachableReason, find_unreachable
from outdial.db.queries.dialing.live_calls import EndedCallRow, LiveCallRow
from outdial.db.session import Connection
from outdial.dialer.live.board import MAX_ENDED, MAX_LIVE, FirstCall, read_board
from outdial.domain.call import LINE_STATES, LineState
from outdial.studio.campaigns.service import WaitingReason
from outdial.studio.view.format import iso
from outdial.studio.web.context import OrganizationContext


class _CallShown(BaseModel):
    id: UUID
    campaign_id: UUID
    campaign_name: str
    campaign_contact_id: UUID
    name: str | None
    phone: str
    from_number: str
    attempt_number: int
    agent_id: str
    agent_name: Annotated[str | None, Field(description="Null until a dialer has read the agents at Retell")]


class CallOnLine(_CallShown):
    """A call on the line. `since` is when it was answered, or else placed or requested.

    It is dialing until Retell has accepted the request, then ringing and talking; it is unconfirmed while Retell's
    response to the request is missing.
    """

    campaign_status: str
    state: LineState
    since: datetime
    is_hanging_up: bool
    out_of_reach: Annotated[UnreachableReason | None, Field(description="Why Outdial cannot hang it up")]


class JustEndedCall(_CallShown):
    """A call that has just ended. `outcome` is null until Retell reports the reason."""

    outcome: str | None
    ended_at: datetime
    duration_ms: int | None


class LineUse(BaseModel):
    """The lines of the Retell workspaces, and how many are in use, also by test calls."""

    lines: int
    in_use: int


class ComingCall(BaseModel):
    """The next call. `waiting` is why none is placed now, null while `campaign_id` dials.

    `at` is null when the time is not known, and `campaign_id` when no campaign is active or scheduled.
    """

    campaign_id: UUID | None
    at: datetime | None
    waiting: WaitingReason | None


class LiveCalls(BaseModel):
    """What is on the line. `next_call` is null while a call is live."""

    calls: Annotated[list[CallOnLine], Field(description=f"At most {MAX_LIVE}, the longest first")]
    total: Annotated[int, Field(description="All live calls")]
    ended: Annotated[
        list[JustEndedCall], Field(description=f"Of the last 5 minutes, newest first, at most {MAX_ENDED}")
    ]
    lines: LineUse
    next_call: ComingCall | None


async def read_live_calls(
    connection: Connection, context: OrganizationContext, campaign_id: UUID | None = None
) -> LiveCalls:
    """Return what is on the line of the organization, or of one of its campaigns, which the caller may see."""
    studio = context.studio
    now = studio.clock.now()
    board = await read_board(connection, context.organization_id, campaign_id, studio.rules, now)
    unreachable = await find_unreachable(connection, context.organization_id, [row.id for row in board.calls], now)
    return LiveCalls(
        calls=[_live_call(row, unreachable.get(row.id), now) for row in board.calls],
        total=board.total,
        ended=[_ended_call(row) for row in board.ended],
        lines=LineUse(lines=board.lines.lines, in_use=board.lines.in_use),
        next_call=None if board.next_call is None else _coming(board.next_call),
    )


def _live_call(row: LiveCallRow, unreachable: OutOfReach | None, now: datetime) -> CallOnLine:
    return CallOnLine(
        **_common(row),
        campaign_status=row.campaign_status,
        state=LINE_STATES[row.status],
        # The start that is reserved for a request may be ahead.
        since=row.started_at or row.placed_at or min(row.requested_at, now),
        is_hanging_up=row.is_hanging_up,
        out_of_reach=None if unreachable is None else unreachable.reason,
    )


def _ended_call(row: EndedCallRow) -> JustEndedCall:
    return JustEndedCall(**_common(row), outcome=row.outcome, ended_at=row.ended_at, duration_ms=row.duration_ms)


def _common(row: LiveCallRow | EndedCallRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _CallShown.model_fields}


def _coming(call: FirstCall) -> ComingCall:
    diagnosis = call.diagnosis
    waiting = None
    if diagnosis is not None:
        waiting = WaitingReason(
            code=diagnosis.reason, sentence=diagnosis.sentence(iso), at=diagnosis.at, zone=diagnosis.zone
        )
    return ComingCall(campaign_id=call.campaign_id, at=call.at, waiting=waiting)
