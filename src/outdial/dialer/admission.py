"""Decides whether a campaign or a contact may be called now, and if not, why and until when.

Pure functions: facts in, an admission out. What the law allows in a place comes from its `EffectiveWindow`, which is
evaluated once per place and never per contact. The claim decides under its locks with the same functions that the
doctor, the campaign list and the contact's timeline use without locks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias, assert_never

import msgspec

from outdial.domain.calling_hours import CallingHours, parse_calling_hours
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import NO_NUMBER_FREE, OVER_DAILY_CAP, OVER_RULE_CAP, WAITS_FOR_PART
from outdial.domain.errors import InvalidCallingHours
from outdial.domain.openings import SEARCH
from outdial.domain.pacing import Pace, fair_share, free_slots, next_claim_at, recovered, start_slots
from outdial.domain.permission.screening import MissingList
from outdial.domain.place import Place
from outdial.domain.policies.budget import ClaimBudget
from outdial.domain.policies.number_pool import NumbersBusy
from outdial.domain.purpose import Purpose
from outdial.domain.rules import (
    CallingRule,
    EffectiveWindow,
    KeysMissing,
    NoRules,
    Prohibited,
    RuleBook,
)

DAY: Final = timedelta(hours=24)
LEAD: Final = timedelta(seconds=10)
"""A call placed now rings within LEAD: a place that closes sooner counts as closed."""
LIVE_ELSEWHERE: Final = timedelta(seconds=60)
"""Delay before Outdial checks again whether a phone is still on another campaign's call."""
WAITING_FOR_KEY: Final = "api_key"
"""What the row of a campaign says while its account has no API key: only dialers know that."""


class WaitReason(StrEnum):
    """Why a call must wait; the value is the code in the API."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PAUSED = "paused"
    CALLS_UNDER_WAY = "calls_under_way"
    NO_CONTACTS = "no_contacts"
    ZONE_OPENS = "zone_opens"
    LAW_OPENS = "law_opens"
    NO_RULES = "no_rules"
    KEYS_MISSING = "keys_missing"
    RETRY_DUE = "retry_due"
    DAILY_CAP = "daily_cap"
    RULE_CAP = "rule_cap"
    DAY_PART = "day_part"
    LIVE_ELSEWHERE = "live_elsewhere"
    NOT_SCREENED = "not_screened"
    CAMPAIGN_FULL = "campaign_full"
    ACCOUNT_FULL = "account_full"
    SHARE_TAKEN = "share_taken"
    PACING = "pacing"
    PRE_DIAL_HOOK = "pre_dial_hook"
    NUMBERS = "numbers"
    STOPPED = "stopped"
    BUDGET = "budget"
    NO_API_KEY = "no_api_key"


class SkipReason(StrEnum):
    """Why no call will be placed at all; the value is the code in the API."""

    CANCELLED = "cancelled"
    FINISHED = "finished"
    NOTHING_TO_DO = "nothing_to_do"
    NEVER_OPENS = "never_opens"
    LAW_NEVER_OPENS = "law_never_opens"
    PROHIBITED = "prohibited"
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
    """No call may be placed before `until`; None when only an event can tell, such as the end of a call.

    `rule` is the calling rule whose cap is reached.
    """

    reason: WaitReason
    until: datetime | None = None
    rule: CallingRule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """No call will be placed. `rule` is the calling rule that forbids it."""

    reason: SkipReason
    rule: CallingRule | None = None


Admission: TypeAlias = Admit | Wait | Skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceFacts:
    """A place with pending contacts, when the first of them is due, and the status reason of that contact.

    `is_screened` says whether the lists that the campaign requires are current there.
    """

    place: Place
    first_due_at: datetime
    first_reason: str = ""
    is_screened: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceAdmissions:
    """The places of a campaign: callable now, never callable and why, and what the others wait for, the first too."""

    open: list[Place]
    never_open: dict[Place, Skip]
    waits: dict[Place, Wait]
    next_wait: Wait | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFacts:
    """The limits of a campaign and its account, with the calls that count against them.

    `sharers` counts the campaigns of the account that want to call, this one included; `total_weight` is their weight
    together, None where all weigh the same. While the pre-dial hook fails,
    `hook_retry_at` is when the next request is due. Starts lie at least `hook_time` ahead, so that it can respond.
    `numbers_busy` is set for readers while no caller number is free; a claim asks its number pool after this.
    No call of the organization may start while it `is_stopped`, and none of the account without an API key.
    """

    concurrency_limit: int
    reserved_inbound: int
    account_live: int
    campaign_limit: int | None
    campaign_live: int
    batch_size: int
    sharers: int
    weight: int = 1
    total_weight: int | None = None
    pace: Pace
    numbers_busy: NumbersBusy | None = None
    budget: ClaimBudget | None = None
    hook_retry_at: datetime | None = None
    hook_time: timedelta = timedelta()
    is_stopped: bool = False
    has_key: bool = True

    @property
    def share(self) -> int:
        """How many live calls the campaign may hold."""
        total = self.sharers * self.weight if self.total_weight is None else self.total_weight
        return fair_share(self.concurrency_limit - self.reserved_inbound, self.weight, total)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFacts:
    """What decides whether one contact may be called.

    `recent_calls` are the calls to its phone within the longest period of a cap, newest first; `capping_rules` are the
    calling rules in force that have a cap. Readers without locks may leave out the facts with defaults: those rules are
    then not checked.
    """

    do_not_call: bool
    attempts: int
    max_attempts: int
    is_callback: bool = False
    has_consent: bool = True
    is_listed: bool = False
    live: bool = False
    caller_blocked: bool = False
    recent_calls: Sequence[datetime] = ()
    daily_call_cap: int | None = None
    capping_rules: Sequence[CallingRule] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFacts:
    """What decides whether a campaign may place calls; `calling_hours` is JSON text, `places` have pending contacts.

    `rules` are those of the campaign's organization; `missing_lists` are what its places that are not screened lack.
    """

    status: CampaignStatus
    scheduled_at: datetime | None
    calling_hours: str
    purpose: Purpose
    rules: RuleBook
    places: Sequence[PlaceFacts]
    limits: LimitFacts
    missing_lists: Sequence[MissingList] = ()
    keep_open: bool = False


@lru_cache(maxsize=1024)
def hours_of(raw: str) -> CallingHours:
    """Parse the calling hours in a campaign's JSON text."""
    return parse_calling_hours(msgspec.json.decode(raw))


