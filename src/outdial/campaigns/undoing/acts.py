"""Stores what members do, so that it can be undone for an hour."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

from outdial.db.queries.dialing import acts
from outdial.db.session import Connection, encode_json
from outdial.domain.contact import AFTER_REVIEW, ContactStatus, ReviewDecision
from outdial.domain.ids import new_id
from outdial.domain.policies.bulk_action import APPLIES_TO, BulkAction
from outdial.domain.policies.undo import MOST_UNDONE, ActKind


def act_of(action: BulkAction, decision: ReviewDecision | None) -> ActKind | None:
    """Return what an action on contacts is as an act; None when it cannot be undone."""
    match action:
        case BulkAction.SKIP:
            return ActKind.SKIP
        case BulkAction.RETRY:
            return ActKind.RETRY
        case BulkAction.DECIDE:
            return ActKind.BLOCK if decision is ReviewDecision.NEVER_CALL else ActKind.DECIDE
        case BulkAction.DO_NOT_CALL:
            return ActKind.BLOCK
        case BulkAction.MARK_REVIEWED:
            return ActKind.REVIEW
        case BulkAction.NEW_CAMPAIGN | BulkAction.UNDO:
            return None
        case never:
            assert_never(never)


def act_of_job(action: BulkAction, decision: ReviewDecision | None, selected: int) -> ActKind | None:
    """Return what a bulk job on so many contacts is as an act; None when it cannot be undone."""
    return act_of(action, decision) if selected <= MOST_UNDONE else None


def status_after(action: BulkAction, decision: ReviewDecision | None) -> ContactStatus | None:
    """Return the status that an action gives a contact; None when it leaves the status."""
    match action:
        case BulkAction.SKIP:
            return ContactStatus.SKIPPED
        case BulkAction.RETRY:
            return ContactStatus.PENDING
        case BulkAction.DECIDE:
            return None if decision is None else AFTER_REVIEW[decision]
        case BulkAction.DO_NOT_CALL | BulkAction.NEW_CAMPAIGN | BulkAction.MARK_REVIEWED | BulkAction.UNDO:
            return None
        case never:
            assert_never(never)


async def record_act(
    connection: Connection,
    *,
    organization_id: UUID,
    kind: ActKind,
    now: datetime,
    act_id: UUID | None = None,
    campaign_id: UUID | None = None,
    is_bulk: bool = False,
    former: Sequence[Mapping[str, object]] = (),
) -> UUID:
    """Store an act and return its id. `former` are the entries of the do-not-call list, or the calls, that it names."""
    act_id = act_id or new_id(now)
    await acts.record_act(
        connection,
        organization_id=organization_id,
        id=act_id,
        kind=kind,
        campaign_id=campaign_id,
        is_bulk=is_bulk,
        former=encode_json(list(former)),
        now=now,
    )
    return act_id


async def remember_contacts(
    connection: Connection,
    *,
    organization_id: UUID,
    act_id: UUID,
    action: BulkAction,
    decision: ReviewDecision | None,
    ids: Sequence[UUID],
    now: datetime,
) -> None:
    """Store what contacts are before an action of an act, and lock them and their campaigns."""
    await acts.remember_contacts(
        connection,
        organization_id=organization_id,
        act_id=act_id,
        ids=list(ids),
        was=list(APPLIES_TO[action]),
        status=status_after(action, decision),
        now=now,
    )
