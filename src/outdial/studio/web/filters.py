"""Query filters shared by lists and exports: dates in the viewer's zone, phone numbers and search terms."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Final, assert_never
from urllib.parse import unquote, urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Query, Request
from pydantic import AfterValidator, AwareDatetime, Field

from outdial.campaigns.errors import InvalidSelection
from outdial.campaigns.selection import SearchTerms, check_single_term, digits_term, read_terms, text_term
from outdial.domain.calling_hours import is_zone_name
from outdial.domain.phone import InvalidPhone, parse_phone
from outdial.studio.web.errors import InvalidInput

ZONE_COOKIE: Final = "outdial_zone"
"""The browser's time zone; static/time.js sets it."""
CHOSEN_ZONE_COOKIE: Final = "outdial_chosen_zone"
"""The time zone that the user has chosen for all pages in this browser."""

CursorTime = Annotated[datetime, msgspec.Meta(tz=True)]
CursorText = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$", max_length=400)]

Region = Annotated[
    str | None,
    Field(pattern=r"^[A-Za-z]{2}$", description="Country of numbers without a country code, such as US"),
]


def none_if_empty(text: str | None) -> str | None:
    """Return the text, None when it is empty: `?action=` is the same as no filter."""
    return text or None


def storable_time(value: datetime) -> datetime:
    """Return a time Postgres can store; raises ValueError for years before 1970 or after 9998."""
    if not _is_storable(value):
        raise ValueError("must be 1970 or later")
    return value


def _is_storable(day: date) -> bool:
    return 1970 <= day.year < 9999


SearchQuery = Annotated[
    str | None,
    Query(
        max_length=200,
        description="Words of a contact, such as of its name, number or email; in any order, case or accents",
    ),
]
TextQuery = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$"), AfterValidator(none_if_empty)]
PhoneQuery = Annotated[str | None, Query(max_length=40, description="First digits of the number, such as +1212")]
StorableTime = Annotated[AwareDatetime, AfterValidator(storable_time)]
SinceQuery = Annotated[StorableTime | None, Query(description="From this time, inclusive")]
UntilQuery = Annotated[StorableTime | None, Query(description="To this time, exclusive")]


def query_values(query: Mapping[str, str], names: Iterable[str], max_length: int = 200) -> dict[str, str]:
    """Return the named query parameters as trimmed text, empty when absent."""
    return {name: query.get(name, "").strip()[:max_length] for name in names}


