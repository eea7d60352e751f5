"""Carries out a portion of a bulk job without a campaign: on contacts of an organization, or on calls."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from outdial.db.queries.dialing import bulk_work
from outdial.db.session import Connection
from outdial.domain.policies.bulk_action import DELETED, ERASED, BulkAction, LeftOut, missed


async def act_on_rows(
    connection: Connection, run: bulk_work.BulkJobRun, ids: Sequence[UUID], now: datetime
) -> dict[UUID, LeftOut]:
    """Act on contacts or calls with one guarded statement; return those that are left out, each with the reason."""
    match action := BulkAction(run.action):
        case BulkAction.DO_NOT_CALL:
            done = await bulk_work.block_listed_contacts(
                connection, organization_id=run.organization_id, act_id=run.id, ids=ids, reason=run.reason, now=now
            )
            # Only now: the statement before holds off erasures.
            kept = await bulk_work.kept_contacts(connection, organization_id=run.organization_id, ids=ids)
            gone = ERASED
        case BulkAction.MARK_REVIEWED:
            done = await bulk_work.mark_calls_of_act(
                connection,
                organization_id=run.organization_id,
                act_id=run.id,
                ids=ids,
                reviewed_by=run.requested_by,
                note=run.reason,
                now=now,
            )
            kept = await bulk_work.kept_calls(connection, organization_id=run.organization_id, ids=ids)
            gone = DELETED
        case _:
            raise ValueError(f"{action} needs a campaign")
    present, changed = set(kept), set(done)
    return {id: missed(action) if id in present else gone for id in ids if id not in changed}
