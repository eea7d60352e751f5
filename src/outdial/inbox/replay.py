"""Applies stored events again. Applying an event twice changes nothing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from outdial.db.queries import events
from outdial.db.session import Connection

MOST_COUNTED: Final = 10_000
"""Events without a body are counted up to this number."""


@dataclass(frozen=True, slots=True)
class ReplayedEvents:
    """How many events are pending again, and how many cannot be, because their body was removed."""

    replayed: int
    without_body: int


async def replay(
    connection: Connection,
    *,
    first_id: int,
    last_id: int,
    now: datetime,
    status: str | None = None,
    organization_id: UUID | None = None,
) -> ReplayedEvents:
    """Mark the events from `first_id` to `last_id` (inclusive) as pending.

    `status` (applied, unmatched, quarantined) and `organization_id` narrow the range. The applier picks the events up
    after the caller's transaction is committed. An event whose body was removed, because of its age or an erasure, is
    left alone.
    """
    rows = await events.replay_events(
        connection, first_id=first_id, last_id=last_id, now=now, status=status, organization_id=organization_id
    )
    without_body = await events.count_bodiless_events(
        connection,
        first_id=first_id,
        last_id=last_id,
        status=status,
        event=None,
        organization_id=organization_id,
        most=MOST_COUNTED,
    )
    return ReplayedEvents(len(rows), without_body)


def without_body_notice(count: int) -> str | None:
    """Return why events were not replayed, None if all were."""
    if not count:
        return None
    events_were = "1 event was" if count == 1 else f"{count:,} events were"
    return f"{events_were} not replayed: the body was removed, because of its age or an erasure."