def text_values(query: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the named query parameters like `query_values`, without NUL characters, which Postgres rejects."""
    return {name: value.replace("\0", "") for name, value in query_values(query, names).items()}


@dataclass(frozen=True, slots=True)
class ActiveFilter:
    """A filter of a list that is set, with the address of the list without it."""

    text: str
    address: str


def active_filters(
    form: Mapping[str, str], labels: Mapping[str, tuple[str, Sequence[tuple[str, str]]]], kept: Mapping[str, str]
) -> list[ActiveFilter]:
    """Return the filters of `form` that are set. `labels` has the label and the options of each; `kept` stays set."""
    given = {name: value for name, value in form.items() if value}
    active = []
    for name, (label, options) in labels.items():
        if name in given:
            chosen = {str(value): text for value, text in options}.get(given[name], given[name])
            others = {other: value for other, value in given.items() if other != name}
            # An address without filters that names a view would have those of the view.
            address = urlencode({**others, **kept} if others else {})
            active.append(ActiveFilter(f"{label}: {chosen}", f"?{address}"))
    return active


def viewer_zone(request: Request) -> ZoneInfo:
    """Return the viewer's time zone: the chosen one, else the device's; UTC until the browser has reported one."""
    name = chosen_zone(request) or unquote(request.cookies.get(ZONE_COOKIE, ""))
    return ZoneInfo(name if is_zone_name(name) else "UTC")


def chosen_zone(request: Request) -> str:
    """Return the name of the time zone that the user has chosen; empty when times follow the device."""
    name = request.cookies.get(CHOSEN_ZONE_COOKIE, "")
    return name if is_zone_name(name) else ""


def changed_rows(request: Request) -> frozenset[UUID] | None:
    """Return the ids of the rows that a live update of a list asks for; None for the whole page."""
    try:
        return frozenset(map(UUID, request.headers["x-live"].split()))
    except (KeyError, ValueError):
        return None


def parse_date(field: str, text: str) -> date | None:
    """Parse a date such as 2026-12-24, None when empty; raises InvalidInput."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidInput("Invalid date", {field: "use the format 2026-12-24"}) from None


def check_day(field: str, day: date | None) -> None:
    """Raise InvalidInput for a day before 1970 or after 9998."""
    if day is not None and not _is_storable(day):
        raise InvalidInput("This date is out of range", {field: "must be 1970 or later"})


def check_zone(field: str, name: str) -> ZoneInfo:
    """Return the time zone with an IANA name; raises InvalidInput for an unknown name."""
    if not is_zone_name(name):
        raise InvalidInput("Unknown time zone", {field: "use an IANA name such as America/New_York"})
    return ZoneInfo(name)


def parse_day(field: str, text: str, zone: ZoneInfo) -> datetime | None:
    """Return the start of a day in `zone`, None when empty; raises InvalidInput."""
    day = parse_date(field, text)
    check_day(field, day)
    return None if day is None else datetime.combine(day, time(), zone)


def parse_last_day(field: str, text: str, zone: ZoneInfo) -> datetime | None:
    """Return the end of a day in `zone` as an exclusive bound, None when empty; raises InvalidInput."""
    start = parse_day(field, text, zone)
    # Added to the local time, so that a day of 23 or 25 hours ends at midnight too.
    return None if start is None else start + timedelta(days=1)


class RecentDays(StrEnum):
    """Days that move with the calendar: a list that is opened again another day shows those of that day."""

    TODAY = "today"
    YESTERDAY = "yesterday"
    LAST_7_DAYS = "last_7_days"
    THIS_MONTH = "this_month"

    @property
    def label(self) -> str:
        """The name of the days on a page."""
        return self.replace("_", " ").capitalize()

    def bounds(self, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
        """Return the start of the first day and the end of the last one, in `zone`. The last 7 days include today."""
        today = now.astimezone(zone).date()
        first, last = today, today
        match self:
            case RecentDays.TODAY:
                pass
            case RecentDays.YESTERDAY:
                first = last = today - timedelta(days=1)
            case RecentDays.LAST_7_DAYS:
                first = today - timedelta(days=6)
            case RecentDays.THIS_MONTH:
                first = today.replace(day=1)
            case never:
                assert_never(never)
        return datetime.combine(first, time(), zone), datetime.combine(last + timedelta(days=1), time(), zone)


@contextmanager
def _as_invalid_input() -> Iterator[None]:
    try:
        yield
    except InvalidSelection as error:
        raise InvalidInput(error.summary, error.reasons) from None


def phone_digits(field: str, value: str | None) -> str | None:
    """Return the digits of a partial phone number, None when there are none; raises InvalidInput."""
    with _as_invalid_input():
        return digits_term(field, value)


def full_phone(field: str, text: str) -> str:
    """Return a phone number in E.164; raises InvalidInput, also for one without its country code."""
    phone = parse_phone(text, None)
    if isinstance(phone, InvalidPhone):
        if phone.lacks_country_code:
            reason = "Include the country code, such as +14155550100"
        else:
            reason = f"The number {phone.reason}; include the country code, such as +14155550100"
        raise InvalidInput("Invalid phone number", {field: reason})
    return phone.e164


def search_text(field: str, value: str | None) -> str | None:
    """Return a trimmed search term, None when empty; raises InvalidInput."""
    with _as_invalid_input():
        return text_term(field, value)


def check_single_search(terms: Mapping[str, str | None]) -> None:
    """Raise InvalidInput when more than one search term is given."""
    with _as_invalid_input():
        check_single_term(terms)


def search_terms(terms: Mapping[str, str | None]) -> SearchTerms:
    """Return the search terms of a campaign's contacts as they are looked for; raises InvalidInput."""
    with _as_invalid_input():
        return read_terms(terms)
