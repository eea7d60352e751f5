"""Settles what Retell answered: set-based, guarded, and without a guess about what it did not say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from outdial.clock import Clock
from outdial.db import campaigns, claims, events
from outdial.db import settlements as db
from outdial.db.session import Database
from outdial.db.statements import Connection
from outdial.dialer.claim import pace_of
from outdial.dialer.place import Answered, TooLate
from outdial.dialer.plan import PlannedCall
from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.domain.contact import ContactStatus
from outdial.domain.pacing import after_capacity_refusal
from outdial.log import log
from outdial.retell.responses import Ambiguous, Placed, RefusalKind, Refused
from outdial.settings import DialerSettings

# After a refusal for capacity the contact waits this long; the account's rate waits longer.
CAPACITY_RETRY = timedelta(seconds=10)
# An unknown call is asked about less and less often, and at least this often while its key is honoured.
RESCUE_MOST = timedelta(minutes=5)
# So many refused numbers in one batch, and none taken, is no accident of the list: the campaign pauses.
BREAKER = 5


@dataclass(slots=True)
class _Sorted:
    placed: list[tuple[PlannedCall, str]] = field(default_factory=list)
    refused: list[tuple[PlannedCall, Refused]] = field(default_factory=list)
    unknown: list[tuple[PlannedCall, str]] = field(default_factory=list)
    unsent: list[PlannedCall] = field(default_factory=list)


class Settler:
    """Writes answers back to calls, contacts, and the pacing of the account."""

    def __init__(self, database: Database, clock: Clock, settings: DialerSettings) -> None:
        self._database, self._clock, self._settings = database, clock, settings

    async def settle(self, answered: Sequence[Answered]) -> None:
        """Settle a batch of one campaign."""
        if not answered:
            return
        batch, now = _sort(answered), self._clock.now()
        call = answered[0].call
        async with self._database.for_organization(call.organization_id) as connection:
            await self._write(connection, [item.call for item in answered], batch, now)
        await self._react(call, batch, now)

    async def _write(self, connection: Connection, calls: list[PlannedCall], batch: _Sorted, now: datetime) -> None:
        await _lock(connection, calls, batch)
        if batch.placed:
            pairs = [(c.id, retell_call_id) for c, retell_call_id in batch.placed]
            deadlines = [c.deadline for c, _ in batch.placed]
            await self.adopt(connection, calls[0].credential, pairs, now, deadlines=deadlines)
        if batch.refused:
            await _write_refused(connection, batch.refused, now)
        if batch.unknown:
            await db.SETTLE_UNKNOWN.run(
                connection,
                ids=[c.id for c, _ in batch.unknown],
                deadlines=[c.deadline for c, _ in batch.unknown],
                errors=[reason for _, reason in batch.unknown],
                rescue_after=self._settings.rescue_after,
                rescue_most=RESCUE_MOST,
                now=now,
            )
        if batch.unsent:
            await db.RELEASE_UNSENT.run(connection, ids=[c.id for c in batch.unsent], now=now)
        await db.END_REQUESTS.run(connection, ids=[c.id for c in calls], deadlines=[c.deadline for c in calls])

    async def adopt(
        self,
        connection: Connection,
        credential: str,
        pairs: Sequence[tuple[UUID, str]],
        now: datetime,
        *,
        check_at: datetime | None = None,
        deadlines: Sequence[datetime] = (),
    ) -> None:
        """Note Retell's ids of calls that exist there; events that came before are looked at again.

        `deadlines`, one per pair, are those of the requests that were so answered: they are over.
        """
        await db.SETTLE_PLACED.run(
            connection,
            ids=[call_id for call_id, _ in pairs],
            retell_call_ids=[retell_call_id for _, retell_call_id in pairs],
            deadlines=deadlines,
            next_check_at=check_at or now + self._settings.reconcile_after,
            now=now,
        )
        await db.REOPEN_UNMATCHED.run(
            connection, credential=credential, retell_call_ids=[retell_call_id for _, retell_call_id in pairs], now=now
        )

    async def _react(self, call: PlannedCall, batch: _Sorted, now: datetime) -> None:
        """Slow down or pause, in transactions of their own: these rows are locked by claims."""
        kinds = {refusal.kind: refusal.message for _, refusal in batch.refused}
        if RefusalKind.capacity in kinds or RefusalKind.unreachable in kinds:
            await self._slow_down(call, now)
        if RefusalKind.account in kinds:
            reason = f"Retell refuses the account: {kinds[RefusalKind.account]}"
            async with self._database.for_organization(call.organization_id) as connection:
                await events.PAUSE_ACCOUNT.run(
                    connection, provider_account_id=call.provider_account_id, reason=reason, now=now
                )
            log("dialer.account_paused", level="warning", reason=reason)
        elif RefusalKind.configuration in kinds:
            await self._pause(call, f"Retell refuses the campaign's calls: {kinds[RefusalKind.configuration]}", now)
        elif not batch.placed and _refused_numbers(batch) >= BREAKER:
            message = kinds[RefusalKind.contact]
            await self._pause(call, f"Retell refused {_refused_numbers(batch)} numbers in a row: {message}", now)

    async def _slow_down(self, call: PlannedCall, now: datetime) -> None:
        async with self._database.for_organization(call.organization_id) as connection:
            account = await claims.LOCK_ACCOUNT.one(connection, provider_account_id=call.provider_account_id)
            pace = after_capacity_refusal(pace_of(account), now, self._settings.capacity_hold)
            await claims.SPEND_PACE.run(
                connection,
                provider_account_id=account.id,
                next_start_at=pace.next_start_at,
                rate_factor=pace.rate_factor,
                backoff_until=pace.backoff_until,
            )
        log("dialer.slowed_down", level="warning", credential=call.credential, rate_factor=pace.rate_factor)

    async def _pause(self, call: PlannedCall, reason: str, now: datetime) -> None:
        async with self._database.for_organization(call.organization_id) as connection:
            await campaigns.PAUSE_CAMPAIGN.maybe(
                connection,
                campaign_id=call.campaign_id,
                reason=reason,
                allowed_from=CAMPAIGN.may_leave(CampaignStatus.PAUSING),
                now=now,
            )
        log("dialer.campaign_paused", level="warning", campaign_id=str(call.campaign_id), reason=reason)


def _sort(answered: Sequence[Answered]) -> _Sorted:
    batch = _Sorted()
    for item in answered:
        match item.answer:
            case Placed(retell_call_id):
                batch.placed.append((item.call, retell_call_id))
            case Refused():
                batch.refused.append((item.call, item.answer))
            case Ambiguous(reason):
                batch.unknown.append((item.call, reason))
            case TooLate():
                batch.unsent.append(item.call)
            case never:
                assert_never(never)
    return batch


async def _lock(connection: Connection, calls: list[PlannedCall], batch: _Sorted) -> None:
    await db.LOCK_CALLS.all(connection, ids=[call.id for call in calls])
    given_back = [call.id for call, _ in batch.refused] + [call.id for call in batch.unsent]
    if given_back:
        await db.LOCK_CONTACTS_OF_CALLS.all(connection, ids=given_back)


def _refused_numbers(batch: _Sorted) -> int:
    return sum(refusal.kind is RefusalKind.contact for _, refusal in batch.refused)


def _contact_after(kind: RefusalKind, now: datetime) -> tuple[ContactStatus, datetime]:
    match kind:
        case RefusalKind.contact:
            return ContactStatus.FAILED, now
        case RefusalKind.configuration | RefusalKind.account:
            return ContactStatus.PENDING, now
        case RefusalKind.capacity | RefusalKind.unreachable:
            return ContactStatus.PENDING, now + CAPACITY_RETRY
        case never:
            assert_never(never)


async def _write_refused(connection: Connection, refused: Sequence[tuple[PlannedCall, Refused]], now: datetime) -> None:
    after = [_contact_after(refusal.kind, now) for _, refusal in refused]
    await db.SETTLE_REFUSED.run(
        connection,
        ids=[call.id for call, _ in refused],
        deadlines=[call.deadline for call, _ in refused],
        errors=[f"{refusal.kind}: {refusal.message}" for _, refusal in refused],
        contact_statuses=[status for status, _ in after],
        next_attempt_ats=[at for _, at in after],
        now=now,
    )
