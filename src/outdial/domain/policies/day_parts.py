"""Parts of the day: a campaign may call a contact in another one on each attempt."""

from enum import StrEnum


class DayPart(StrEnum):
    """A part of the contact's day."""

    MORNING = "morning"
    AFTERNOON = "afternoon"
    EVENING = "evening"
