"""Lanes: the pending contacts of one place and rank, which a claim reads through one index probe each."""

from collections.abc import Collection, Sequence
from datetime import datetime
from math import ceil
from typing import Final

from outdial.db.queries.due_contacts import PendingLane
from outdial.domain.place import Place

MIN_PER_LANE: Final = 10
"""A claim reads at least so many due contacts of each lane, where it takes as many."""


def lane_place(lane: PendingLane) -> Place:
    """Return the place of a lane."""
    return Place(lane.zone_key, lane.jurisdiction_key)


def first_due_by_place(lanes: Sequence[PendingLane]) -> dict[Place, datetime]:
    """Return when the first pending contact of each place is due."""
    first: dict[Place, datetime] = {}
    for lane in lanes:
        place = lane_place(lane)
        first[place] = min(lane.first_due_at, first.get(place, lane.first_due_at))
    return first


def due_lanes(lanes: Sequence[PendingLane], places: Collection[Place], now: datetime) -> list[PendingLane]:
    """Return the lanes of these places that have a contact due."""
    return [lane for lane in lanes if lane.first_due_at <= now and lane_place(lane) in places]


def per_lane(starts: int, lanes: int) -> int:
    """Return how many contacts of each lane a claim reads.

    With 51 lanes it would otherwise read 51 times as many rows as it takes. Four times the equal share is enough for a
    full claim unless less than a quarter of the lanes have so many contacts due, and those with few are soon served.
    """
    return min(starts, max(MIN_PER_LANE, ceil(4 * starts / max(1, lanes))))