@dataclass(frozen=True, slots=True)
class CampaignHours:
    """The hours and the purpose of a campaign, and the calling rules of its organization."""

    hours: CallingHours
    purpose: Purpose
    rules: RuleBook

    def at(self, place: Place) -> EffectiveWindow:
        """Return when calls are allowed in a place; cached."""
        return self.rules.window(self.hours, place, self.purpose)

    def without_rules(self, place: Place) -> EffectiveWindow:
        """Return when the campaign would call in a place if no rule applied; cached."""
        return self.rules.without_rules().window(self.hours, place, self.purpose)


def campaign_hours(calling_hours: str, purpose: str, rules: RuleBook) -> CampaignHours:
    """Return the hours in a campaign's row with the rules of its organization; raises InvalidCallingHours."""
    return CampaignHours(hours_of(calling_hours), Purpose(purpose), rules)


def may_ring(window: EffectiveWindow, now: datetime) -> bool:
    """Return whether a call placed now rings within the campaign's hours and the law's, in every zone of the place."""
    return window.is_open(now) and window.is_open(now + LEAD)


def admit_campaign(facts: CampaignFacts, now: datetime, horizon: timedelta) -> Admission:
    """Decide whether a campaign may place calls now.

    In order: its status, its places with the screening lists that they require, the limits of its account.

    `horizon` is how far ahead a start time may lie, as for `start_slots`.
    """
    admission = admit_status(facts.status, facts.scheduled_at)
    if not isinstance(admission, Admit):
        return admission
    if not facts.places:
        live = facts.limits.campaign_live
        if live:
            return Wait(reason=WaitReason.CALLS_UNDER_WAY)
        return Wait(reason=WaitReason.NO_CONTACTS) if facts.keep_open else Skip(reason=SkipReason.NOTHING_TO_DO)
    if facts.limits.is_stopped:
        return Wait(reason=WaitReason.STOPPED)
    hours = campaign_hours(facts.calling_hours, facts.purpose, facts.rules)
    places = admit_places(hours, facts.places, now)
    if places.open:
        return admit_account(facts.limits, now, horizon)
    return places.next_wait or next(iter(places.never_open.values()))


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


