"""Hours in a form: the windows of some days, as pairs of start and end, where "00:00" as an end is midnight."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from starlette.datastructures import FormData

_MIN_WINDOWS: Final = 2

Windows = Sequence[tuple[str, str]]


def windows_from_request(form: FormData, days: Iterable[str]) -> dict[str, Windows]:
    """Return the submitted windows of each of `days`, without empty ones."""
    hours: dict[str, Windows] = {}
    for day in days:
        starts, ends = ([str(value).strip() for value in form.getlist(f"{day}_{edge}")] for edge in ("from", "to"))
        hours[day] = [(start, end) for start, end in zip(starts, ends, strict=False) if start or end]
    return hours


def padded(windows: Windows) -> Windows:
    """Return windows with empty ones for input."""
    return [*windows, *[("", "")] * (_MIN_WINDOWS - len(windows))]


def parse_windows(
    hours: Mapping[str, Windows], labels: Mapping[str, str], problems: dict[str, str], field: str
) -> dict[str, list[list[str]]]:
    """Return the windows as settings write them. `problems` gets a day with half a window, by its label."""
    parsed: dict[str, list[list[str]]] = {}
    for day, label in labels.items():
        windows = hours.get(day, ())
        if any(not begin or not end for begin, end in windows):
            problems[field] = f"{label}: enter both a start and an end time"
        elif windows:
            parsed[day] = [[begin, "24:00" if end == "00:00" else end] for begin, end in windows]
    return parsed
