"""Reads what is on the line: live calls, those that have just ended, the lines in use, and else the next call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from outdial.db.queries.dialing import live_calls
from outdial.db.session import Connection
from outdial.dialer.admission import WaitReason
from outdial.dialer.doctor import Diagnosis, examine
from outdial.domain.rules import RuleBook

JUST_ENDED: Final = timedelta(minutes=5)
MAX_LIVE: Final = 200
MAX_ENDED: Final = 20
# Of an organization with more campaigns, those that are checked next are asked.
_MAX_CAMPAIGNS: Final = 20
# The campaign has nothing more to call, or calls already: its contacts say nothing about a next call.
_NO_NEXT_CALL: Final = frozenset({WaitReason.NO_CONTACTS, WaitReason.CALLS_UNDER_WAY})


@dataclass(frozen=True, slots=True)
class FirstCall:
    """When the next call may start, and why not before. Without a time, a campaign is dialing or has to be helped.

    `campaign_id` is the campaign that comes first; None if none may call at all. `diagnosis` is None while it dials.
    """

    campaign_id: UUID | None
    diagnosis: Diagnosis | None = None

    @property
    def at(self) -> datetime | None:
        """When a call may start; None while the campaign dials, and if it has to be helped first."""
        waits = self.diagnosis is not None and isinstance(self.diagnosis.reason, WaitReason)
        return self.diagnosis.at if self.diagnosis is not None and waits else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBoard:
    """What is on the line. `total` counts all live calls, of which `calls` are at most MAX_LIVE.

    `ended` are the calls of the last minutes; `next_call` is only read without a live call.
    """

    calls: Sequence[live_calls.LiveCallRow]
    total: int
    ended: Sequence[live_calls.EndedCallRow]
    lines: live_calls.LineCount
    next_call: FirstCall | None


async def read_board(
    connection: Connection, organization_id: UUID, campaign_id: UUID | None, rules: RuleBook, now: datetime
) -> LiveBoard:
    """Read what is on the line of an organization, or of one of its campaigns. `rules` are the shipped ones."""
    calls = await live_calls.list_live_calls(
        connection, organization_id=organization_id, campaign_id=campaign_id, limit=MAX_LIVE
    )
    total = len(calls)
    if total == MAX_LIVE:
        total = await live_calls.count_on_line(connection, organization_id=organization_id, campaign_id=campaign_id)
    ended = await live_calls.list_just_ended(
        connection, organization_id=organization_id, campaign_id=campaign_id, since=now - JUST_ENDED, limit=MAX_ENDED
    )
    lines = await live_calls.count_lines(connection, organization_id=organization_id, campaign_id=campaign_id)
    next_call = None
    if not calls:
        ids = [campaign_id] if campaign_id is not None else None
        ids = ids or await live_calls.next_campaigns(connection, organization_id=organization_id, limit=_MAX_CAMPAIGNS)
        next_call = first_call(await examine(connection, ids, now, rules) if ids else {}, now)
    return LiveBoard(calls=calls, total=total, ended=ended, lines=lines, next_call=next_call)


def first_call(diagnoses: Mapping[UUID, Diagnosis | None], now: datetime) -> FirstCall:
    """Return the call that comes first: of a campaign that dials, else the earliest known time, else any reason."""
    calls = [FirstCall(campaign_id, diagnosis) for campaign_id, diagnosis in diagnoses.items()]
    dialing = [call for call in calls if call.diagnosis is None]
    timed = [(call.at, call) for call in calls if call.at is not None and call.at > now]
    if dialing:
        return dialing[0]
    if timed:
        return min(timed, key=lambda each: each[0])[1]
    # A campaign that has to be helped comes before one that has nothing left to call.
    calls.sort(key=lambda call: call.diagnosis is not None and call.diagnosis.reason in _NO_NEXT_CALL)
    return calls[0] if calls else FirstCall(None)
