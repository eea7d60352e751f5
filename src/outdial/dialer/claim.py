"""The claim: one transaction that decides under the lock of the account's row and commits the calls to place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Final, assert_never
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import accounts, batches, calling_rules, campaign_status, due_contacts
from outdial.db.queries import calls as call_queries
from outdial.db.queries.dialing import turns
from outdial.db.session import Connection, Database, LockNotAvailable, encode_json
from outdial.dialer.admission import (
    DAY,
    WAITING_FOR_KEY,
    Admit,
    CampaignHours,
    LimitFacts,
    PlaceFacts,
    Skip,
    SkipReason,
    Wait,
    WaitReason,
    admit_account,
    admit_places,
    campaign_hours,
)
from outdial.dialer.budgets.limits import lock_budget, reservation
from outdial.dialer.callbacks.closed_places import note_closed_places
from outdial.dialer.callbacks.planning import callback_columns
from outdial.dialer.invariants import check_claim
from outdial.dialer.numbers.pool import WAITING_FOR_NUMBERS, lock_pool
from outdial.dialer.ordering.day_parts import contacts_to_read, hold_for_day_part
from outdial.dialer.ordering.lanes import due_lanes, first_due_by_place, lane_place, per_lane
from outdial.dialer.organization_rules import organization_rules
from outdial.dialer.plan import (
    DeferredContact,
    PlannedCall,
    admit_contacts,
    capping_rules,
    decision,
    limits_of,
    live_elsewhere,
    pack_date_text,
    place_of,
    plan_call,
)
from outdial.dialer.screening import Screening, screening_lists, screening_of
from outdial.dialer.starts import LOCK_WAIT, store_pace
from outdial.domain.contact import FORBIDDEN_BY, NEVER_LEGAL, NEVER_OPEN
from outdial.domain.ids import new_id
from outdial.domain.pacing import Pace, after_slots, next_claim_at, recovered, spacing
from outdial.domain.permission.consent import scopes_of
from outdial.domain.permission.screening import missing_lists
from outdial.domain.place import Place
from outdial.domain.policies.callback_requests import ASKED_IN
from outdial.domain.policies.number_pool import ChosenNumber, NumberPool
from outdial.domain.policies.voicemail import AfterMessage
from outdial.domain.purpose import ListKind
from outdial.domain.rule_parsing import rule_document
from outdial.domain.rules import CallingRule, RuleBook
from outdial.provider import VoiceProvider
from outdial.settings import DialerSettings

DEADLINE_MARGIN: Final = timedelta(seconds=5)
"""A request may be outstanding this much longer than its timeout: the time between its slot and its first byte."""
LOCKED_ELSEWHERE: Final = timedelta(milliseconds=200)
"""Delay before the next claim when another transaction holds all due contacts."""
SKIP_PORTION: Final = 5_000
"""Contacts that one claim skips, because a million in one statement would hold their locks for tens of seconds."""

_WAITING_FOR: Final[Mapping[WaitReason, str]] = MappingProxyType(
    {
        WaitReason.CALLS_UNDER_WAY: "calls",
        WaitReason.NO_CONTACTS: "contacts",
        WaitReason.ZONE_OPENS: "calling_hours",
        WaitReason.LAW_OPENS: "calling_rules",
        WaitReason.NO_RULES: "calling_rules",
        WaitReason.KEYS_MISSING: "keys",
        WaitReason.RETRY_DUE: "retry",
        WaitReason.DAILY_CAP: "retry",
        WaitReason.RULE_CAP: "retry",
        WaitReason.DAY_PART: "day_part",
        WaitReason.CAMPAIGN_FULL: "concurrency",
        WaitReason.ACCOUNT_FULL: "concurrency",
        WaitReason.SHARE_TAKEN: "concurrency",
        WaitReason.PACING: "pacing",
        WaitReason.NOT_SCREENED: "screening",
        WaitReason.PRE_DIAL_HOOK: "pre_dial_hook",
        WaitReason.NUMBERS: WAITING_FOR_NUMBERS,
        WaitReason.STOPPED: "stopped",
        WaitReason.BUDGET: "budget",
        WaitReason.NO_API_KEY: WAITING_FOR_KEY,
    }
)


@dataclass(frozen=True, slots=True)
class RuleCopy:
    """A shipped rule of which an organization has a copy."""

    organization_id: UUID
    pack_date: str
    rule_id: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """Calls to place, perhaps none, and when to claim for the campaign again; `copied` are rules copied for them."""

    calls: list[PlannedCall]
    next_batch_at: datetime
    copied: frozenset[RuleCopy] = frozenset()


@dataclass(frozen=True, slots=True)
class Completed:
    """Every contact has a final status: the campaign is completed."""


@dataclass(frozen=True, slots=True)
class NotClaimable:
    """The campaign is not active, or another dialer is claiming for it."""


@dataclass(frozen=True, slots=True)
class AccountBlocked:
    """Another transaction held the account, or one of the phones, for longer than the claim waited."""


Claim = Claimed | Completed | NotClaimable | AccountBlocked


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimLock:
    """A campaign with calls to start: its row and its account's row are locked until the transaction ends."""

    campaign: batches.LockedCampaign
    hours: CampaignHours
    account: accounts.LockedAccount
    counts: accounts.LiveCounts
    limits: LimitFacts
    pace: Pace
    pool: NumberPool
    starts: Sequence[datetime]


