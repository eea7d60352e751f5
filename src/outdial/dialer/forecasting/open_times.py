"""When calls may be placed in each place of a campaign, found with the admission code and remembered for all runs."""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from outdial.dialer.admission import Admit, CampaignHours, PlaceFacts, Wait, admit_place, may_ring
from outdial.domain.openings import SEARCH
from outdial.domain.place import Place
from outdial.domain.policies.day_parts import DayPart, part_opens_at

_STEP: Final = timedelta(minutes=15)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(days=1)
"""An opening of a place that never closes is cut after this time; the next one follows at once."""
_TRIES: Final = 8


@dataclass(slots=True)
class _Openings:
    # Consecutive openings from the start on: the first moment of each, and the moment after its last.
    starts: list[datetime] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)
    is_exhausted: bool = False


class OpenTimes:
    """The openings of places from a moment on, computed once and only as far as someone asks."""

    def __init__(self, hours: CampaignHours, start: datetime) -> None:
        self._hours = hours
        self._start = start
        self._places: dict[Place, _Openings] = {}
        self._parts: dict[tuple[Place, DayPart, datetime, date], datetime | None] = {}

    def opens_at(self, place: Place, at: datetime) -> datetime | None:
        """Return the first moment from `at` on at which a call may be placed; None if there is none within SEARCH."""
        found = self._opening(place, at)
        return None if found is None else max(at, found[0])

    def part_opens_at(self, place: Place, part: DayPart, at: datetime, since: datetime) -> datetime:
        """Return the first moment from `at` on that lies in a part of the day; `at` if the part never opens.

        Parts begin and end on full hours, so that the quarter of an hour decides. `since` is when the attempt was due.
        """
        quarter = at - (at - _EPOCH) % _STEP
        key = (place, part, quarter, since.date())
        if key not in self._parts:
            self._parts[key] = part_opens_at(self._hours.at(place), part, quarter, since)
        return max(at, self._parts[key] or at)

    def work_ends_at(self, place: Place, at: datetime, work: timedelta) -> datetime:
        """Return when `work` that begins at `at` ends if it rests while the place is closed."""
        while True:
            found = self._opening(place, at)
            if found is None:
                return at + work
            begin, end = max(at, found[0]), found[1]
            if work <= end - begin:
                return begin + work
            work -= end - begin
            at = end

    def _opening(self, place: Place, at: datetime) -> tuple[datetime, datetime] | None:
        known = self._places.setdefault(place, _Openings())
        while not known.is_exhausted and (not known.ends or known.ends[-1] <= at):
            self._extend(place, known)
        index = bisect_right(known.ends, at)
        return (known.starts[index], known.ends[index]) if index < len(known.ends) else None

    def _extend(self, place: Place, known: _Openings) -> None:
        """Add the next opening, or note that there is none."""
        at = known.ends[-1] if known.ends else self._start
        for _ in range(_TRIES):
            if at >= self._start + SEARCH:
                break
            match admit_place(self._hours, PlaceFacts(place=place, first_due_at=at), at):
                case Admit():
                    known.starts.append(at)
                    known.ends.append(self._closes_at(place, at))
                    return
                case Wait(until=datetime() as until) if until > at:
                    at = until
                case _:
                    break
        known.is_exhausted = True

    def _closes_at(self, place: Place, opened_at: datetime) -> datetime:
        window, at = self._hours.at(place), opened_at
        while at < opened_at + _LONGEST:
            later = at + _STEP
            if not may_ring(window, later):
                open_s, closed_s = 0, int(_STEP / _SECOND)
                while closed_s - open_s > 1:
                    middle = (open_s + closed_s) // 2
                    if may_ring(window, at + middle * _SECOND):
                        open_s = middle
                    else:
                        closed_s = middle
                return at + closed_s * _SECOND
            at = later
        return at
