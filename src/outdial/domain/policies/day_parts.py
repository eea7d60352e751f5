"""Parts of the day: a campaign may call a contact in another one on each attempt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from outdial.domain.calling_hours import zones_of
from outdial.domain.openings import MINUTES_OF_DAY, LocalSchedule, Window, Windows, all_open, next_opening
from outdial.domain.rules import EffectiveWindow

LONGEST_PART_WAIT: Final = timedelta(days=8)
"""A contact waits at most so long for its part of the day: past a weekend, and past a holiday in the week after."""


class DayPart(StrEnum):
    """A part of the contact's day."""

    MORNING = "morning"
    AFTERNOON = "afternoon"
    EVENING = "evening"


PART_WINDOWS: Final = {
    DayPart.MORNING: Window(0, 12 * 60),
    DayPart.AFTERNOON: Window(12 * 60, 17 * 60),
    DayPart.EVENING: Window(17 * 60, MINUTES_OF_DAY),
}


@dataclass(frozen=True, slots=True)
class PartSchedule:
    """A part of the day on every date."""

    part: DayPart

    @property
    def changes(self) -> Sequence[date]:
        """None: a part of the day never changes."""
        return ()

    def windows(self, day: date) -> Windows:
        """Return the part, which is the same on each date."""
        return self.usual_windows(day)

    def usual_windows(self, day: date) -> Windows:
        """Return the part, which is the same on each date."""
        return (PART_WINDOWS[self.part],)


def part_of_attempt(parts: Sequence[DayPart], attempts: int) -> DayPart | None:
    """Return the part for the next attempt after `attempts`; the parts start again after the last. None: any time."""
    return parts[attempts % len(parts)] if parts else None


def part_of_call(parts: Sequence[DayPart], attempts: int, zone_key: str, moment: datetime) -> DayPart | None:
    """Return the part of the attempt after `attempts`, if it is that part at `moment` in every zone; else None."""
    part = part_of_attempt(parts, attempts)
    if part is None:
        return None
    return part if all_open(_schedules(part, zone_key), moment) else None


def part_opens_at(window: EffectiveWindow, part: DayPart, now: datetime, since: datetime) -> datetime | None:
    """Return when a contact may be called in a part of its day, in every zone that it may be in; `now` for at once.

    `since` is when its attempt was first due. None if the campaign's hours and the law leave nothing of the part within
    LONGEST_PART_WAIT from then on: the contact is called at any time.
    """
    schedules = [*window.schedules, *_schedules(part, window.place.zone_key)]
    moment = window.judged_at(now)
    opening = next_opening(schedules, moment, window.judged_at(since + LONGEST_PART_WAIT))
    return None if opening is None else now + (opening - moment)


def _schedules(part: DayPart, zone_key: str) -> list[LocalSchedule]:
    return [LocalSchedule(zone, PartSchedule(part)) for zone in zones_of(zone_key)]
