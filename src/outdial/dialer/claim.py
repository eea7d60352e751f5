"""The claim: one transaction that counts under the lock of the account's row and commits the calls to be placed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db import claims as db
from outdial.db.session import Database, encode_json
from outdial.db.statements import Connection
from outdial.dialer.plan import (
    DAY,
    Deferred,
    PlannedCall,
    decision,
    hours_of,
    live_elsewhere,
    plan_call,
    sort_contacts,
    sort_zones,
)
from outdial.domain.ids import new_id
from outdial.domain.pacing import Pace, after_slots, free_slots, next_claim_at, recovered, spacing, start_slots
from outdial.settings import DialerSettings

# A request may be under way this much longer than its time-out: the time between the slot and the first byte.
DEADLINE_MARGIN = timedelta(seconds=5)
LOCKED_ELSEWHERE = timedelta(milliseconds=200)


@dataclass(frozen=True, slots=True)
class Claimed:
    """Calls to place, perhaps none, and when the campaign is worth another look."""

    calls: list[PlannedCall]
    next_batch_at: datetime


@dataclass(frozen=True, slots=True)
class Completed:
    """Each contact has a final status: the campaign is completed."""


@dataclass(frozen=True, slots=True)
class NotClaimable:
    """The campaign is not active, or somebody else is claiming for it."""


Claim = Claimed | Completed | NotClaimable


@dataclass(frozen=True, slots=True)
class _Wait:
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class _Admission:
    account: db.LockedAccount
    counts: db.LiveCounts
    pace: Pace
    slots: list[datetime]


class Claimer:
    """Claims batches of due contacts, one transaction each."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        settings: DialerSettings,
        make_id: Callable[[datetime], UUID] = new_id,
    ) -> None:
        self._database, self._clock, self._settings, self._make_id = database, clock, settings, make_id

    async def claim(self, organization_id: UUID, campaign_id: UUID) -> Claim:
        """Claim one batch for a campaign; the calls are committed, as `placing`, when this returns."""
        now = self._clock.now()
        async with self._database.for_organization(organization_id) as connection:
            campaign = await db.LOCK_CAMPAIGN.maybe(connection, campaign_id=campaign_id)
            if campaign is None:
                return NotClaimable()
            pending = await db.PENDING_ZONES.all(connection, campaign_id=campaign_id)
            if not pending:
                return await self._finish(connection, campaign_id, now)
            zones = sort_zones(hours_of(campaign.calling_hours), pending, now)
            if zones.never:
                await db.SKIP_ZONES.run(
                    connection,
                    campaign_id=campaign_id,
                    zones=zones.never,
                    reason="its time zones are never open together in the campaign's calling hours",
                    now=now,
                )
            if not zones.due:
                reason = "calling_hours" if zones.all_closed else "retry"
                return await self._wait(connection, campaign_id, _Wait(zones.next_due_at or now, reason), now)
            admission = await self._admit(connection, campaign, now)
            if isinstance(admission, _Wait):
                return await self._wait(connection, campaign_id, admission, now)
            return await self._take(connection, campaign, zones.due, admission, now)

    async def _finish(self, connection: Connection, campaign_id: UUID, now: datetime) -> Claim:
        contacts = await db.OPEN_CONTACTS.one(connection, campaign_id=campaign_id)
        if contacts.pending or contacts.calling:
            return await self._wait(connection, campaign_id, _Wait(now + self._settings.safety_interval, "calls"), now)
        await db.COMPLETE_CAMPAIGN.one(connection, campaign_id=campaign_id, now=now)
        return Completed()

    async def _wait(self, connection: Connection, campaign_id: UUID, wait: _Wait, now: datetime) -> Claimed:
        until = min(wait.until, now + self._settings.safety_interval)
        await db.SET_NEXT_BATCH.run(connection, campaign_id=campaign_id, next_batch_at=until, waiting_for=wait.reason)
        return Claimed([], until)

    async def _admit(self, connection: Connection, campaign: db.LockedCampaign, now: datetime) -> _Admission | _Wait:
        """Lock the account and count: how many calls may start, and when each."""
        account = await db.LOCK_ACCOUNT.one(connection, provider_account_id=campaign.provider_account_id)
        counts = await db.COUNT_LIVE.one(
            connection,
            provider_account_id=account.id,
            campaign_id=campaign.id,
            organization_id=campaign.organization_id,
        )
        free = free_slots(
            concurrency_limit=account.concurrency_limit,
            reserved_inbound=account.reserved_inbound,
            live=counts.account_live,
            campaign_limit=campaign.max_concurrency,
            campaign_live=counts.campaign_live,
            batch_size=campaign.batch_size,
            sharers=counts.sharers,
        )
        if free == 0:
            return _Wait(now + self._settings.safety_interval, "concurrency")
        pace = recovered(pace_of(account), now)
        slots = start_slots(pace, now, free, self._settings.claim_horizon)
        if not slots:
            return _Wait(next_claim_at(pace, now, self._settings.claim_horizon), "pacing")
        return _Admission(account, counts, pace, slots)

    async def _take(
        self,
        connection: Connection,
        campaign: db.LockedCampaign,
        zones: list[str],
        admission: _Admission,
        now: datetime,
    ) -> Claimed:
        contacts = await db.DUE_CONTACTS.all(
            connection,
            campaign_id=campaign.id,
            organization_id=campaign.organization_id,
            zones=zones,
            now=now,
            day_ago=now - DAY,
            limit=len(admission.slots),
        )
        sorted_ = sort_contacts(
            contacts, max_attempts=campaign.max_attempts, daily_cap=admission.counts.daily_call_cap, now=now
        )
        for reason, ids in sorted_.skipped.items():
            await db.SKIP_CONTACTS.run(connection, ids=ids, reason=reason, now=now)
        calls = await self._insert(connection, campaign, admission, sorted_.callable, now)
        await _defer(connection, sorted_.deferred, now)
        pace = await self._spend(connection, admission, [call.start_at for call in calls])
        next_batch_at = next_claim_at(pace, now, self._settings.claim_horizon)
        if not contacts:
            # What is due is locked by somebody else for a moment.
            next_batch_at = max(next_batch_at, now + LOCKED_ELSEWHERE)
        await db.SET_NEXT_BATCH.run(connection, campaign_id=campaign.id, next_batch_at=next_batch_at, waiting_for=None)
        return Claimed(calls, next_batch_at)

    async def _insert(
        self,
        connection: Connection,
        campaign: db.LockedCampaign,
        admission: _Admission,
        contacts: list[db.DueContact],
        now: datetime,
    ) -> list[PlannedCall]:
        if not contacts:
            return []
        patience = self._settings.request_timeout + DEADLINE_MARGIN
        pairs = [
            (
                contact,
                plan_call(
                    self._make_id(now),
                    campaign,
                    admission.account,
                    contact,
                    start_at=slot,
                    deadline=slot + patience,
                    spacing=spacing(admission.pace),
                ),
            )
            for contact, slot in zip(contacts, admission.slots, strict=False)
        ]
        inserted = await db.INSERT_CALLS.all(
            connection,
            now=now,
            organization_id=campaign.organization_id,
            campaign_id=campaign.id,
            provider_account_id=admission.account.id,
            from_number=campaign.from_number,
            ids=[call.id for _, call in pairs],
            campaign_contact_ids=[contact.id for contact, _ in pairs],
            contact_ids=[contact.contact_id for contact, _ in pairs],
            attempt_numbers=[contact.call_count + 1 for contact, _ in pairs],
            phones=[contact.phone for contact, _ in pairs],
            requests=[call.body.decode() for _, call in pairs],
            decisions=[
                encode_json(decision(campaign, admission.account, admission.counts, contact, call.start_at))
                for contact, call in pairs
            ],
            start_ats=[call.start_at for _, call in pairs],
            deadlines=[call.deadline for _, call in pairs],
        )
        made = {row.id for row in inserted}
        await db.MARK_CALLING.run(connection, ids=[c.id for c, call in pairs if call.id in made], now=now)
        # The unique index may know of a live call that this transaction could not see yet.
        refused = [live_elsewhere(contact.id, now) for contact, call in pairs if call.id not in made]
        await _defer(connection, refused, now)
        return [call for _, call in pairs if call.id in made]

    async def _spend(self, connection: Connection, admission: _Admission, slots: list[datetime]) -> Pace:
        pace = admission.pace
        await db.SPEND_PACE.run(
            connection,
            provider_account_id=admission.account.id,
            next_start_at=after_slots(pace, slots),
            rate_factor=pace.rate_factor,
            backoff_until=pace.backoff_until,
        )
        return Pace(pace.calls_per_second, pace.rate_factor, after_slots(pace, slots), pace.backoff_until)


async def _defer(connection: Connection, deferred: Sequence[Deferred], now: datetime) -> None:
    if deferred:
        await db.DEFER_CONTACTS.run(
            connection,
            ids=[d.id for d in deferred],
            next_attempt_ats=[d.until for d in deferred],
            reasons=[d.reason for d in deferred],
            now=now,
        )


def pace_of(account: db.LockedAccount) -> Pace:
    """Return the pacing state that the account's row holds."""
    return Pace(account.calls_per_second, account.rate_factor, account.next_start_at, account.backoff_until)