class Claimer:
    """Claims batches of due contacts, one transaction each."""

    def __init__(
        self,
        database: Database,
        provider: VoiceProvider,
        clock: Clock,
        settings: DialerSettings,
        rules: RuleBook,
        make_id: Callable[[datetime], UUID] = new_id,
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._settings = settings
        self._rules = rules
        self._make_id = make_id
        self._copied: set[RuleCopy] = set()

    async def claim(self, organization_id: UUID, campaign_id: UUID, *, lock_wait: timedelta = LOCK_WAIT) -> Claim:
        """Claim one batch for a campaign; the calls are committed as `placing` when this returns.

        It waits at most `lock_wait` for the account, so that a stalled process delays the calls of its account only.
        """
        try:
            async with self._database.for_organization(organization_id, lock_timeout=lock_wait) as connection:
                claim = await self._claim(connection, campaign_id, self._clock.now())
        except LockNotAvailable:
            return AccountBlocked()
        if isinstance(claim, Claimed):
            self._copied |= claim.copied  # They are committed now.
        return claim

    async def _claim(self, connection: Connection, campaign_id: UUID, now: datetime) -> Claim:
        campaign = await batches.lock_campaign(connection, campaign_id=campaign_id)
        if campaign is None:
            return NotClaimable()
        lanes = await due_contacts.pending_lanes(connection, campaign_id=campaign_id)
        if lanes:
            return await self._claim_lanes(connection, campaign, lanes, now)
        may_end = (
            not campaign.keep_open
            and await campaign_status.lock_to_end(connection, campaign_id=campaign_id) is not None
        )
        contacts = await due_contacts.remaining_contacts(connection, campaign_id=campaign_id)
        if contacts.pending or contacts.calling:
            return await self._wait(connection, campaign_id, Wait(reason=WaitReason.CALLS_UNDER_WAY), now)
        if campaign.keep_open:
            return await self._wait(connection, campaign_id, Wait(reason=WaitReason.NO_CONTACTS), now)
        if not may_end:  # contacts are being added
            wait = Wait(reason=WaitReason.CALLS_UNDER_WAY, until=now + LOCKED_ELSEWHERE)
            return await self._wait(connection, campaign_id, wait, now)
        await campaign_status.complete_campaign(connection, campaign_id=campaign_id, now=now)
        return Completed()

    async def _claim_lanes(
        self,
        connection: Connection,
        campaign: batches.LockedCampaign,
        lanes: Sequence[due_contacts.PendingLane],
        now: datetime,
    ) -> Claimed:
        """Skip the places that never open, and claim for the open ones as far as the account's limits allow."""
        lists = await screening_lists(connection, campaign.organization_id)
        required = [ListKind(kind) for kind in campaign.lists_required]
        stored, today = list(lists.values()), now.date()
        rules = await organization_rules(connection, campaign.organization_id, self._rules)
        hours = campaign_hours(campaign.calling_hours, campaign.purpose, rules)
        facts = [
            PlaceFacts(
                place=place,
                first_due_at=first_due_at,
                is_screened=not missing_lists(required, stored, place.jurisdictions, today),
            )
            for place, first_due_at in first_due_by_place(lanes).items()
        ]
        places = admit_places(hours, facts, now)
        wait = places.next_wait or Wait(reason=WaitReason.RETRY_DUE, until=now)
        for reason, never_open in _by_reason(places.never_open).items():
            skipped = await due_contacts.skip_places(
                connection,
                campaign_id=campaign.id,
                zone_keys=[place.zone_key for place in never_open],
                jurisdiction_keys=[place.jurisdiction_key for place in never_open],
                reason=reason,
                limit=SKIP_PORTION,
                now=now,
            )
            if skipped == SKIP_PORTION:
                wait = Wait(reason=wait.reason, until=now)
        await note_closed_places(connection, campaign.id, lanes, places.waits, _WAITING_FOR, now)
        if not places.open:
            return await self._wait(connection, campaign.id, wait, now)
        lock = await self._lock_account(connection, campaign, hours, now)
        if isinstance(lock, Wait):
            return await self._wait(connection, campaign.id, lock, now)
        due = due_lanes(lanes, set(places.open), now)
        return await self._take(connection, lock, due, screening_of(campaign, lists), now)

    async def _wait(self, connection: Connection, campaign_id: UUID, wait: Wait, now: datetime) -> Claimed:
        latest = now + self._settings.safety_interval
        until = latest if wait.until is None else min(wait.until, latest)
        await batches.set_next_batch(
            connection, campaign_id=campaign_id, next_batch_at=until, waiting_for=_WAITING_FOR[wait.reason]
        )
        return Claimed([], until)

    async def _lock_account(
        self, connection: Connection, campaign: batches.LockedCampaign, hours: CampaignHours, now: datetime
    ) -> ClaimLock | Wait:
        """Lock the account, count its live calls, and decide how many calls may start, and when."""
        account = await accounts.lock_account(connection, provider_account_id=campaign.provider_account_id)
        counts = await accounts.count_live(
            connection,
            provider_account_id=account.id,
            campaign_id=campaign.id,
            organization_id=campaign.organization_id,
        )
        budget = await lock_budget(connection, campaign, now)
        has_key = self._provider.has_account(account.credential)
        limits = replace(limits_of(campaign, account, counts), budget=budget, has_key=has_key)
        match admit_account(limits, now, self._settings.claim_horizon):
            case Admit(starts=starts):
                pool = await lock_pool(connection, campaign, now)
                busy = pool.wait()
                if busy is not None:
                    return Wait(reason=WaitReason.NUMBERS, until=busy.until)
                return ClaimLock(
                    campaign=campaign,
                    hours=hours,
                    account=account,
                    counts=counts,
                    limits=limits,
                    pace=recovered(limits.pace, now),
                    pool=pool,
                    starts=starts[: pool.room()],
                )
            case Wait() as wait:
                return wait
            case never:
                assert_never(never)

    async def _take(
        self,
        connection: Connection,
        lock: ClaimLock,
        lanes: Sequence[due_contacts.PendingLane],
        screening: Screening,
        now: datetime,
    ) -> Claimed:
        """Take due contacts, insert their calls, and spend the account's pace."""
        places = {lane_place(lane) for lane in lanes}
        most = contacts_to_read(lock.campaign, len(lock.starts))
        capping = capping_rules(lock.hours, places, now)
        caps = [rule.cap for rules in capping.values() for rule in rules if rule.cap is not None]
        due = await due_contacts.due_contacts(
            connection,
            campaign_id=lock.campaign.id,
            organization_id=lock.campaign.organization_id,
            scopes=scopes_of(screening.purpose),
            caller_numbers=lock.campaign.caller_numbers,
            asked_in=ASKED_IN,
            zone_keys=[lane.zone_key for lane in lanes],
            jurisdiction_keys=[lane.jurisdiction_key for lane in lanes],
            ranks=[lane.rank for lane in lanes],
            now=now,
            # The longest period of a cap, and as many calls as the highest cap allows: one probe for each contact.
            calls_since=now - max([DAY, *(cap.period for cap in caps)]),
            most_calls=max([lock.counts.daily_call_cap, *(cap.count for cap in caps)]),
            per_lane=per_lane(most, len(lanes)),
            limit=most,
        )
        # The lock returns rows as they are now. A contact that has moved since the statement began stays pending.
        due = [contact for contact in due if place_of(contact) in places]
        in_part = await hold_for_day_part(connection, lock.campaign, lock.hours, due, now)
        contacts = admit_contacts(
            in_part[: len(lock.starts)],
            screening,
            max_attempts=lock.campaign.max_attempts,
            daily_call_cap=lock.counts.daily_call_cap,
            capping=capping,
            pool=lock.pool,
            now=now,
        )
        for reason, ids in contacts.skipped.items():
            await due_contacts.skip_contacts(connection, ids=ids, reason=reason, now=now)
        calls = []
        if contacts.callable:
            calls = await self._insert(connection, lock, contacts.callable, contacts.numbers, screening, now)
        copied = await self._copy_rules(connection, lock, calls, now)
        await _defer(connection, contacts.deferred, now)
        pace = replace(lock.pace, next_start_at=after_slots(lock.pace, [call.start_at for call in calls]))
        await store_pace(connection, lock.account, pace)
        await _take_turn(connection, lock, len(calls))
        hook_time = lock.limits.hook_time
        next_batch_at = next_claim_at(pace, now + hook_time, self._settings.claim_horizon) - hook_time
        if not due:
            next_batch_at = max(next_batch_at, now + LOCKED_ELSEWHERE)
        await batches.set_next_batch(
            connection, campaign_id=lock.campaign.id, next_batch_at=next_batch_at, waiting_for=None
        )
        return Claimed(calls, next_batch_at, copied)

    async def _copy_rules(
        self, connection: Connection, lock: ClaimLock, calls: Sequence[PlannedCall], now: datetime
    ) -> frozenset[RuleCopy]:
        """Keep a copy of the shipped rules in the decisions of these calls, unless the organization has it already."""
        pack_date = pack_date_text(self._rules)
        if pack_date is None:
            return frozenset()
        organization_id, rules = lock.campaign.organization_id, dict[RuleCopy, CallingRule]()
        for window, start_at in {call.window: call.start_at for call in calls}.items():
            for rule in window.rules_at(start_at):
                copy = RuleCopy(organization_id, pack_date, rule.id)
                if copy not in self._copied and self._rules.rule(rule.id) is rule:
                    rules[copy] = rule
        if rules:
            await calling_rules.copy_rules(
                connection,
                organization_id=organization_id,
                pack_date=pack_date,
                rule_ids=[copy.rule_id for copy in rules],
                bodies=[encode_json(rule_document(rule)) for rule in rules.values()],
                now=now,
            )
        return frozenset(rules)

    async def _insert(
        self,
        connection: Connection,
        lock: ClaimLock,
        contacts: list[due_contacts.DueContact],
        numbers: Mapping[UUID, ChosenNumber],
        screening: Screening,
        now: datetime,
    ) -> list[PlannedCall]:
        """Insert the calls of `contacts` and return those that were inserted."""
        campaign, decide = lock.campaign, _decided(lock, screening)
        calls = [
            plan_call(
                self._make_id(now),
                campaign,
                lock.account,
                contact,
                from_number=numbers[contact.id].phone,
                provider=self._provider,
                window=lock.hours.at(place_of(contact)),
                start_at=start_at,
                deadline=start_at + self._settings.request_timeout + DEADLINE_MARGIN,
                spacing=spacing(lock.pace),
                limits_at=now,
                needs_clearance=lock.counts.has_hook,
            )
            for contact, start_at in zip(contacts, lock.starts, strict=False)
        ]
        check_claim(calls, lock.limits, self._settings.request_timeout, self._provider.read_request)
        made = await call_queries.insert_calls(
            connection,
            now=now,
            organization_id=campaign.organization_id,
            campaign_id=campaign.id,
            provider_account_id=lock.account.id,
            retell_agent_id=campaign.retell_agent_id,
            from_numbers=[numbers[contact.id].phone for contact in contacts],
            ids=[call.id for call in calls],
            campaign_contact_ids=[contact.id for contact in contacts],
            contact_ids=[contact.contact_id for contact in contacts],
            attempt_numbers=[contact.call_count + 1 for contact in contacts],
            phones=[contact.phone for contact in contacts],
            requests=[call.body.decode() for call in calls],
            decisions=[
                encode_json(decide(contact=each, number=numbers[each.id], window=call.window, start_at=call.start_at))
                for each, call in zip(contacts, calls, strict=True)
            ],
            start_ats=[call.start_at for call in calls],
            deadlines=[call.deadline for call in calls],
            message_thens=_unless_empty([call.message_then for call in calls]),
            needs_clearance=lock.counts.has_hook,
            **reservation(lock.limits.budget),
            **callback_columns(contacts, [call.start_at for call in calls], now, campaign.waiting_for),
        )
        calling = {contact.id for contact, call in zip(contacts, calls, strict=True) if call.id in made}
        await due_contacts.mark_calling(connection, ids=list(calling), now=now)
        # The unique index may know of a live call that this transaction could not see yet.
        await _defer(connection, [live_elsewhere(each.id, now) for each in contacts if each.id not in calling], now)
        return [call for call in calls if call.id in made]


def _decided(lock: ClaimLock, screening: Screening) -> Callable[..., dict[str, object]]:
    """Return `decision` with what it records of every call of a claim."""
    return partial(
        decision,
        lock.campaign,
        account=lock.account,
        counts=lock.counts,
        budget=lock.limits.budget,
        screening=screening,
        rules=lock.hours.rules,
    )


def _unless_empty(column: list[AfterMessage | None]) -> list[AfterMessage | None]:
    """Return no elements in place of nulls alone: encoding an array takes time for each."""
    return column if any(value is not None for value in column) else []


async def _take_turn(connection: Connection, lock: ClaimLock, calls: int) -> None:
    # A campaign that has the account to itself needs no order.
    if calls and lock.limits.sharers > 1:
        await turns.take_turn(
            connection, campaign_id=lock.campaign.id, provider_account_id=lock.account.id, calls=calls
        )


def _by_reason(never_open: Mapping[Place, Skip]) -> dict[str, list[Place]]:
    """Return the places that are skipped by the status reason of their contacts."""
    places: dict[str, list[Place]] = {}
    for place, skip in never_open.items():
        if skip.rule is not None:
            reason = f"{FORBIDDEN_BY}{skip.rule.id}"
        else:
            reason = NEVER_OPEN if skip.reason is SkipReason.NEVER_OPENS else NEVER_LEGAL
        places.setdefault(reason, []).append(place)
    return places


async def _defer(connection: Connection, deferred: Sequence[DeferredContact], now: datetime) -> None:
    if deferred:
        await due_contacts.defer_contacts(
            connection,
            ids=[contact.id for contact in deferred],
            next_attempt_ats=[contact.until for contact in deferred],
            reasons=[contact.reason for contact in deferred],
            now=now,
        )
