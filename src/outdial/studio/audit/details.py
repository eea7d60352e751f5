"""The details of audit entries in words."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from outdial.studio.view.format import money

_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ISO_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {"retell_agent_id": "agent", "from_number": "caller number", "more_numbers": "caller numbers"}
)


def details_in_words(details: Mapping[str, object]) -> Iterator[tuple[str, str | datetime]]:
    """Yield the name and the value of each detail of an entry as a reader wants it.

    Cents become dollars and ISO times become times; filters and lists lose their brackets. IDs say nothing to a reader
    and are left out, several are counted; the API and the CLI have them.
    """
    for name, value in details.items():
        match value:
            case None:
                continue
            case bool():
                yield name, "yes" if value else "no"
            case int() | float() if name.endswith("_cents"):
                yield name.removesuffix("_cents"), money(value)
            case dict() if name == "changes":
                yield name, ", ".join(map(_change_in_words, value.items())) or "none"
            case dict():
                yield name, ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
            case list():
                yield (
                    name,
                    str(len(value))
                    if value and all(map(is_id, value))
                    else ", ".join(str(each) for each in value) or "none",
                )
            case str() if is_id(value):
                continue
            case str() if (at := _time(value)) is not None:
                yield name, at
            case _:
                yield name, str(value)


def setting_name(name: str) -> str:
    """Return what the pages call a column of a campaign."""
    return _SETTINGS.get(name, name.removesuffix("_cents").replace("_", " "))


def _time(text: str) -> datetime | None:
    """Return a time of the log; None for other text, also for a reason that looks like a time and is none."""
    if not _ISO_TIME.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    # The first and the last year may leave the calendar in the viewer's zone.
    return at if 1 < at.year < 9999 else None


def _change_in_words(change: tuple[str, object]) -> str:
    name, values = change
    match values:
        case {"before": None | int() | float() | str() as before, "after": None | int() | float() | str() as after}:
            return f"{setting_name(name)} from {_setting(name, before)} to {_setting(name, after)}"
        case _:
            return setting_name(name)


def _setting(name: str, value: str | float | None) -> str:
    match value:
        case None | "":
            return "none"
        case bool():
            return "yes" if value else "no"
        case int() | float() if name.endswith("_cents"):
            return money(value)
        case _:
            return str(value)


def is_id(value: object) -> bool:
    """Whether a value is an ID as the log stores it."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None