def admit_places(hours: CampaignHours, places: Sequence[PlaceFacts], now: datetime) -> PlaceAdmissions:
    """Evaluate hours and rules once per place; of equal waits, the one of the first place counts."""
    open_now: list[Place] = []
    never_open: dict[Place, Skip] = {}
    waits: dict[Place, Wait] = {}
    next_wait: Wait | None = None
    for facts in sorted(places, key=lambda facts: (facts.place.zone_key, facts.place.jurisdiction_key)):
        match admit_place(hours, facts, now) if facts.is_screened else Wait(reason=WaitReason.NOT_SCREENED):
            case Admit():
                open_now.append(facts.place)
            case Skip() as skip:
                never_open[facts.place] = skip
            case Wait(until=until) as wait:
                waits[facts.place] = wait
                if next_wait is None or (until is not None and (next_wait.until is None or until < next_wait.until)):
                    next_wait = wait
            case never:
                assert_never(never)
    return PlaceAdmissions(open=open_now, never_open=never_open, waits=waits, next_wait=next_wait)


def admit_place(hours: CampaignHours, facts: PlaceFacts, now: datetime) -> Admission:
    """Decide whether the first contact of a place is due, and whether the hours and the law allow a call there.

    Only a place that provably never opens is skipped. One that is excluded for longer than the search waits.
    """
    window = hours.at(facts.place)
    match window.blocked_at(now):
        case KeysMissing():
            return Wait(reason=WaitReason.KEYS_MISSING)
        case NoRules():
            return Wait(reason=WaitReason.NO_RULES)
        case Prohibited(rule) if window.never_opens(now):
            return Skip(reason=SkipReason.PROHIBITED, rule=rule)
        case Prohibited() | None:
            pass
        case never:
            assert_never(never)
    due_at = asked_at = max(now, facts.first_due_at)
    opens_at = window.next_open(due_at)
    if opens_at is None:
        if window.never_opens(now):
            by_campaign = hours.without_rules(facts.place).never_opens(now)
            return Skip(reason=SkipReason.NEVER_OPENS if by_campaign else SkipReason.LAW_NEVER_OPENS)
        return Wait(reason=WaitReason.ZONE_OPENS, until=due_at + SEARCH)
    if facts.first_due_at <= now and may_ring(window, now):
        return Admit()
    if opens_at <= now:
        # The place closes before a call would ring.
        asked_at = now + LEAD
        opens_at = window.next_open(asked_at) or asked_at
    if facts.first_due_at < opens_at:
        by_campaign = hours.without_rules(facts.place).next_open(asked_at) == opens_at
        return Wait(reason=WaitReason.ZONE_OPENS if by_campaign else WaitReason.LAW_OPENS, until=opens_at)
    return Wait(reason=_due_reason(facts.first_reason), until=opens_at)


def _due_reason(status_reason: str) -> WaitReason:
    if status_reason.endswith(OVER_DAILY_CAP):
        return WaitReason.DAILY_CAP
    if status_reason == NO_NUMBER_FREE:
        return WaitReason.NUMBERS
    if status_reason.startswith(WAITS_FOR_PART):
        return WaitReason.DAY_PART
    return WaitReason.RULE_CAP if status_reason.startswith(OVER_RULE_CAP) else WaitReason.RETRY_DUE


