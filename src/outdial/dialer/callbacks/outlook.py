"""Finds the callbacks that are overdue or at risk, and why, with the same rules as a claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID
from zoneinfo import ZoneInfo

from outdial.db.queries.dialing.callbacks import CallbackRow, OpenCallback
from outdial.db.session import Connection
from outdial.dialer.admission import (
    Admit,
    ContactFacts,
    PlaceFacts,
    Skip,
    SkipReason,
    Wait,
    WaitReason,
    admit_contact,
    admit_place,
    campaign_hours,
)
from outdial.dialer.callbacks.planning import ON_TIME
from outdial.dialer.doctor import Diagnosis, FormatMoment, RunReason, countries_without_rules, examine, read_rules
from outdial.domain.errors import InvalidCallingHours
from outdial.domain.explaining.rule_sentences import (
    cap_sentence,
    forbidden_sentence,
    name_jurisdictions,
    no_rules_sentence,
)
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import RuleBook

CALLS_SINCE: Final = timedelta(days=30)
"""Calls of this time are read to check the caps on calls to a phone."""

# What keeps a whole campaign from calling. Other reasons are about places, and so about other contacts.
_OF_CAMPAIGN: Final = frozenset(
    {
        WaitReason.DRAFT,
        WaitReason.SCHEDULED,
        WaitReason.PAUSED,
        WaitReason.STOPPED,
        WaitReason.BUDGET,
        WaitReason.NUMBERS,
        WaitReason.PRE_DIAL_HOOK,
        WaitReason.NOT_SCREENED,
        RunReason.NO_DIALER,
        RunReason.FAILING,
    }
)
# The time of these is not when they end.
_LASTING: Final = frozenset({WaitReason.DRAFT, RunReason.NO_DIALER})
# What keeps a call back for moments: it explains a callback that is late, and endangers no later one.
_FOR_MOMENTS: Final = frozenset(
    {WaitReason.CAMPAIGN_FULL, WaitReason.ACCOUNT_FULL, WaitReason.SHARE_TAKEN, RunReason.BACKED_OFF}
)


class CallbackGroup(StrEnum):
    """Where a callback is in the queue. Days are those of the reader."""

    ATTENTION = "attention"
    TODAY = "today"
    TOMORROW = "tomorrow"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a callback is not made in time: a code, and a sentence without a period."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessedCallback:
    """An open callback, and what stands in its way.

    `earliest_at` is the earliest time at which the call may start, None if it is unknown.
    """

    row: CallbackRow
    group: CallbackGroup
    is_overdue: bool
    obstacle: Obstacle | None
    earliest_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReaderDays:
    """The starts of tomorrow and of the day after, where the reader is."""

    tomorrow_at: datetime
    later_at: datetime


def days_of(now: datetime, zone: ZoneInfo) -> ReaderDays:
    """Return when tomorrow and the day after begin in a zone."""
    today = now.astimezone(zone).date()
    tomorrow_at, later_at = (datetime.combine(today + timedelta(days=days), time(), zone) for days in (1, 2))
    return ReaderDays(tomorrow_at, later_at)


async def assess_callbacks(
    connection: Connection,
    rows: Sequence[CallbackRow],
    *,
    organization_id: UUID,
    zone: ZoneInfo,
    rules: RuleBook,
    now: datetime,
    format_moment: FormatMoment,
) -> list[AssessedCallback]:
    """Return callbacks of an organization with their group and what stands in their way.

    The number of statements is fixed. `rules` are the shipped ones; `format_moment` writes times into sentences.
    """
    if not rows:
        return []
    diagnoses = await examine(connection, sorted({row.campaign_id for row in rows}), now, rules)
    own_rules = await read_rules(connection, organization_id, rules)
    days = days_of(now, zone)
    return [
        assess(row, diagnoses.get(row.campaign_id), days, rules=own_rules, now=now, format_moment=format_moment)
        for row in rows
    ]


def assess(
    row: CallbackRow,
    diagnosis: Diagnosis | None,
    days: ReaderDays,
    *,
    rules: RuleBook,
    now: datetime,
    format_moment: FormatMoment,
) -> AssessedCallback:
    """Return a callback with its group and what stands in its way. `rules` are those of its organization."""
    is_overdue = row.callback_at + ON_TIME < now and not row.is_calling
    obstacle, earliest_at = None, None
    if not row.is_calling:
        obstacle, earliest_at = _obstacle(row, diagnosis, is_overdue, rules, now, format_moment)
    return AssessedCallback(
        row=row,
        group=_group(row.callback_at, is_overdue or obstacle is not None, days),
        is_overdue=is_overdue,
        obstacle=obstacle,
        earliest_at=earliest_at,
    )


def never_allowed(contact: OpenCallback, rules: RuleBook, now: datetime) -> str | None:
    """Return why no call to a contact is ever allowed within the hours of its campaign; None if one is.

    `rules` are those of its organization.
    """
    place = Place(contact.zone_key, contact.jurisdiction_key)
    try:
        hours = campaign_hours(contact.calling_hours, contact.purpose, rules)
    except InvalidCallingHours as error:
        return str(error)
    admission = admit_place(hours, PlaceFacts(place=place, first_due_at=now), now)
    return _never(admission, place) if isinstance(admission, Skip) else None


def _group(callback_at: datetime, needs_attention: bool, days: ReaderDays) -> CallbackGroup:
    if callback_at >= days.later_at:
        return CallbackGroup.LATER
    if needs_attention:
        return CallbackGroup.ATTENTION
    return CallbackGroup.TODAY if callback_at < days.tomorrow_at else CallbackGroup.TOMORROW


def _obstacle(
    row: CallbackRow,
    diagnosis: Diagnosis | None,
    is_overdue: bool,
    rules: RuleBook,
    now: datetime,
    format_moment: FormatMoment,
) -> tuple[Obstacle | None, datetime | None]:
    at = max(now, row.callback_at)
    if row.do_not_call:
        return Obstacle(SkipReason.DO_NOT_CALL, "The number is on the do-not-call list"), None
    if diagnosis is not None and _holds_back(diagnosis, at, is_overdue):
        until = diagnosis.at if diagnosis.reason not in _LASTING else None
        return Obstacle(diagnosis.reason, diagnosis.sentence(format_moment)), until
    of_place = _obstacle_of_place(row, rules, at)
    if of_place is not None:
        return of_place
    if row.next_attempt_at > at:
        # Deferred by a claim: a cap, no number free, or a try that failed on the way.
        return Obstacle(
            "deferred", row.status_reason or row.callback_late or "An earlier try failed"
        ), row.next_attempt_at
    if is_overdue:
        return Obstacle("late", row.callback_late or "Waiting for a free line"), now
    return None, at


def _holds_back(diagnosis: Diagnosis, at: datetime, is_overdue: bool) -> bool:
    if diagnosis.reason in _FOR_MOMENTS:
        return is_overdue
    if diagnosis.reason not in _OF_CAMPAIGN:
        return False
    return diagnosis.at is None or diagnosis.at > at or diagnosis.reason in _LASTING


def _obstacle_of_place(
    row: CallbackRow, rules: RuleBook, at: datetime
) -> tuple[Obstacle | None, datetime | None] | None:
    place = Place(row.zone_key, row.jurisdiction_key)
    try:
        hours = campaign_hours(row.calling_hours, row.purpose, rules)
    except InvalidCallingHours as error:
        return Obstacle("calling_hours", str(error)), None
    window = hours.at(place)
    match admit_place(hours, PlaceFacts(place=place, first_due_at=at), at):
        case Skip() as skip:
            return Obstacle(skip.reason, _never(skip, place)), None
        case Wait(reason=reason, until=until):
            countries = countries_without_rules(window, at)
            return Obstacle(reason, _closed(reason, place, countries, Purpose(row.purpose))), until
        case Admit():
            pass
        case never:
            assert_never(never)
    capped = admit_contact(
        ContactFacts(
            do_not_call=False,
            attempts=row.attempts,
            max_attempts=row.max_attempts,
            is_callback=True,
            recent_calls=row.recent_calls,
            daily_call_cap=row.daily_call_cap,
            capping_rules=[rule for rule in window.rules_at(at) if rule.cap is not None],
        ),
        at,
    )
    if not isinstance(capped, Wait):
        return None
    sentence = (
        f"Over the cap of {row.daily_call_cap} calls in 24 hours" if capped.rule is None else cap_sentence(capped.rule)
    )
    return Obstacle(capped.reason, sentence[:1].upper() + sentence[1:]), capped.until


def _closed(reason: WaitReason, place: Place, countries: Sequence[str], purpose: Purpose) -> str:
    if reason in _CLOSED:
        return _CLOSED[reason].format(place=name_jurisdictions(place.jurisdictions))
    return no_rules_sentence(countries, purpose) if countries else "Outside calling hours"


_CLOSED: Final[Mapping[WaitReason, str]] = {
    WaitReason.LAW_OPENS: "Calling rules allow no call in {place} then",
    WaitReason.KEYS_MISSING: "Outdial is working out where the contact is",
}


def _never(skip: Skip, place: Place) -> str:
    if skip.rule is not None:
        return forbidden_sentence(skip.rule)
    if skip.reason is SkipReason.LAW_NEVER_OPENS:
        return f"Calling rules allow no call in {name_jurisdictions(place.jurisdictions)} within the calling hours"
    return "The contact's time zones have no calling hours in common"


def opens_at(contact: OpenCallback, rules: RuleBook, at: datetime) -> datetime | None:
    """Return when a call at a time may start within the hours and the law: at that time, later, or None for never."""
    try:
        hours = campaign_hours(contact.calling_hours, contact.purpose, rules)
    except InvalidCallingHours:
        return None
    place = Place(contact.zone_key, contact.jurisdiction_key)
    match admit_place(hours, PlaceFacts(place=place, first_due_at=at), at):
        case Admit():
            return at
        case Wait(until=until):
            return until
        case Skip():
            return None
        case never:
            assert_never(never)
