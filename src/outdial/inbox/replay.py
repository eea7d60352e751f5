"""Applies stored events again. Applying an event twice changes nothing."""

from datetime import datetime
from uuid import UUID

from outdial.db.queries import events
from outdial.db.session import Connection


async def replay(
    connection: Connection,
    *,
    first_id: int,
    last_id: int,
    now: datetime,
    status: str | None = None,
    organization_id: UUID | None = None,
) -> int:
    """Mark the events from `first_id` to `last_id` (inclusive) as pending; return their number.

    `status` (applied, unmatched, quarantined) and `organization_id` narrow the range. The applier picks the events up
    after the caller's transaction is committed.
    """
    rows = await events.replay_events(
        connection, first_id=first_id, last_id=last_id, now=now, status=status, organization_id=organization_id
    )
    return len(rows)
