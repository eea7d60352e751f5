"""Asks the pre-dial hook of an organization about claimed calls, between the claim and their requests.

A call that needs clearance is requested only after `cleared_at` is stored in its row. In all other cases, such as
no response, a lost database connection or the end of the process, the call has no clearance: it is released here, or by
the rescue after its deadline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import batches, campaign_contacts, campaign_status, settlements
from outdial.db.queries.compliance import pre_dial_hooks
from outdial.db.session import Connection, Database, encode_json
from outdial.dialer.plan import PlannedCall
from outdial.domain.contact import ContactStatus
from outdial.log import log
from outdial.pre_dial.client import HookClient, HookDecided, HookEndpoint, HookFailure
from outdial.pre_dial.messages import CallClearance, CallToClear, ClearanceRequest

FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(minutes=5)
"""After a failure, no call of the organization is claimed for FIRST_PAUSE; each failure in a row doubles the pause."""
MINUTE: Final = timedelta(minutes=1)
HOOK_REMOVED: Final = "the pre-dial hook was removed before it was asked"
TOO_LATE: Final = "not sent in time"
ABANDONED: Final = "the dialer stopped before the pre-dial hook responded"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclearedCall:
    """A call that is released without a request, and what becomes of its contact.

    `error` is shown at both; `result` is what the call stores about the hook, as JSON text.
    """

    call_id: UUID
    error: str
    result: str
    contact_status: ContactStatus
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HookInquiry:
    """When the hook was asked, for the record of its decision about a call."""

    host: str
    asked_at: datetime
    responded_at: datetime | None = None

    def record(self, result: str, reason: str = "") -> str:
        """Return what a call stores about the hook, as JSON text."""
        times = {"asked_at": self.asked_at, "responded_at": self.responded_at}
        return encode_json({"host": self.host, **times, "result": result, "reason": reason})


class ClearanceGate:
    """Lets through the calls that need no clearance, and those that the hook allows."""

    def __init__(self, database: Database, hook: HookClient, clock: Clock) -> None:
        self._database = database
        self._hook = hook
        self._clock = clock

    async def clear(self, calls: Sequence[PlannedCall]) -> list[PlannedCall]:
        """Return the calls of one claim that may be requested, and release the others.

        No transaction is open while the hook is asked. Raises what the database raises; no call is then cleared.
        """
        first = calls[0]
        if not first.needs_clearance:
            return list(calls)
        async with self._database.for_organization(first.organization_id) as connection:
            hook = await pre_dial_hooks.hook_to_ask(connection, campaign_id=first.campaign_id)
        asked_at = self._clock.now()
        if hook is None:
            result = HookInquiry(host="", asked_at=asked_at).record("not asked")
            await self._release(first, [_waiting(call.id, HOOK_REMOVED, result, asked_at) for call in calls])
            return []
        endpoint = HookEndpoint(hook.url, hook.secret)
        request = ClearanceRequest(
            organization_id=first.organization_id,
            campaign_id=first.campaign_id,
            purpose=hook.purpose,
            calls=[CallToClear(call.id, call.phone) for call in calls],
            sent_at=asked_at,
        )
        response = await self._hook.ask(endpoint, request)
        inquiry = HookInquiry(host=endpoint.host, asked_at=asked_at, responded_at=self._clock.now())
        match response:
            case HookFailure(reason):
                await self._hold(calls, inquiry, reason)
                return []
            case HookDecided(clearances):
                return await self._admit(calls, clearances, inquiry)
            case never:
                assert_never(never)

    async def release_abandoned(self, organization_id: UUID, call_id: UUID) -> None:
        """Release a call whose dialer ended before the hook allowed it. No request for it has left."""
        now = self._clock.now()
        async with self._database.for_organization(organization_id) as connection:
            result = HookInquiry(host="", asked_at=now).record("not decided")
            await _release_calls(connection, [_waiting(call_id, ABANDONED, result, now)], now)
        log("dialer.uncleared_released", level="warning", call_id=str(call_id))

    async def _admit(
        self, calls: Sequence[PlannedCall], clearances: Mapping[UUID, CallClearance], inquiry: HookInquiry
    ) -> list[PlannedCall]:
        """Store the clearances of allowed calls, and release the denied ones."""
        allowed = [call for call in calls if clearances[call.id].allow]
        cleared = await self._store(calls[0], allowed, clearances, inquiry)
        now, has_clearance = self._clock.now(), {call.id for call in cleared}
        uncleared = [
            UnclearedCall(
                call_id=call.id,
                error=f"denied by the pre-dial hook: {clearances[call.id].reason}",
                result=inquiry.record("denied", clearances[call.id].reason),
                contact_status=ContactStatus.SKIPPED,
                next_attempt_at=now,
            )
            for call in calls
            if not clearances[call.id].allow
        ]
        uncleared += [
            _waiting(call.id, TOO_LATE, inquiry.record("allowed too late"), now)
            for call in allowed
            if call.id not in has_clearance
        ]
        await self._release(calls[0], uncleared)
        return cleared

    async def _store(
        self,
        first: PlannedCall,
        allowed: Sequence[PlannedCall],
        clearances: Mapping[UUID, CallClearance],
        inquiry: HookInquiry,
    ) -> list[PlannedCall]:
        """Store the clearances, unless the campaign was paused meanwhile; return the calls that have one now."""
        now = self._clock.now()
        async with self._database.for_organization(first.organization_id) as connection:
            await pre_dial_hooks.record_hook_response(
                connection,
                organization_id=first.organization_id,
                asked_at=inquiry.asked_at,
                minute_ago=now - MINUTE,
                now=now,
            )
            if not allowed:
                return []
            if await campaign_status.share_active_campaign(connection, campaign_id=first.campaign_id) is None:
                return []
            await settlements.lock_calls(connection, ids=[call.id for call in allowed])
            stored = await pre_dial_hooks.clear_calls(
                connection,
                ids=[call.id for call in allowed],
                deadlines=[call.deadline for call in allowed],
                results=[inquiry.record("allowed", clearances[call.id].reason) for call in allowed],
                now=now,
            )
        cleared = set(stored)
        return [replace(call, cleared_at=now) for call in allowed if call.id in cleared]

    async def _hold(self, calls: Sequence[PlannedCall], inquiry: HookInquiry, reason: str) -> None:
        """Release all calls, and let their contacts and all campaigns of the organization wait for the hook."""
        first, now = calls[0], self._clock.now()
        async with self._database.for_organization(first.organization_id) as connection:
            await pre_dial_hooks.record_hook_failure(
                connection,
                organization_id=first.organization_id,
                asked_at=inquiry.asked_at,
                reason=reason,
                first_pause=FIRST_PAUSE,
                longest_pause=LONGEST_PAUSE,
                now=now,
            )
            retry_at = await pre_dial_hooks.hook_retry_at(connection, organization_id=first.organization_id) or now
        error, result = f"the pre-dial hook failed: {reason}", inquiry.record("failed", reason)
        await self._release(first, [_waiting(call.id, error, result, retry_at) for call in calls])
        log(
            "dialer.hook_failed",
            level="warning",
            campaign_id=str(first.campaign_id),
            host=inquiry.host,
            calls=len(calls),
            reason=reason,
        )

    async def _release(self, first: PlannedCall, uncleared: Sequence[UnclearedCall]) -> None:
        """Release the calls without a clearance, and have the campaign claim again: it may be complete now."""
        if not uncleared:
            return
        now = self._clock.now()
        async with self._database.for_organization(first.organization_id) as connection:
            await _release_calls(connection, uncleared, now)
        async with self._database.for_organization(first.organization_id) as connection:
            await batches.wake_campaigns(connection, now=now, ids=[first.campaign_id], provider_account_ids=[])


async def _release_calls(connection: Connection, uncleared: Sequence[UnclearedCall], now: datetime) -> None:
    ids = [each.call_id for each in uncleared]
    await settlements.lock_calls(connection, ids=ids)
    await campaign_contacts.lock_contacts_of_calls(connection, ids=ids)
    await pre_dial_hooks.release_uncleared(
        connection,
        ids=ids,
        errors=[each.error for each in uncleared],
        results=[each.result for each in uncleared],
        contact_statuses=[each.contact_status for each in uncleared],
        next_attempt_ats=[each.next_attempt_at for each in uncleared],
        now=now,
    )


def _waiting(call_id: UUID, error: str, result: str, until: datetime) -> UnclearedCall:
    return UnclearedCall(
        call_id=call_id,
        error=error,
        result=result,
        contact_status=ContactStatus.PENDING,
        next_attempt_at=until,
    )
