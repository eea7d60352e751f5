"""Decides whether a campaign or a contact may be called now, and if not, why and until when.

Pure functions: facts in, an admission out. The claim decides under its locks with the same functions that the doctor,
the campaign list and the contact's timeline use without locks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias, assert_never

import msgspec

from outdial.domain.calling_hours import CallingHours, is_open, never_opens, next_open, parse_calling_hours
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import OVER_DAILY_CAP
from outdial.domain.errors import InvalidCallingHours
from outdial.domain.openings import SEARCH
from outdial.domain.pacing import Pace, fair_share, free_slots, next_claim_at, recovered, start_slots
from outdial.domain.permission.screening import MissingList
from outdial.domain.place import Place

DAY: Final = timedelta(hours=24)
LEAD: Final = timedelta(seconds=10)
"""A call placed now rings within LEAD: a zone that closes sooner counts as closed."""
LIVE_ELSEWHERE: Final = timedelta(seconds=60)
"""Delay before Outdial checks again whether a phone is still on another campaign's call."""


class WaitReason(StrEnum):
    """Why a call must wait; the value is the code in the API."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PAUSED = "paused"
    CALLS_UNDER_WAY = "calls_under_way"
    ZONE_OPENS = "zone_opens"
    RETRY_DUE = "retry_due"
    DAILY_CAP = "daily_cap"
    LIVE_ELSEWHERE = "live_elsewhere"
    NOT_SCREENED = "not_screened"
    CAMPAIGN_FULL = "campaign_full"
    ACCOUNT_FULL = "account_full"
    SHARE_TAKEN = "share_taken"
    PACING = "pacing"


class SkipReason(StrEnum):
    """Why no call will be placed at all; the value is the code in the API."""

    CANCELLED = "cancelled"
    FINISHED = "finished"
    NOTHING_TO_DO = "nothing_to_do"
    NEVER_OPENS = "never_opens"
    DO_NOT_CALL = "do_not_call"
    NO_CONSENT = "no_consent"
    LISTED = "listed"
    ATTEMPTS_USED = "attempts_used"
    CALLER_BLOCKED = "caller_blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admit:
    """Calls may be placed now; `starts` are the times the account's rate allows, where the account was checked."""

    starts: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """No call may be placed before `until`; None when only an event can tell, such as the end of a call."""

    reason: WaitReason
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """No call will be placed."""

    reason: SkipReason


Admission: TypeAlias = Admit | Wait | Skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceFacts:
    """A place with pending contacts, when the first of them is due, and the status reason of that contact."""

    place: Place
    first_due_at: datetime
    first_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceAdmissions:
    """The places of a campaign: callable now, never callable, and the earliest wait of the others."""

    open: list[Place]
    never_open: list[Place]
    next_wait: Wait | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFacts:
    """The limits of a campaign and its account, with the calls that count against them.

    `sharers` counts the campaigns of the account that want to call, this one included.
    """

    concurrency_limit: int
    reserved_inbound: int
    account_live: int
    campaign_limit: int | None
    campaign_live: int
    batch_size: int
    sharers: int
    pace: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFacts:
    """What decides whether one contact may be called; `calls_of_the_day` are its calls of 24 hours, newest first.

    Readers without locks may leave out the facts with defaults: those rules are then not checked.
    """

    do_not_call: bool
    attempts: int
    max_attempts: int
    has_consent: bool = True
    is_listed: bool = False
    live: bool = False
    caller_blocked: bool = False
    calls_of_the_day: Sequence[datetime] = ()
    daily_call_cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFacts:
    """What decides whether a campaign may place calls; `calling_hours` is JSON text, `places` have pending contacts."""

    status: CampaignStatus
    scheduled_at: datetime | None
    calling_hours: str
    places: Sequence[PlaceFacts]
    limits: LimitFacts
    missing_lists: Sequence[MissingList] = ()


@lru_cache(maxsize=1024)
def hours_of(raw: str) -> CallingHours:
    """Parse the calling hours in a campaign's JSON text."""
    return parse_calling_hours(msgspec.json.decode(raw))


def may_ring(hours: CallingHours, zone_key: str, now: datetime) -> bool:
    """Return whether a call placed now rings within the hours of every zone of the key."""
    return is_open(hours, zone_key, now) and is_open(hours, zone_key, now + LEAD)


def admit_campaign(facts: CampaignFacts, now: datetime, horizon: timedelta) -> Admission:
    """Decide whether a campaign may place calls now.

    In order: its status, the screening lists that it requires, its places, the limits of its account.

    `horizon` is how far ahead a start time may lie, as for `start_slots`.
    """
    admission = admit_status(facts.status, facts.scheduled_at)
    if not isinstance(admission, Admit):
        return admission
    if not facts.places:
        live = facts.limits.campaign_live
        return Wait(reason=WaitReason.CALLS_UNDER_WAY) if live else Skip(reason=SkipReason.NOTHING_TO_DO)
    if facts.missing_lists:
        return Wait(reason=WaitReason.NOT_SCREENED)
    places = admit_places(hours_of(facts.calling_hours), facts.places, now)
    if places.open:
        return admit_account(facts.limits, now, horizon)
    return places.next_wait or Skip(reason=SkipReason.NEVER_OPENS)


def admit_status(status: CampaignStatus, scheduled_at: datetime | None) -> Admission:
    """Decide by the status of the campaign alone."""
    match status:
        case CampaignStatus.ACTIVE:
            return Admit()
        case CampaignStatus.DRAFT:
            return Wait(reason=WaitReason.DRAFT, until=scheduled_at)
        case CampaignStatus.SCHEDULED:
            return Wait(reason=WaitReason.SCHEDULED, until=scheduled_at)
        case CampaignStatus.PAUSING | CampaignStatus.PAUSED:
            return Wait(reason=WaitReason.PAUSED)
        case CampaignStatus.CANCELLING | CampaignStatus.CANCELLED:
            return Skip(reason=SkipReason.CANCELLED)
        case CampaignStatus.COMPLETED:
            return Skip(reason=SkipReason.FINISHED)
        case never:
            assert_never(never)


