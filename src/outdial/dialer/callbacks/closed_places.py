"""Notes why callbacks wait that are due where no call may be made now."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from outdial.db.queries.dialing import callbacks
from outdial.db.queries.due_contacts import PendingLane
from outdial.db.session import Connection
from outdial.dialer.admission import Wait, WaitReason
from outdial.dialer.ordering.lanes import lane_place
from outdial.domain.contact import CALLBACK_RANK
from outdial.domain.place import Place


async def note_closed_places(
    connection: Connection,
    campaign_id: UUID,
    lanes: Sequence[PendingLane],
    waits: Mapping[Place, Wait],
    words: Mapping[WaitReason, str],
    now: datetime,
) -> None:
    """Store with the callbacks that are due in these places what they wait for; the campaign may call elsewhere."""
    closed = [
        place
        for lane in lanes
        if lane.rank == CALLBACK_RANK and lane.first_due_at <= now and (place := lane_place(lane)) in waits
    ]
    if closed:
        await callbacks.note_waiting_callbacks(
            connection,
            campaign_id=campaign_id,
            zone_keys=[place.zone_key for place in closed],
            jurisdiction_keys=[place.jurisdiction_key for place in closed],
            reasons=[f"waits for {words[waits[place].reason].replace('_', ' ')}" for place in closed],
            now=now,
        )