def next_call_at(
    *,
    status: CampaignStatus,
    scheduled_at: datetime | None,
    calling_hours: str,
    purpose: str,
    rules: RuleBook,
    place: Place,
    due_at: datetime,
    now: datetime,
) -> datetime | None:
    """Return when a pending contact of a campaign may be called at the earliest, for pages and the API.

    The time is in the past for a contact that is due and only waits for a free line. None means that no call is
    planned: the campaign does not run, its calling hours never open, or the law allows no call in the place.
    """
    match admit_status(status, scheduled_at):
        case Wait(reason=WaitReason.SCHEDULED, until=datetime() as starts_at):
            due_at = max(due_at, starts_at)
        case Wait() | Skip():
            return None
    try:
        hours = campaign_hours(calling_hours, purpose, rules)
        admission = admit_place(hours, PlaceFacts(place=place, first_due_at=due_at), now)
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
    """Decide how many calls may start, and when: the hook, concurrency, then the calls per second of the account.

    None may while all calls of the organization are stopped, or while the account has no API key.

    After a failure, the hook first gets a single call.
    """
    if (closed := _closed(limits, now)) is not None:
        return closed
    capacity = limits.concurrency_limit - limits.reserved_inbound
    if limits.campaign_limit is not None and limits.campaign_live >= limits.campaign_limit:
        return Wait(reason=WaitReason.CAMPAIGN_FULL)
    if limits.account_live >= capacity:
        return Wait(reason=WaitReason.ACCOUNT_FULL)
    if limits.campaign_live >= limits.share:
        return Wait(reason=WaitReason.SHARE_TAKEN)
    free = free_slots(
        concurrency_limit=limits.concurrency_limit,
        reserved_inbound=limits.reserved_inbound,
        live=limits.account_live,
        campaign_limit=limits.campaign_limit,
        campaign_live=limits.campaign_live,
        batch_size=limits.batch_size,
        share=limits.share,
    )
    if limits.budget is not None:
        free = min(free, limits.budget.room)
    pace = recovered(limits.pace, now)
    earliest = now + limits.hook_time
    starts = start_slots(pace, earliest, free if limits.hook_retry_at is None else min(free, 1), horizon)
    if starts and limits.numbers_busy is not None:
        return Wait(reason=WaitReason.NUMBERS, until=limits.numbers_busy.until)
    if not starts:
        return Wait(reason=WaitReason.PACING, until=next_claim_at(pace, earliest, horizon) - limits.hook_time)
    return Admit(starts=starts)


def _closed(limits: LimitFacts, now: datetime) -> Wait | None:
    """Return what keeps every call of the account from starting, however many are live."""
    if limits.is_stopped:
        return Wait(reason=WaitReason.STOPPED)
    if not limits.has_key:
        return Wait(reason=WaitReason.NO_API_KEY)
    if limits.hook_retry_at is not None and limits.hook_retry_at > now:
        return Wait(reason=WaitReason.PRE_DIAL_HOOK, until=limits.hook_retry_at)
    if limits.budget is not None and (used_up := limits.budget.used_up) is not None:
        return Wait(reason=WaitReason.BUDGET, until=used_up.resets_at)
    return None


def admit_contact(facts: ContactFacts, now: datetime) -> Admission:
    """Decide whether one due contact may be called.

    In order: the do-not-call list, consent, screening lists, attempts, a blocked caller number, live calls, the caps
    of the organization and of the calling rules. If several caps are reached, the one that lasts longest decides.
    """
    if facts.do_not_call:
        return Skip(reason=SkipReason.DO_NOT_CALL)
    if not facts.has_consent:
        return Skip(reason=SkipReason.NO_CONSENT)
    if facts.is_listed:
        return Skip(reason=SkipReason.LISTED)
    # A callback is promised: it passes the limit, by one call at most for each of the contact's callbacks.
    if facts.attempts >= facts.max_attempts and not facts.is_callback:
        return Skip(reason=SkipReason.ATTEMPTS_USED)
    if facts.caller_blocked:
        return Skip(reason=SkipReason.CALLER_BLOCKED)
    if facts.live:
        return Wait(reason=WaitReason.LIVE_ELSEWHERE, until=now + LIVE_ELSEWHERE)
    caps: list[tuple[datetime, CallingRule | None]] = []
    if facts.daily_call_cap is not None:
        caps.append((_free_again(facts.recent_calls, facts.daily_call_cap, DAY), None))
    caps += [
        (_free_again(facts.recent_calls, rule.cap.count, rule.cap.period), rule)
        for rule in facts.capping_rules
        if rule.cap is not None
    ]
    until, rule = max(caps, key=lambda cap: cap[0], default=(now, None))
    if until <= now:
        return Admit()
    return Wait(reason=WaitReason.DAILY_CAP if rule is None else WaitReason.RULE_CAP, until=until, rule=rule)


def _free_again(recent_calls: Sequence[datetime], count: int, period: timedelta) -> datetime:
    """Return when another call keeps to a cap of `count` calls in `period`; long ago if it does already."""
    return recent_calls[count - 1] + period if len(recent_calls) >= count else datetime.min.replace(tzinfo=UTC)
