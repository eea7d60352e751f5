"""Settles Retell's responses with set-based, guarded statements; an ambiguous response is never guessed at."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

import asyncpg

from outdial.clock import Clock
from outdial.db.queries import accounts, campaign_contacts, campaign_status, events, settlements
from outdial.db.queries.compliance import opt_outs
from outdial.db.session import Connection, Database
from outdial.dialer.place import CallResponse, TooLate
from outdial.dialer.plan import PlannedCall, pace_of
from outdial.dialer.starts import store_pace
from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.domain.contact import ContactStatus
from outdial.domain.pacing import after_capacity_refusal
from outdial.log import log
from outdial.provider import CallPlaced, CallRefused, CallUncertain, RefusalKind
from outdial.settings import DialerSettings

CAPACITY_RETRY = timedelta(seconds=10)
"""Delay of a contact after a refusal for capacity; it doubles while Retell refuses only this number."""
CAPACITY_REFUSALS = 10
"""After this many refusals for capacity in a row, while others were accepted, the contact goes to review."""
MAX_RESCUE_INTERVAL = timedelta(minutes=5)
"""Longest interval between two checks of an unknown call while Retell still honors its key."""
BREAKER = 5
"""This many refused numbers in one claim without a placed call pause the campaign: the list itself must be wrong."""


class CallIdTaken(Exception):
    """Another call already has the id that Retell gave to a call."""


@dataclass(frozen=True, slots=True)
class CallAdoption:
    """A call that exists at Retell, under Retell's id, and the deadline of the request that created it, if known."""

    call_id: UUID
    retell_call_id: str
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """A call whose request Retell refused.

    `own_refusals` counts refusals of its number for capacity in a row, this one included, while the account could place
    other calls; 0 if the account itself may be at its limit.
    """

    call: PlannedCall
    refusal: CallRefused
    own_refusals: int = 0


@dataclass(frozen=True, slots=True)
class UnknownCall:
    """A call whose request had an ambiguous response, and why."""

    call: PlannedCall
    reason: str


@dataclass(frozen=True, slots=True)
class ContactAfterRefusal:
    """The status a contact gets after a refused request, and when it is due next."""

    status: ContactStatus
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementBatch:
    """The calls of one batch by the effect of their responses."""

    placed: list[CallAdoption] = field(default_factory=list)
    refused: list[RefusedCall] = field(default_factory=list)
    unknown: list[UnknownCall] = field(default_factory=list)
    unsent: list[PlannedCall] = field(default_factory=list)


@dataclass(slots=True)
class ClaimTally:
    """Totals over all responses to the calls of one claim, which are settled in groups.

    `refused_numbers` maps the calls that Retell refused because of their number to Retell's messages. Sets and not
    counts, because a group that meets a lock is settled again.
    """

    placed: set[UUID] = field(default_factory=set)
    refused_numbers: dict[UUID, str] = field(default_factory=dict)
    has_slowed_down: bool = False

    def add(self, batch: SettlementBatch) -> None:
        """Add the responses of a group."""
        self.placed.update(adoption.call_id for adoption in batch.placed)
        for refused in batch.refused:
            if refused.refusal.kind is RefusalKind.contact:
                self.refused_numbers[refused.call.id] = refused.refusal.message


