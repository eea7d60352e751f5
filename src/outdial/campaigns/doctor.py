"""Why a campaign places no call right now: one answer out of a closed set, each a value that has its sentence.

The decision is pure, over the facts of a moment. The dialer's own word (`waiting_for`) is that of its last look, so the
facts are weighed anew, and the word settles only what they cannot tell.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never
from uuid import UUID

import msgspec

from outdial.db import doctor as db
from outdial.db.campaigns import SHOW_CAMPAIGN, CampaignDetail
from outdial.db.claims import PENDING_ZONES, PendingZone
from outdial.db.statements import Connection
from outdial.domain.calling_hours import CallingHours, next_open, parse_calling_hours
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import OVER_DAILY_CAP

_S = CampaignStatus
Say = Callable[[datetime], str]
"""How a reader writes a moment: in a zone, in words, or as an element of a page."""

OVERDUE = timedelta(seconds=30)
"""A dialer that runs has looked at a campaign within this time of its being due."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Nobody has started it."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Its time has not come."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Paused:
    """Somebody, or trouble with the account, has paused it; `in_flight` while the last requests come home."""

    reason: str | None
    in_flight: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was cancelled; calls may be under way still."""

    live: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """Each of its contacts has a final status."""


@dataclass(frozen=True, slots=True)
class NobodyLooks:
    """No dialer has looked at it since it was due."""

    since: datetime


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """No contact waits, and none is on the phone: it is completed at the next look."""


@dataclass(frozen=True, slots=True)
class CallsUnderWay:
    """Everybody has been called; the last calls are not over."""

    live: int


@dataclass(frozen=True, slots=True)
class ZoneOpens:
    """It is outside the calling hours of whoever waits."""

    at: datetime
    zone_key: str


@dataclass(frozen=True, slots=True)
class NeverOpens:
    """No zone of whoever waits has an hour of the campaign's within two weeks."""

    zone_keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class RetryDue:
    """Whoever waits is to be tried again later."""

    at: datetime


@dataclass(frozen=True, slots=True)
class DailyCap:
    """Whoever waits has had as many calls in 24 hours as the organization allows."""

    until: datetime


@dataclass(frozen=True, slots=True)
class CampaignFull:
    """The campaign has as many live calls as its own limit allows."""

    live: int
    limit: int


@dataclass(frozen=True, slots=True)
class AccountFull:
    """The account has no free slot; some may be kept for inbound calls, some taken by other campaigns."""

    limit: int
    reserved: int
    elsewhere: int


@dataclass(frozen=True, slots=True)
class ShareTaken:
    """The campaign holds its share of the account's slots; the others are for the campaigns that want to call too."""

    share: int
    sharers: int


@dataclass(frozen=True, slots=True)
class BackedOff:
    """Retell had no room, so that the account calls at a part of its rate for a while."""

    until: datetime
    rate_factor: float


@dataclass(frozen=True, slots=True)
class Pacing:
    """The calls per second of the account are used up for the moment."""

    calls_per_second: float


