"""The hours of a campaign that calling rules allow, by state: in its form, and for its contacts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries import calling_rules, campaigns
from outdial.db.session import Connection
from outdial.dialer.doctor import read_rules
from outdial.domain.calling_hours import ALWAYS_OPEN, WEEKDAYS, CallingHours, clock_text, parse_calling_hours
from outdial.domain.errors import InvalidCallingHours
from outdial.domain.explaining.closed_contacts import COUNTED, ClosedContacts, closed_contacts
from outdial.domain.explaining.effective_week import EffectiveWeek, effective_week, monday_of, places_with_rules
from outdial.domain.explaining.rule_wording import block_text, week_text
from outdial.domain.geography.place_names import place_names
from outdial.domain.place import UNKNOWN_STATE, Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import UNRESTRICTED, RuleBook
from outdial.studio.campaigns.shapes import HoursField
from outdial.studio.view.format import minute_text, sentence_case
from outdial.studio.view.payloads import decode_object
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput

_IGNORED: Final = "This stack ignores the calling rules, because its calls are simulated."
_US: Final = "US-"
_SLOT_MINUTES: Final = 30
_SLOTS: Final = 48


class HoursQuestion(BaseModel):
    """Hours of a campaign, as they would be saved. With `campaign_id`, the places are those of its pending contacts."""

    model_config = ConfigDict(extra="forbid")
    calling_hours: Annotated[HoursField, Field(examples=[{"weekdays": [["09:00", "20:00"]]}])] = {}
    purpose: Purpose = Purpose.SALES
    campaign_id: UUID | None = None


class PlaceHours(BaseModel):
    """When calls may start in a usual week of a place, on the contact's clock.

    `closed` says why none may, null where some may. `rules` are the ids of the rules that take hours away.
    """

    jurisdiction: str
    name: str
    contacts: int | None
    is_narrower: bool
    closed: str | None
    week: HoursField
    rules: list[str]


class EffectiveHours(BaseModel):
    """The hours that calling rules allow, by place, with a `summary` in a sentence.

    `pack_date` is null, and there are no places, where calling rules are ignored.
    """

    summary: str
    narrower: int
    closed: int
    pack_date: date | None
    places: list[PlaceHours]


class FormHours(EffectiveHours):
    """The hours in a form that the rules allow, and what the rules allow at all.

    `law` has a letter for each half hour of a day, by weekday: "a" where all places allow calls that any place allows,
    "s" where only some do, "n" where none does. Places that are closed altogether do not count.
    """

    law: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursGroup:
    """Places with the same effective week, as the form shows them."""

    hours: str
    places: Sequence[str]
    rules: Sequence[str]
    is_narrower: bool
    is_closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _RuledPlaces:
    """Places to evaluate hours for, each with its pending contacts if a campaign has any, and their calling rules."""

    book: RuleBook
    contacts: Mapping[Place, int | None]
    monday: date


async def effective_hours(
    connection: Connection, context: OrganizationContext, question: HoursQuestion
) -> EffectiveHours:
    """Evaluate the hours by the organization's rules; raises InvalidInput for hours that cannot be read."""
    hours = _read_hours(question)
    ruled = await _ruled_places(connection, context, question.campaign_id)
    return _evaluate(ruled, hours, question.purpose)


async def hours_of_form(connection: Connection, context: OrganizationContext, question: HoursQuestion) -> FormHours:
    """Evaluate the hours of a form, and the whole week; raises InvalidInput as effective_hours does."""
    hours = _read_hours(question)
    ruled = await _ruled_places(connection, context, question.campaign_id)
    found = _evaluate(ruled, hours, question.purpose)
    allowed = _evaluate(ruled, parse_calling_hours(ALWAYS_OPEN), question.purpose)
    return FormHours(**dict(found), law=law_of_week([place.week for place in allowed.places if place.closed is None]))


def _read_hours(question: HoursQuestion) -> CallingHours:
    try:
        return parse_calling_hours(question.calling_hours)
    except InvalidCallingHours as error:
        raise InvalidInput(f"Invalid calling hours: {error}", {"calling_hours": sentence_case(str(error))}) from error


async def _ruled_places(connection: Connection, context: OrganizationContext, campaign_id: UUID | None) -> _RuledPlaces:
    book = await read_rules(connection, context.organization_id, context.studio.rules)
    contacts: Mapping[Place, int | None] = {}
    if book is not UNRESTRICTED:
        counts = await pending_places(connection, context, campaign_id) if campaign_id else {}
        contacts = counts or dict.fromkeys(places_with_rules(book))
    return _RuledPlaces(book=book, contacts=contacts, monday=monday_of(context.studio.clock.now().date()))


def _evaluate(ruled: _RuledPlaces, hours: CallingHours, purpose: Purpose) -> EffectiveHours:
    book = ruled.book
    if book is UNRESTRICTED:
        return EffectiveHours(summary=_IGNORED, narrower=0, closed=0, pack_date=None, places=[])
    places = [
        _place_hours(
            effective_week(book, hours=hours, place=place, purpose=purpose, monday=ruled.monday), hours, contacts
        )
        for place, contacts in ruled.contacts.items()
    ]
    return EffectiveHours(
        summary=_summary(places),
        narrower=sum(place.is_narrower for place in places),
        closed=sum(place.closed is not None for place in places),
        pack_date=book.pack_date,
        places=places,
    )