def admit_places(hours: CallingHours, places: Sequence[PlaceFacts], now: datetime) -> PlaceAdmissions:
    """Evaluate the calling hours once per place; of equal waits, the one of the first place counts."""
    open_now: list[Place] = []
    never_open: list[Place] = []
    next_wait: Wait | None = None
    for facts in sorted(places, key=lambda facts: (facts.place.zone_key, facts.place.jurisdiction_key)):
        match admit_place(hours, facts, now):
            case Admit():
                open_now.append(facts.place)
            case Skip():
                never_open.append(facts.place)
            case Wait(until=until) as wait:
                if next_wait is None or (until is not None and (next_wait.until is None or until < next_wait.until)):
                    next_wait = wait
            case never:
                assert_never(never)
    return PlaceAdmissions(open=open_now, never_open=never_open, next_wait=next_wait)


def admit_place(hours: CallingHours, facts: PlaceFacts, now: datetime) -> Admission:
    """Decide whether the first contact of a place is due and within its calling hours.

    Only a place that provably never opens is skipped. One that is excluded for longer than the search waits.
    """
    zone_key, due_at = facts.place.zone_key, max(now, facts.first_due_at)
    opens_at = next_open(hours, zone_key, due_at)
    if opens_at is None:
        if never_opens(hours, zone_key, now):
            return Skip(reason=SkipReason.NEVER_OPENS)
        return Wait(reason=WaitReason.ZONE_OPENS, until=due_at + SEARCH)
    if facts.first_due_at <= now and may_ring(hours, zone_key, now):
        return Admit()
    if opens_at <= now:
        # The place closes before a call would ring.
        opens_at = next_open(hours, zone_key, now + LEAD) or now + LEAD
    if facts.first_due_at < opens_at:
        return Wait(reason=WaitReason.ZONE_OPENS, until=opens_at)
    capped = facts.first_reason.endswith(OVER_DAILY_CAP)
    return Wait(reason=WaitReason.DAILY_CAP if capped else WaitReason.RETRY_DUE, until=opens_at)


def next_call_at(
    *,
    status: CampaignStatus,
    scheduled_at: datetime | None,
    calling_hours: str,
    place: Place,
    due_at: datetime,
    now: datetime,
) -> datetime | None:
    """Return when a pending contact of a campaign may be called at the earliest, for pages and the API.

    The time is in the past for a contact that is due and only waits for a free line. None means that no call is
    planned: the campaign does not run, or its calling hours never open.
    """
    match admit_status(status, scheduled_at):
        case Wait(reason=WaitReason.SCHEDULED, until=datetime() as starts_at):
            due_at = max(due_at, starts_at)
        case Wait() | Skip():
            return None
    try:
        admission = admit_place(hours_of(calling_hours), PlaceFacts(place=place, first_due_at=due_at), now)
    except InvalidCallingHours:
        return None
    match admission:
        case Admit():
            return due_at
        case Wait(until=until):
            return until
        case Skip():
            return None
        case never:
            assert_never(never)


def admit_account(limits: LimitFacts, now: datetime, horizon: timedelta) -> Admit | Wait:
    """Decide how many calls may start, and when: concurrency first, then the calls per second of the account."""
    capacity = limits.concurrency_limit - limits.reserved_inbound
    if limits.campaign_limit is not None and limits.campaign_live >= limits.campaign_limit:
        return Wait(reason=WaitReason.CAMPAIGN_FULL)
    if limits.account_live >= capacity:
        return Wait(reason=WaitReason.ACCOUNT_FULL)
    if limits.campaign_live >= fair_share(capacity, limits.sharers):
        return Wait(reason=WaitReason.SHARE_TAKEN)
    free = free_slots(
        concurrency_limit=limits.concurrency_limit,
        reserved_inbound=limits.reserved_inbound,
        live=limits.account_live,
        campaign_limit=limits.campaign_limit,
        campaign_live=limits.campaign_live,
        batch_size=limits.batch_size,
        sharers=limits.sharers,
    )
    pace = recovered(limits.pace, now)
    starts = start_slots(pace, now, free, horizon)
    if not starts:
        return Wait(reason=WaitReason.PACING, until=next_claim_at(pace, now, horizon))
    return Admit(starts=starts)


def admit_contact(facts: ContactFacts, now: datetime) -> Admission:
    """Decide whether one due contact may be called.

    In order: the do-not-call list, consent, screening lists, attempts, a blocked caller number, live calls, the daily
    cap.
    """
    if facts.do_not_call:
        return Skip(reason=SkipReason.DO_NOT_CALL)
    if not facts.has_consent:
        return Skip(reason=SkipReason.NO_CONSENT)
    if facts.is_listed:
        return Skip(reason=SkipReason.LISTED)
    if facts.attempts >= facts.max_attempts:
        return Skip(reason=SkipReason.ATTEMPTS_USED)
    if facts.caller_blocked:
        return Skip(reason=SkipReason.CALLER_BLOCKED)
    if facts.live:
        return Wait(reason=WaitReason.LIVE_ELSEWHERE, until=now + LIVE_ELSEWHERE)
    if facts.daily_call_cap is not None and len(facts.calls_of_the_day) >= facts.daily_call_cap:
        return Wait(reason=WaitReason.DAILY_CAP, until=facts.calls_of_the_day[facts.daily_call_cap - 1] + DAY)
    return Admit()