class Settler:
    """Writes the responses back to calls, contacts, and the pacing of the account."""

    def __init__(self, database: Database, clock: Clock, settings: DialerSettings) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings

    async def settle(self, responses: Sequence[CallResponse]) -> None:
        """Settle all responses of one claim."""
        if responses:
            tally = ClaimTally()
            await self.settle_group(responses, tally)
            await self.end_claim(responses[0].call, tally)

    async def settle_group(self, responses: Sequence[CallResponse], tally: ClaimTally) -> None:
        """Settle some responses of one claim, at least one, and add them to its tally."""
        batch, now = SettlementBatch(), self._clock.now()
        for item in responses:
            match item.response:
                case CallPlaced(provider_call_id):
                    batch.placed.append(CallAdoption(item.call.id, provider_call_id, item.call.deadline))
                case CallRefused() as refusal:
                    batch.refused.append(RefusedCall(item.call, refusal))
                case CallUncertain(reason):
                    batch.unknown.append(UnknownCall(item.call, reason))
                case TooLate():
                    batch.unsent.append(item.call)
                case never:
                    assert_never(never)
        calls = [response.call for response in responses]
        try:
            written = await self._write(calls, batch, now)
        except CallIdTaken:
            batch = await self._without_taken_ids(calls, batch, now)
            written = await self._write(calls, batch, now)
        tally.add(written)
        await self._react(calls[0], written, tally, now)

    async def end_claim(self, call: PlannedCall, tally: ClaimTally) -> None:
        """Pause the campaign of `call` if its claim had refused numbers and nothing else; the groups are settled."""
        if not tally.placed and len(tally.refused_numbers) >= BREAKER:
            *_, message = tally.refused_numbers.values()
            reason = f"Retell refused {len(tally.refused_numbers)} numbers in a row: {message}"
            await self._pause(call, reason, self._clock.now())

    async def _without_taken_ids(
        self, calls: list[PlannedCall], batch: SettlementBatch, now: datetime
    ) -> SettlementBatch:
        """Adopt the placed calls one by one. A call whose id is taken becomes unknown, and the rescue looks it up."""
        by_id = {call.id: call for call in calls}
        placed, taken = list[CallAdoption](), list[UnknownCall]()
        for adoption in batch.placed:
            call = by_id[adoption.call_id]
            try:
                await self._write([call], SettlementBatch(placed=[adoption]), now)
            except CallIdTaken as error:
                log("dialer.call_id_taken", level="error", call_id=str(call.id), retell_call_id=adoption.retell_call_id)
                taken.append(UnknownCall(call, str(error)))
            else:
                placed.append(adoption)
        return replace(batch, placed=placed, unknown=[*batch.unknown, *taken])

    async def _write(self, calls: list[PlannedCall], batch: SettlementBatch, now: datetime) -> SettlementBatch:
        async with self._database.for_organization(calls[0].organization_id) as connection:
            await settlements.lock_calls(connection, ids=[call.id for call in calls])
            returned = [refused.call.id for refused in batch.refused] + [call.id for call in batch.unsent]
            if returned:
                await campaign_contacts.lock_contacts_of_calls(connection, ids=returned)
            ended = 0
            if batch.placed:
                ended = await self.adopt(connection, calls[0].credential, batch.placed, now)
            if batch.refused:
                batch = await _with_own_refusals(connection, batch)
                changes = [contact_after_refusal(refused, now) for refused in batch.refused]
                await settlements.settle_refused(
                    connection,
                    ids=[refused.call.id for refused in batch.refused],
                    deadlines=[refused.call.deadline for refused in batch.refused],
                    errors=[f"{refused.refusal.kind}: {refused.refusal.message}" for refused in batch.refused],
                    contact_statuses=[change.status for change in changes],
                    next_attempt_ats=[change.next_attempt_at for change in changes],
                    now=now,
                )
                await _import_opt_outs(connection, calls[0], batch, now)
            if batch.unknown:
                await settlements.settle_unknown(
                    connection,
                    ids=[unknown.call.id for unknown in batch.unknown],
                    deadlines=[unknown.call.deadline for unknown in batch.unknown],
                    errors=[unknown.reason for unknown in batch.unknown],
                    rescue_after=self._settings.rescue_after,
                    rescue_most=MAX_RESCUE_INTERVAL,
                    now=now,
                )
            if batch.unsent:
                await settlements.release_unsent(connection, ids=[call.id for call in batch.unsent], now=now)
            # Calls that were settled as placed have ended their requests with it.
            if ended < len(calls):
                await settlements.end_requests(
                    connection, ids=[call.id for call in calls], deadlines=[call.deadline for call in calls]
                )
        return batch

    async def adopt(
        self,
        connection: Connection,
        credential: str,
        adoptions: Sequence[CallAdoption],
        now: datetime,
        *,
        check_at: datetime | None = None,
    ) -> int:
        """Store Retell's ids of calls that exist there, and apply the events that arrived before them.

        Returns how many of them were settled by it.

        An adoption with a deadline also ends the request with that deadline; give one to all adoptions, or to none.
        Raises CallIdTaken if another call, of any organization, has one of the ids. The transaction is then over.
        """
        retell_call_ids = [adoption.retell_call_id for adoption in adoptions]
        try:
            settled = await settlements.settle_placed(
                connection,
                ids=[adoption.call_id for adoption in adoptions],
                retell_call_ids=retell_call_ids,
                deadlines=[adoption.deadline for adoption in adoptions if adoption.deadline is not None],
                next_check_at=check_at or now + self._settings.reconcile_after,
                now=now,
            )
        except asyncpg.UniqueViolationError as error:
            named = ", ".join(retell_call_ids[:3]) + (", ..." if len(retell_call_ids) > 3 else "")
            raise CallIdTaken(f"another call already has Retell's id of this call: {named}") from error
        await events.reopen_unmatched(connection, credential=credential, retell_call_ids=retell_call_ids, now=now)
        return settled

    async def _react(self, call: PlannedCall, batch: SettlementBatch, tally: ClaimTally, now: datetime) -> None:
        """Slow down at most once for each claim, or pause. Claims lock these rows, so each change is a transaction."""
        kinds = {refused.refusal.kind: refused.refusal.message for refused in batch.refused if not refused.own_refusals}
        is_refused = RefusalKind.capacity in kinds or RefusalKind.unreachable in kinds
        if is_refused and not tally.has_slowed_down:
            async with self._database.for_organization(call.organization_id) as connection:
                account = await accounts.lock_account(connection, provider_account_id=call.provider_account_id)
                pace = after_capacity_refusal(pace_of(account), now, self._settings.capacity_hold)
                await store_pace(connection, account, pace)
            tally.has_slowed_down = True
            log("dialer.slowed_down", level="warning", credential=call.credential, rate_factor=pace.rate_factor)
        if RefusalKind.account in kinds:
            reason = f"Retell refused the account: {kinds[RefusalKind.account]}"
            async with self._database.for_organization(call.organization_id) as connection:
                await campaign_status.pause_account_campaigns(
                    connection, provider_account_id=call.provider_account_id, reason=reason, now=now
                )
            log("dialer.account_paused", level="warning", reason=reason)
        elif RefusalKind.configuration in kinds:
            await self._pause(call, f"Retell refused the campaign's calls: {kinds[RefusalKind.configuration]}", now)

    async def _pause(self, call: PlannedCall, reason: str, now: datetime) -> None:
        async with self._database.for_organization(call.organization_id) as connection:
            await campaign_status.begin_pausing(
                connection,
                campaign_id=call.campaign_id,
                reason=reason,
                is_automatic=True,
                allowed_from=CAMPAIGN.may_leave(CampaignStatus.PAUSING),
                now=now,
            )
        log("dialer.campaign_paused", level="warning", campaign_id=str(call.campaign_id), reason=reason)


