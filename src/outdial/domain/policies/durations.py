"""Durations as settings write them: `90s`, `30m`, `2h` or `1d`."""

import re
from datetime import timedelta
from typing import Final

_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def read_duration(text: str) -> timedelta | None:
    """Return a duration such as `30m`; None for any other text, and for more than timedelta can hold."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    seconds = int(match[1]) * int(_UNITS[match[2]].total_seconds())
    return timedelta(seconds=seconds) if seconds <= timedelta.max.total_seconds() else None


def duration_text(duration: timedelta) -> str:
    """Return a duration of whole seconds in its largest unit that fits without a rest."""
    for unit, length in _UNITS.items():
        if not duration % length:
            return f"{duration // length}{unit}"
    raise ValueError(f"{duration} is not a whole number of seconds")