Reason: TypeAlias = (
    Draft
    | Scheduled
    | Paused
    | Cancelled
    | Finished
    | NobodyLooks
    | NothingToDo
    | CallsUnderWay
    | ZoneOpens
    | NeverOpens
    | RetryDue
    | DailyCap
    | CampaignFull
    | AccountFull
    | ShareTaken
    | BackedOff
    | Pacing
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a campaign; `first` is whoever is called next, where that is because of their being due."""

    campaign: CampaignDetail
    zones: Sequence[PendingZone]
    limits: db.Limits
    first: db.FirstPending | None = None


async def examine(connection: Connection, campaign_id: UUID, now: datetime) -> Reason | None:
    """Read the facts of a campaign, which the caller may see, and return why it is not dialing; None while it is."""
    campaign = await SHOW_CAMPAIGN.one(connection, campaign_id=campaign_id)
    zones: Sequence[PendingZone] = ()
    first = None
    if campaign.status == _S.ACTIVE:
        zones = await PENDING_ZONES.all(connection, campaign_id=campaign_id)
        waits = _next_zone(_hours_of(campaign), zones, now)
        if waits is not None and waits[0] > now and waits[0] == waits[1].first_due_at:
            first = await db.DOCTOR_FIRST_PENDING.maybe(connection, campaign_id=campaign_id, zone_key=waits[1].zone_key)
    limits = await db.DOCTOR_LIMITS.one(connection, campaign_id=campaign_id)
    return diagnose(Facts(campaign, zones, limits, first), now)


def diagnose(facts: Facts, now: datetime) -> Reason | None:
    """Return why no call is being placed at `now`; None while calls are, and while nothing stands in their way."""
    campaign = facts.campaign
    if campaign.status == _S.ACTIVE:
        return _why_active(facts, now)
    return why_at_rest(campaign.status, campaign.scheduled_at or now, campaign.paused_reason, facts.limits.of_campaign)


def why_at_rest(
    status: str, scheduled_at: datetime | None, paused_reason: str | None, live: int
) -> Draft | Scheduled | Paused | Cancelled | Finished | None:
    """Return why a campaign in `status` dials nobody, as its own row tells; None when that is `active`."""
    match CampaignStatus(status):
        case _S.DRAFT:
            return Draft()
        case _S.SCHEDULED:
            assert scheduled_at is not None
            return Scheduled(scheduled_at)
        case _S.PAUSING | _S.PAUSED:
            return Paused(paused_reason, status == _S.PAUSING)
        case _S.CANCELLING | _S.CANCELLED:
            return Cancelled(live, status == _S.CANCELLED)
        case _S.COMPLETED:
            return Finished()
        case _S.ACTIVE:
            return None
        case never:
            assert_never(never)


def sentence(reason: Reason, say: Say) -> str:
    """Return the reason in words that begin with a capital; `say` writes the moments in them."""
    match reason:
        case Draft() | Scheduled() | Paused() | Cancelled() | Finished():
            return _of_the_state(reason, say)
        case CampaignFull() | AccountFull() | ShareTaken() | BackedOff() | Pacing():
            return _of_the_limits(reason, say)
        case _:
            return _of_the_contacts(reason, say)


def code_of(reason: Reason) -> str:
    """Return the reason as one word for programs, such as zone_opens."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(reason).__name__).lower()


def moment_of(reason: Reason) -> datetime | None:
    """Return the moment that the sentence speaks of."""
    match reason:
        case Scheduled(at) | ZoneOpens(at) | RetryDue(at) | DailyCap(at) | BackedOff(at) | NobodyLooks(at):
            return at
        case _:
            return None


def _why_active(facts: Facts, now: datetime) -> Reason | None:
    campaign = facts.campaign
    if campaign.next_batch_at is not None and campaign.next_batch_at + OVERDUE < now:
        return NobodyLooks(campaign.next_batch_at)
    if not facts.zones:
        return CallsUnderWay(facts.limits.of_campaign) if facts.limits.of_campaign else NothingToDo()
    waits = _next_zone(_hours_of(campaign), facts.zones, now)
    if waits is None:
        return NeverOpens([zone.zone_key for zone in facts.zones])
    at, zone = waits
    if at > now:
        return _why_later(facts, at, zone)
    return _why_full(facts) or _why_slow(facts, now)


def _why_later(facts: Facts, at: datetime, zone: PendingZone) -> Reason:
    if zone.first_due_at < at:
        return ZoneOpens(at, zone.zone_key)
    if facts.first is not None and (facts.first.status_reason or "").endswith(OVER_DAILY_CAP):
        return DailyCap(at)
    return RetryDue(at)


def _why_full(facts: Facts) -> Reason | None:
    limits, most = facts.limits, facts.campaign.max_concurrency
    capacity = limits.concurrency_limit - limits.reserved_inbound
    if most is not None and limits.of_campaign >= most:
        return CampaignFull(limits.of_campaign, most)
    if limits.of_account >= capacity:
        return AccountFull(limits.concurrency_limit, limits.reserved_inbound, limits.of_account - limits.of_campaign)
    share = -(-capacity // max(1, limits.sharers))
    if limits.sharers > 1 and limits.of_campaign >= share:
        return ShareTaken(share, limits.sharers)
    return None


def _why_slow(facts: Facts, now: datetime) -> Reason | None:
    limits = facts.limits
    if limits.backoff_until is not None and limits.backoff_until > now:
        return BackedOff(limits.backoff_until, limits.rate_factor)
    if facts.campaign.waiting_for == "pacing" and limits.next_start_at > now:
        return Pacing(limits.calls_per_second)
    return None


def _next_zone(hours: CallingHours, zones: Sequence[PendingZone], now: datetime) -> tuple[datetime, PendingZone] | None:
    found = [
        (opens_at, zone)
        for zone in zones
        if (opens_at := next_open(hours, zone.zone_key, max(now, zone.first_due_at))) is not None
    ]
    return min(found, key=lambda pair: (pair[0], pair[1].zone_key), default=None)


def _hours_of(campaign: CampaignDetail) -> CallingHours:
    return parse_calling_hours(msgspec.json.decode(campaign.calling_hours))


def _of_the_state(reason: Draft | Scheduled | Paused | Cancelled | Finished, say: Say) -> str:
    match reason:
        case Draft():
            return "It has not been started"
        case Scheduled(at):
            return f"It starts at {say(at)}"
        case Paused(why, in_flight):
            last = "; the last requests are coming home" if in_flight else ""
            return f"It was paused: {why or 'no reason was given'}{last}"
        case Cancelled(live, finished):
            under_way = f"; {_calls(live)} still under way" if live else ""
            return f"It was cancelled{under_way}" if finished or live else "It is being cancelled"
        case Finished():
            return "Each of its contacts has a final status"
        case never:
            assert_never(never)


def _of_the_limits(reason: CampaignFull | AccountFull | ShareTaken | BackedOff | Pacing, say: Say) -> str:
    match reason:
        case CampaignFull(live, limit):
            return f"Its {limit} slots are taken: {live} of its calls are live"
        case AccountFull(limit, reserved, elsewhere):
            kept = f", {reserved} of them kept for inbound calls" if reserved else ""
            others = f", and other campaigns have {_live(elsewhere)}" if elsewhere else ""
            return f"No slot is free: the account allows {limit} calls at once{kept}{others}"
        case ShareTaken(share, sharers):
            return f"Its share of {share} slots is taken: {sharers} campaigns call through the account at once"
        case BackedOff(until, rate_factor):
            return f"Calls start at {rate_factor:.0%} of their rate until {say(until)}, for Retell had no room"
        case Pacing(calls_per_second):
            return f"The account's rate of {calls_per_second:g} calls per second is used up for the moment"
        case never:
            assert_never(never)


def _of_the_contacts(
    reason: NobodyLooks | NothingToDo | CallsUnderWay | ZoneOpens | NeverOpens | RetryDue | DailyCap, say: Say
) -> str:
    match reason:
        case NobodyLooks(since):
            return f"No dialer has looked at it since {say(since)}: is one running?"
        case NothingToDo():
            return "Nobody is left to call; it is completed in a moment"
        case CallsUnderWay(live):
            return f"Everybody has been called; {_calls(live)} still under way"
        case ZoneOpens(at, zone_key):
            return f"Nobody may be called at this hour; the next call may start at {say(at)}, in {_zones(zone_key)}"
        case NeverOpens(zone_keys):
            return (
                f"Nobody who waits may be called within two weeks: {_zones(zone_keys[0])} is never open in its calling "
                "hours"
            )
        case RetryDue(at):
            return f"Whoever waits is to be tried again later, the first at {say(at)}"
        case DailyCap(until):
            return f"Whoever waits has had the calls of 24 hours; the next one may start at {say(until)}"
        case never:
            assert_never(never)


def _zones(zone_key: str) -> str:
    names = zone_key.split("|")
    return " and ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} more zones at once"


def _calls(count: int) -> str:
    return "1 call is" if count == 1 else f"{count} calls are"


def _live(count: int) -> str:
    return "1 live call" if count == 1 else f"{count} live calls"
