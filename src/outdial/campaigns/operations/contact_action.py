"""Carries out an action on contacts of a campaign that nothing leaves out, for bulk jobs and for selected contacts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID

from outdial.campaigns.entries.changing import skip_reason
from outdial.campaigns.review import DECIDED_REASONS
from outdial.campaigns.undoing.acts import remember_contacts
from outdial.db.queries.dialing import acts, bulk_work, entries
from outdial.db.rows import required
from outdial.db.session import Connection
from outdial.domain.contact import ReviewDecision
from outdial.domain.policies.bulk_action import BulkAction


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactAction:
    """An action, why, and who does it: `by` names them to members, `author` in decisions."""

    organization_id: UUID
    action: BulkAction
    decision: ReviewDecision | None
    reason: str | None
    by: str
    author: str
    call_at: datetime | None
    act_id: UUID


async def carry_out(connection: Connection, action: ContactAction, ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Change contacts with one guarded statement; return those that are changed now. Their act remembers them."""
    call_at = max(now, action.call_at or now)
    await remember_contacts(
        connection,
        organization_id=action.organization_id,
        act_id=action.act_id,
        action=action.action,
        decision=action.decision,
        ids=ids,
        now=now,
    )
    match action.action:
        case BulkAction.SKIP:
            return await entries.skip_contacts_by_hand(
                connection,
                organization_id=action.organization_id,
                ids=list(ids),
                reason=skip_reason(action.by, action.reason),
                now=now,
            )
        case BulkAction.RETRY:
            return await entries.retry_contacts(
                connection,
                organization_id=action.organization_id,
                ids=list(ids),
                call_at=call_at,
                reason="to be called again",
                now=now,
            )
        case BulkAction.DECIDE:
            decision = required(action.decision)
            return await bulk_work.decide_reviews(
                connection,
                organization_id=action.organization_id,
                ids=list(ids),
                decision=decision,
                note=action.reason,
                decided_by=action.author,
                reason=DECIDED_REASONS[decision],
                call_at=call_at,
                now=now,
            )
        case BulkAction.DO_NOT_CALL:
            return await acts.block_contacts(
                connection,
                organization_id=action.organization_id,
                ids=list(ids),
                reason=action.reason or f"added by {action.by}",
                now=now,
            )
        case BulkAction.NEW_CAMPAIGN | BulkAction.MARK_REVIEWED | BulkAction.UNDO:
            raise ValueError(f"{action.action} changes other rows than these contacts")
        case never:
            assert_never(never)