async def _import_opt_outs(connection: Connection, first: PlannedCall, batch: SettlementBatch, now: datetime) -> None:
    """Put the numbers that the provider's own list forbids on the organization's list, too."""
    phones = [one.call.phone for one in batch.refused if one.refusal.kind is RefusalKind.do_not_call]
    if phones:
        await opt_outs.import_opt_outs(
            connection,
            organization_id=first.organization_id,
            provider_account_id=first.provider_account_id,
            phones=phones,
            read_at=now,
            now=now,
        )


async def _with_own_refusals(connection: Connection, batch: SettlementBatch) -> SettlementBatch:
    """Count, for each refusal for capacity, how often the number alone was refused while the account placed calls."""
    ids = [refused.call.id for refused in batch.refused if refused.refusal.kind is RefusalKind.capacity]
    if not ids:
        return batch
    rows = await settlements.capacity_refusals(connection, ids=ids)
    counts = {row.call_id: row.earlier + 1 for row in rows if row.others_placed}
    return replace(batch, refused=[replace(each, own_refusals=counts.get(each.call.id, 0)) for each in batch.refused])


def contact_after_refusal(refused: RefusedCall, now: datetime) -> ContactAfterRefusal:
    """Return what a refusal makes of the contact: a bad number fails it, Retell's own do-not-call list skips it.

    Almost everything else returns it. A number that alone is refused for capacity waits longer each time, and finally
    goes to review.
    """
    match refused.refusal.kind:
        case RefusalKind.contact:
            return ContactAfterRefusal(ContactStatus.FAILED, now)
        case RefusalKind.do_not_call:
            return ContactAfterRefusal(ContactStatus.SKIPPED, now)
        case RefusalKind.configuration | RefusalKind.account:
            return ContactAfterRefusal(ContactStatus.PENDING, now)
        case RefusalKind.capacity | RefusalKind.unreachable:
            if refused.own_refusals >= CAPACITY_REFUSALS:
                return ContactAfterRefusal(ContactStatus.REVIEW, now)
            delay = CAPACITY_RETRY * 2 ** max(0, refused.own_refusals - 1)
            return ContactAfterRefusal(ContactStatus.PENDING, now + delay)
        case never:
            assert_never(never)