def law_of_week(weeks: Sequence[Mapping[str, Sequence[Sequence[str]]]]) -> dict[str, str]:
    """Return the letters of FormHours for the weeks that places allow; empty without places."""
    law = {}
    for day in WEEKDAYS if weeks else ():
        open_slots = [_slots(week.get(day, ())) for week in weeks]
        counts = [sum(slot in slots for slots in open_slots) for slot in range(_SLOTS)]
        law[day] = "".join("a" if count == len(weeks) else "s" if count else "n" for count in counts)
    return law


def _slots(windows: Sequence[Sequence[str]]) -> frozenset[int]:
    """Return the half hours that windows such as ["09:00", "20:00"] cover as a whole."""
    slots: set[int] = set()
    for window in windows:
        start, end = (60 * int(text[:2]) + int(text[3:]) for text in window)
        slots.update(range(-(-start // _SLOT_MINUTES), end // _SLOT_MINUTES))
    return frozenset(slots)


async def pending_places(connection: Connection, context: OrganizationContext, campaign_id: UUID) -> dict[Place, int]:
    """Return where the pending contacts of a campaign may be, each counted up to COUNTED."""
    rows = await calling_rules.count_pending_places(
        connection, organization_id=context.organization_id, campaign_id=campaign_id, most=COUNTED
    )
    return {Place(row.zone_key, row.jurisdiction_key): row.contacts for row in rows}


async def closed_contacts_of(
    connection: Connection, context: OrganizationContext, *, campaign_id: UUID, counts: Mapping[Place, int]
) -> tuple[ClosedContacts, ...]:
    """Return which contacts of a campaign the rules exclude, counted by place.

    Empty if the stored hours of the campaign cannot be read.
    """
    plan = await campaigns.dialing_plan(connection, campaign_id=campaign_id)
    if plan is None or not counts:
        return ()
    try:
        hours = parse_calling_hours(decode_object(plan.calling_hours))
    except InvalidCallingHours:
        return ()
    book = await read_rules(connection, context.organization_id, context.studio.rules)
    now = context.studio.clock.now()
    return closed_contacts(book, hours=hours, purpose=Purpose(plan.purpose), counts=counts, at=now)


def grouped(found: EffectiveHours) -> list[HoursGroup]:
    """Group places with the same week: the closed ones first, then the narrower ones, then the others."""
    groups: dict[tuple[bool, bool, str], list[PlaceHours]] = {}
    for place in found.places:
        text = (
            sentence_case(place.closed)
            if place.closed
            else week_text(parse_calling_hours(place.week).week, minute_text)
        )
        groups.setdefault((place.closed is None, not place.is_narrower, text), []).append(place)
    return [
        HoursGroup(
            hours=text,
            places=[_named(place) for place in places],
            rules=list(dict.fromkeys(rule for place in places for rule in place.rules)),
            is_narrower=not is_whole,
            is_closed=not is_open,
        )
        for (is_open, is_whole, text), places in sorted(
            groups.items(), key=lambda item: (item[0][0], item[0][1], -len(item[1]))
        )
    ]


def _place_hours(found: EffectiveWeek, hours: CallingHours, contacts: int | None) -> PlaceHours:
    closed = None
    if found.block is not None:
        closed = block_text(found.block)
    elif found.is_closed:
        closed = "the rules allow none of these hours"
    return PlaceHours(
        jurisdiction=found.place.jurisdiction_key,
        name=place_names(found.place.jurisdiction_key),
        contacts=contacts,
        is_narrower=closed is None and found.week != hours.week,
        closed=closed,
        week={}
        if closed
        else {
            day: [[clock_text(window.start_minute), clock_text(window.end_minute)] for window in windows]
            for day, windows in zip(WEEKDAYS, found.week, strict=True)
            if windows
        },
        rules=[rule.id for rule in found.narrowing],
    )


def _named(place: PlaceHours) -> str:
    if place.contacts is None:
        return place.name
    return f"{place.name} ({place.contacts:,}{'+' if place.contacts >= COUNTED else ''})"


def _summary(places: Sequence[PlaceHours]) -> str:
    narrower = [place for place in places if place.is_narrower]
    closed = [place for place in places if place.closed is not None]
    parts = []
    if narrower:
        parts.append(f"{_counted(narrower)} {_is_or_are(narrower)} narrower than these hours")
    if closed:
        parts.append(f"{_counted(closed)} {_is_or_are(closed)} closed")
    if not parts:
        return f"The calling rules allow these hours in {_counted(places)}." if places else ""
    return "; ".join(parts) + "."


def _is_or_are(places: Iterable[PlaceHours]) -> str:
    """Return the verb for `_counted`: a state can have several time zones, each with its own hours."""
    return "is" if len({place.jurisdiction for place in places}) == 1 else "are"


def _counted(places: Iterable[PlaceHours]) -> str:
    """Count states and other places: `24 states and 3 other places`."""
    names = {place.jurisdiction for place in places}
    states = sum(name.startswith(_US) and "|" not in name and name != UNKNOWN_STATE for name in names)
    others = len(names) - states
    parts = []
    if states:
        parts.append("1 state" if states == 1 else f"{states} states")
    if others:
        kind = "other place" if states else "place"
        parts.append(f"1 {kind}" if others == 1 else f"{others} {kind}s")
    return " and ".join(parts)
